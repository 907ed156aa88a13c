"""The layer: shapes, names, views, what it takes and what it refuses, shards, threads, forks."""

from __future__ import annotations

import copy
import multiprocessing
import os

import numpy as np
import pytest

import zoo
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.layers import Recurrent
from zoo.layers.sharding import MAX_SHARDS, ROWS_PER_TILE, shards

T, B, I, H = 4, 3, 5, 6  # noqa: E741 - the letters of the documents
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def trial(batch=B, steps=T, layers=1, dtype="float64", tokens=False, threads=1, seed=0):
    """A layer, its input, first states, and gradients of its outputs and last states."""
    rnn = Recurrent("vanilla", I, H, num_layers=layers, dtype=dtype, seed=seed, threads=threads)
    rng = np.random.default_rng(seed)
    rnn.theta += rng.normal(size=rnn.theta.size).astype(dtype) / 5
    x = rng.integers(I, size=(steps, batch)) if tokens else rng.normal(size=(steps, batch, I)).astype(dtype)
    dy = rng.normal(size=(steps, batch, H)).astype(dtype)

    def states():
        return {f"l{k}.h": rng.normal(size=(batch, H)).astype(dtype) for k in range(layers)}

    return rnn, x, states(), dy, states()


def everything(rnn, x, state, dy, dstate):
    """All results of one pass forward and back, by name."""
    y, last = rnn.forward(x, state)
    dx, dbefore = rnn.backward(dy, dstate)
    results = {"y": y, "theta gradient": rnn.grad.copy()}
    results |= {} if dx is None else {"dx": dx}
    return results | {f"last {k}": v for k, v in last.items()} | {f"d{k}": v for k, v in dbefore.items()}


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def reference(params, layers, x, state, dy, dstate):
    """The same in plain NumPy, one line an equation: floats only, back-propagation unrolled by hand."""
    inputs, outputs, last = x, [], {}
    for k in range(layers):
        Wxh, Whh, bh = (params[f"l{k}.{name}"] for name in ("Wxh", "Whh", "bh"))
        h, hs = state[f"l{k}.h"], []
        for t in range(len(x)):
            h = np.tanh(inputs[t] @ Wxh + h @ Whh + bh)
            hs.append(h)
        outputs.append((inputs, np.array(hs).reshape(len(x), x.shape[1], H)))
        inputs, last[f"l{k}.h"] = outputs[-1][1], h
    grads, dbefore = {}, {}
    for k in reversed(range(layers)):
        Wxh, Whh, bh = (params[f"l{k}.{name}"] for name in ("Wxh", "Whh", "bh"))
        below, hs = outputs[k]
        dWxh, dWhh, dbh, dh = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(bh), dstate[f"l{k}.h"]
        dbelow = np.zeros_like(below)
        for t in reversed(range(len(x))):
            da = (dh + dy[t]) * (1 - hs[t] ** 2)
            dh, dbelow[t] = da @ Whh.T, da @ Wxh.T
            dWhh += (hs[t - 1] if t else state[f"l{k}.h"]).T @ da
            dWxh, dbh = dWxh + below[t].T @ da, dbh + da.sum(axis=0)
        grads |= {f"l{k}.Wxh": dWxh, f"l{k}.Whh": dWhh, f"l{k}.bh": dbh}
        dbefore[f"l{k}.h"], dy = dh, dbelow
    flat = np.concatenate([grads[name].ravel() for name in params])
    results = {"y": outputs[-1][1], "theta gradient": flat, "dx": dy}
    return results | {f"last {k}": v for k, v in last.items()} | {f"d{k}": v for k, v in dbefore.items()}


# ---- what it computes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 9])
def test_layer_equals_equations_in_numpy(dtype, layers, batch):
    rnn, x, state, dy, dstate = trial(batch, layers=layers, dtype=dtype)
    actual = everything(rnn, x, state, dy, dstate)
    double = [{k: v.astype(np.float64) for k, v in group.items()} for group in (rnn.params, state, dstate)]
    expected = reference(double[0], layers, x.astype(np.float64), double[1], dy.astype(np.float64), double[2])
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].dtype == dtype, name
        assert actual[name].shape == value.shape, name
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=TOLERANCE[dtype] * 20, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [1, 3])
def test_tokens_stand_for_one_hot_rows(dtype, layers):
    rnn, x, state, dy, dstate = trial(9, layers=layers, dtype=dtype, tokens=True)
    actual = everything(rnn, x, state, dy, dstate)
    expected = everything(rnn, np.eye(I, dtype=dtype)[x], state, dy, dstate)
    assert expected.pop("dx").shape == (T, 9, I)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=TOLERANCE[dtype] * 20, err_msg=name)


def test_no_state_is_a_state_of_zeros():
    rnn, x, state, dy, _ = trial()
    zeros = {name: np.zeros_like(value) for name, value in state.items()}
    assert_same(everything(rnn, x, None, dy, None), everything(rnn, x, zeros, dy, zeros))


@pytest.mark.parametrize("tokens", [False, True])
def test_empty_sequence(tokens):
    rnn, x, state, dy, dstate = trial(9, steps=0, layers=2, tokens=tokens)
    result = everything(rnn, x, state, dy, dstate)
    assert result["y"].shape == (0, 9, H)
    assert not result["theta gradient"].any()
    for name in state:
        np.testing.assert_array_equal(result[f"last {name}"], state[name])
        np.testing.assert_array_equal(result[f"d{name}"], dstate[name])


# ---- names and views ----------------------------------------------------------------------------------


def test_names_shapes_and_the_order_of_the_vector():
    rnn = Recurrent("vanilla", I, H, num_layers=2)
    shapes = {name: value.shape for name, value in rnn.params.items()}
    assert list(shapes.items()) == [
        ("l0.Wxh", (I, H)),
        ("l0.Whh", (H, H)),
        ("l0.bh", (H,)),
        ("l1.Wxh", (H, H)),
        ("l1.Whh", (H, H)),
        ("l1.bh", (H,)),
    ]
    np.testing.assert_array_equal(rnn.theta, np.concatenate([value.ravel() for value in rnn.params.values()]))
    assert {name: value.shape for name, value in rnn.grads.items()} == shapes
    assert rnn.output_size == H
    assert rnn.dtype == np.float32
    sizes = f"input_size={I}, hidden_size={H}, num_layers=2, dtype='float32', P={rnn.theta.size}"
    assert repr(rnn) == f"Recurrent(Vanilla(), {sizes})"
    assert repr(rnn.params).startswith("{l0.Wxh: (5, 6), l0.Whh: (6, 6), ")


def test_params_and_grads_are_views():
    rnn, x, _, dy, _ = trial()
    for name, value in rnn.params.items():
        assert np.shares_memory(value, rnn.theta), name
        assert np.shares_memory(rnn.grads[name], rnn.grad), name
    before = rnn.params["l0.Whh"]
    rnn.params["l0.Whh"] = np.eye(H)
    assert rnn.params["l0.Whh"] is before
    np.testing.assert_array_equal(rnn.theta[I * H : I * H + H * H].reshape(H, H), np.eye(H))
    rnn.theta[:] = 0
    assert not rnn.params["l0.Whh"].any()
    rnn.forward(x)
    rnn.backward(dy)
    np.testing.assert_array_equal(rnn.grad, np.concatenate([value.ravel() for value in rnn.grads.values()]))
    assert rnn.grads["l0.bh"].any()


def test_assigning_a_whole_vector_copies_into_it():
    rnn, _, _, _, _ = trial()
    vector, new = rnn.theta, np.arange(rnn.theta.size)
    rnn.theta = new
    rnn.theta -= 1
    assert rnn.theta is vector
    np.testing.assert_array_equal(rnn.params["l0.Wxh"].ravel(), np.arange(I * H) - 1)
    rnn.grad = new
    np.testing.assert_array_equal(rnn.grads["l0.Wxh"].ravel(), np.arange(I * H))
    with pytest.raises(UsageError, match=r"theta has the shape \(2,\); expected \(72,\)"):
        rnn.theta = np.zeros(2)
    with pytest.raises(UsageError, match="grad is "):
        rnn.grad = None


def test_invalid_assignment_and_lookup_raise():
    rnn, _, _, _, _ = trial()
    with pytest.raises(
        UsageError, match=r"array 'l0.bh': found float64\(7,\); expected real numbers of the shape \(6,\)"
    ):
        rnn.params["l0.bh"] = np.zeros(7)
    with pytest.raises(UsageError, match="found 'zero'; expected real numbers"):
        rnn.params["l0.bh"] = "zero"
    with pytest.raises(UnknownNameError, match=r"unknown array 'l0.Wxx'; .* Did you mean 'l0.Wxh'\?"):
        rnn.params["l0.Wxx"]
    with pytest.raises(UnknownNameError, match="unknown array 'b'"):
        rnn.params["b"] = 0
    assert "b" not in rnn.params
    assert "l0.bh" in rnn.params
    assert rnn.params.get("b") is None
    assert len(rnn.params) == 3


def test_deep_copy_has_separate_vectors():
    rnn, x, state, dy, dstate = trial(layers=2)
    expected = everything(rnn, x, state, dy, dstate)
    copied = copy.deepcopy(rnn)
    assert np.shares_memory(copied.params["l1.Whh"], copied.theta)
    assert np.shares_memory(copied.grads["l1.Whh"], copied.grad)
    assert not np.shares_memory(copied.theta, rnn.theta)
    np.testing.assert_array_equal(copied.grad, rnn.grad)
    assert_same(everything(copied, x, state, dy, dstate), expected)
    copied.params["l0.Wxh"] = 0
    assert_same(everything(rnn, x, state, dy, dstate), expected)


# ---- tapes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [3, 17])
def test_apply_is_pure_and_many_tapes_may_be_alive(batch):
    rnn, x, state, dy, dstate = trial(batch)
    thetas = [rnn.theta * scale for scale in (1.0, 0.5, 2.0)]
    taped = [rnn.apply(theta, x * scale, state) for theta, scale in zip(thetas, (1, 2, 3), strict=True)]
    grads = [rnn.vjp(tape, dy, dstate)[2] for _, _, tape in reversed(taped)][::-1]
    assert not rnn.grad.any()
    for theta, scale, (y, last, _), grad in zip(thetas, (1, 2, 3), taped, grads, strict=True):
        rnn.theta = theta
        result = everything(rnn, x * scale, state, dy, dstate)
        np.testing.assert_array_equal(result["y"], y)
        np.testing.assert_array_equal(result["last l0.h"], last["l0.h"])
        np.testing.assert_array_equal(result["theta gradient"], grad)


@pytest.mark.parametrize("batch", [1, 8, 9])
def test_outputs_can_be_changed(batch):
    rnn, x, state, dy, dstate = trial(batch)
    expected = everything(rnn, x, state, dy, dstate)
    y, last = rnn.forward(x, state)
    y[:] = np.nan
    last["l0.h"][:] = np.nan
    dx, dbefore = rnn.backward(dy, dstate)
    np.testing.assert_array_equal(rnn.grad, expected["theta gradient"])
    np.testing.assert_array_equal(dx, expected["dx"])
    np.testing.assert_array_equal(dbefore["l0.h"], expected["dl0.h"])


def test_tape_belongs_to_its_layer():
    rnn, x, state, dy, _ = trial()
    other = Recurrent("vanilla", I, H + 1, dtype="float64")
    _, _, tape = rnn.apply(rnn.theta, x, state)
    for wrong in (other.apply(other.theta, x)[2], None, "tape"):
        with pytest.raises(UsageError, match="the tape is not one of this layer's"):
            rnn.vjp(wrong, dy)
    rnn.vjp(tape, dy)


# ---- what it takes ------------------------------------------------------------------------------------


def fortran(a):
    return np.asfortranarray(a)


def reversed_in_memory(a):
    return np.ascontiguousarray(a[::-1])[::-1]


def every_second(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def transposed(a):
    return np.ascontiguousarray(np.moveaxis(a, 0, -1)).transpose(a.ndim - 1, *range(a.ndim - 1))


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def other_byte_order(a):
    return a.astype(a.dtype.newbyteorder())


def unaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(a.tobytes(), np.uint8)
    return raw.view(a.dtype).reshape(a.shape)


def lists(a):
    return a.tolist()


FORMS = [fortran, reversed_in_memory, every_second, transposed, read_only, other_byte_order, unaligned, lists]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("batch", [3, 17])
def test_memory_layout_changes_no_bit_and_compiles_nothing(form, tokens, batch):
    rnn, x, state, dy, dstate = trial(batch, tokens=tokens)
    expected = everything(rnn, x, state, dy, dstate)
    kernels = [rnn.cell.kernel(name) for name in ("forward", "backward")]
    known = [kernel.signatures for kernel in kernels]

    def formed(arrays):
        return {name: form(value) for name, value in arrays.items()}

    assert_same(everything(rnn, form(x), formed(state), form(dy), formed(dstate)), expected)
    y, _, tape = rnn.apply(form(rnn.theta), form(x), formed(state))
    np.testing.assert_array_equal(y, expected["y"])
    np.testing.assert_array_equal(rnn.vjp(tape, form(dy), formed(dstate))[2], expected["theta gradient"])
    assert [kernel.signatures for kernel in kernels] == known


def test_expanded_arrays():
    rnn, x, state, dy, dstate = trial(9)

    def expanded(a):
        return np.broadcast_to(a[:, :1], a.shape) if a.ndim == 3 else np.broadcast_to(a[:1], a.shape)

    thin = [x, *state.values(), dy, *dstate.values()]
    full = [np.ascontiguousarray(expanded(a)) for a in thin]
    wide = [expanded(a) for a in thin]
    assert all(0 in a.strides for a in wide)
    arguments = [(a[0], {"l0.h": a[1]}, a[2], {"l0.h": a[3]}) for a in (wide, full)]
    assert_same(everything(rnn, *arguments[0]), everything(rnn, *arguments[1]))


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i8"])
def test_any_integers_are_tokens(kind):
    rnn, x, state, dy, dstate = trial(tokens=True)
    expected = everything(rnn, x, state, dy, dstate)
    assert_same(everything(rnn, x.astype(kind), state, dy, dstate), expected)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g"])
def test_any_floats_are_converted(kind):
    rnn, x, state, dy, _ = trial(dtype="float32")
    given = x.astype(kind)
    assert_same(everything(rnn, given, state, dy, None), everything(rnn, given.astype("f4"), state, dy, None))


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("float32", "float32"), (np.float64, "float64"), (float, "float64"), (np.dtype(">f4"), "float32")],
)
def test_dtypes(dtype, name):
    rnn = Recurrent("vanilla", I, H, dtype=dtype)
    assert rnn.theta.dtype == np.dtype(name)
    assert rnn.theta.dtype.isnative


def test_numpy_integers_are_sizes_and_seeds():
    rnn = Recurrent("vanilla", np.int32(I), np.uint8(H), num_layers=np.int64(1), seed=np.int64(7))
    np.testing.assert_array_equal(rnn.theta, Recurrent("vanilla", I, H, seed=7).theta)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_numpy_integers_are_thread_counts(kind):
    rnn = Recurrent("vanilla", I, H, threads=kind(2))
    assert (type(rnn.threads), rnn.threads) == (int, 2)
    model = zoo.SequenceModel("vanilla", I, 2, hidden_size=H, threads=kind(2))
    assert (type(model.threads), model.threads) == (int, 2)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numpy_floats_are_dropout(kind):
    stack = Recurrent("vanilla", I, H, num_layers=2, dropout=kind(0.5)).stack
    assert (type(stack.dropout), stack.dropout) == (float, 0.5)


# ---- what it refuses ----------------------------------------------------------------------------------

ARGUMENTS = {"cell": "vanilla", "input_size": I, "hidden_size": H}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"input_size": 0}, "cell 'vanilla': input_size is 0; expected an integer of at least 1."),
        ({"hidden_size": -3}, "hidden_size is -3; expected an integer of at least 1."),
        ({"hidden_size": True}, "hidden_size is True; expected an integer of at least 1."),
        ({"hidden_size": 6.0}, r"hidden_size is 6\.0; expected an integer of at least 1."),
        ({"hidden_size": "6"}, "hidden_size is '6'; expected an integer of at least 1."),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"hidden_size": 2**40}, "that makes more than 1,099,511,627,776 parameters; choose smaller sizes."),
        ({"hidden_size": 10**30}, "that makes more than"),
        ({"num_layers": 0}, "num_layers is 0; expected an integer from 1 to 1000."),
        ({"num_layers": False}, "num_layers is False"),
        ({"num_layers": 10**9}, "num_layers is 1000000000; expected an integer from 1 to 1000."),
        ({"dtype": "float16"}, "dtype is 'float16'; expected 'float32' or 'float64'."),
        ({"dtype": "flaot32"}, "dtype is 'flaot32'"),
        ({"dtype": "bfloat16"}, "For matrix products in bfloat16, keep float32 and give `precision='bf16'`."),
        ({"dtype": np.int32}, "expected 'float32' or 'float64'."),
        ({"dtype": None}, "dtype is None"),
        ({"dtype": 32}, "dtype is 32"),
        ({"threads": 0}, "threads is 0; expected a positive integer, or None for all processors."),
        ({"threads": True}, "threads is True"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"seed": -1}, r"seed is -1; expected an integer from 0 to 2\^64 - 1."),
        ({"seed": None}, "seed is None"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": 1.0}, "seed is 1.0"),
    ],
)
def test_invalid_constructor_arguments_raise(changed, words):
    with pytest.raises(UsageError, match=words):
        Recurrent(**{**ARGUMENTS, **changed})


def test_unknown_cell():
    with pytest.raises(UnknownNameError, match="Did you mean 'vanilla'"):
        Recurrent("vanila", I, H)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (
            np.zeros((T, B, I), int),
            r"inputs are int64\(4, 3, 5\); expected floats \(T, B, 5\) or integer tokens",
        ),
        (np.zeros((T, B)), r"inputs are float64\(4, 3\); expected floats"),
        (np.zeros((T, B, I + 1)), r"inputs are float64\(4, 3, 6\)"),
        (np.zeros((T, B, I), bool), r"inputs are bool\(4, 3, 5\)"),
        (np.zeros((T, B), bool), r"inputs are bool\(4, 3\)"),
        (np.zeros((T, B, I), complex), r"inputs are complex128\(4, 3, 5\)"),
        (np.zeros((T, 0, I)), "at least one sequence in the batch"),
        (np.zeros((T, 0), int), "at least one sequence in the batch"),
        (np.zeros((T, B), int) - 1, "inputs hold -1; expected tokens from 0 to 4."),
        (np.full((T, B), I), "inputs hold 5; expected tokens from 0 to 4."),
        (np.full((T, B), 2**63, np.uint64), "inputs hold 9223372036854775808"),
        (3, "inputs are 3; expected"),
        ("hello", "inputs are 'hello'; expected"),
        (None, "inputs are None; expected"),
        ([[0, 1], [2]], "inputs cannot be made an array"),
    ],
)
def test_wrong_inputs(x, words):
    rnn = Recurrent(**ARGUMENTS)
    with pytest.raises(UsageError, match=f"^cell 'vanilla': .*{words}"):
        rnn.forward(x)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "missing state 'h'; the names are h"),
        ({"c": np.zeros((B, H))}, "unknown state 'c'; missing state 'h'; the names are h"),
        (
            {"h": np.zeros((B, H)), "l0.h": np.zeros((B, H))},
            "'h', 'l0.h' name one state twice; the names are h",
        ),
        ({"l0.h": np.zeros((B, H)), "l1.h": np.zeros((B, H))}, "unknown state 'l1.h'; the names are h"),
        ({"l0.h": np.zeros((B, H)), 3: 0}, "unknown state '3'; the names are h"),
        (np.zeros((B, H + 1)), r"state 'h' is float64\(3, 7\); expected \(3, 6\) or \(1, 3, 6\)"),
        (
            (np.zeros((B, H)), 0),
            r"the state is 2 arrays; expected a tuple \(h,\), or a mapping with the names",
        ),
        ({"l0.h": np.zeros(H)}, r"state 'l0.h' has the shape \(6,\); expected \(3, 6\)"),
        ({"l0.h": np.zeros((B + 1, H))}, r"has the shape \(4, 6\); expected \(3, 6\)"),
        ({"l0.h": np.zeros((B, H), complex)}, r"is complex128\(3, 6\)"),
        ({"l0.h": "zeros"}, "is 'zeros'; expected"),
        ({"l0.h": None}, "is None; expected"),
    ],
)
def test_wrong_states_and_their_gradients(state, words):
    rnn = Recurrent(**ARGUMENTS)
    x = np.zeros((T, B, I), np.float32)
    with pytest.raises(UsageError, match=words):
        rnn.forward(x, state)
    rnn.forward(x)
    with pytest.raises(UsageError, match=f"gradient of the last states.*{words}"):
        rnn.backward(np.zeros((T, B, H)), state)


@pytest.mark.parametrize(
    ("dy", "words"),
    [
        (
            np.zeros((T, B, H + 1)),
            r"gradient of the output has the shape \(4, 3, 7\); expected \(4, 3, 6\)",
        ),
        (np.zeros((T - 1, B, H)), r"has the shape \(3, 3, 6\)"),
        (np.zeros((T, B)), r"has the shape \(4, 3\)"),
        (0.0, "is 0.0; expected"),
        (None, "is None; expected"),
        ([[[1.0], [1.0, 2.0]]], "cannot be made an array"),
    ],
)
def test_wrong_gradients(dy, words):
    rnn = Recurrent(**ARGUMENTS)
    rnn.forward(np.zeros((T, B, I)))
    with pytest.raises(UsageError, match=words):
        rnn.backward(dy)


def test_a_step_records_no_traces():
    with pytest.raises(UsageError, match=r"step records no traces; call forward\(x, trace=...\)"):
        Recurrent(**ARGUMENTS).step(np.zeros((B, I)), trace=["h"])


def test_backward_before_forward():
    with pytest.raises(UsageError, match="cell 'vanilla': backward needs the tape of a forward pass"):
        Recurrent(**ARGUMENTS).backward(np.zeros((T, B, H)))


@pytest.mark.parametrize("theta", [np.zeros(5), np.zeros((1, 72)), "theta", None, np.zeros(72, complex)])
def test_wrong_parameter_vectors(theta):
    with pytest.raises(UsageError, match=r"cell 'vanilla': theta .*; expected (float32)?\(72,\)"):
        Recurrent(**ARGUMENTS).apply(theta, np.zeros((T, B, I)))


# ---- cells that break the contract --------------------------------------------------------------------


def _plain_cell(forward, backward=None):
    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    body = {
        "__doc__": "A cell of the tests.",
        "card": card,
        "W": zoo.Param("I", "H"),
        "h": zoo.State("H"),
        "forward": staticmethod(forward),
        "backward": staticmethod(backward or _no_gradients),
    }
    return type("Plain", (zoo.Cell,), body)


def _no_gradients(params, x, state, tape, dy, dlast):
    return np.zeros_like(x), (dlast[0].copy(),), (np.zeros_like(params[0]),)


def _ones(params, x, state):
    return np.ones((*x.shape[:2], params[0].shape[1]), x.dtype), (state[0].copy(),), ()


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (
            lambda params, x, state: (_ones(params, x, state)[0][:, :, :2], state, ()),
            r"float32\(4, 3, 2\); expected",
        ),
        (
            lambda params, x, state: (np.ones((T, B, H)), state, ()),
            r"is float64\(4, 3, 6\); expected float32",
        ),
        (lambda params, x, state: (None, state, ()), "is NoneType"),
        (
            lambda params, x, state: _ones(params, x, state)[:2],
            "forward returns 2 values; expected `return y, last, tape`",
        ),
        (lambda params, x, state: _ones(params, x, state)[0], "forward returns ndarray; expected"),
        (lambda params, x, state: (_ones(params, x, state)[0], (), ()), "0 states from forward; expected 1"),
    ],
)
def test_forward_kernel_results_are_checked(forward, words):
    with pytest.raises(DefinitionError, match=f"cell class Plain .*{words}"):
        Recurrent(_plain_cell(forward), I, H).forward(np.zeros((T, B, I)))


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (
            lambda *a: (np.zeros((1, 1, 1)), *_no_gradients(*a)[1:]),
            r"gradient of the input is float64\(1, 1, 1\)",
        ),
        (
            lambda *a: _no_gradients(*a)[1:],
            "backward returns 2 values; expected `return dx, dstate, dparams`",
        ),
        (lambda *a: (*_no_gradients(*a)[:2], ()), "0 parameter gradients from backward; expected 1"),
        (lambda *a: (_no_gradients(*a)[0], (), ()), "0 state gradients from backward; expected 1"),
    ],
)
def test_backward_kernel_results_are_checked(results, words):
    def backward(params, x, state, tape, dy, dlast):
        return results(params, x, state, tape, dy, dlast)

    rnn = Recurrent(_plain_cell(_ones, backward), I, H)
    rnn.forward(np.zeros((T, B, I)))
    with pytest.raises(DefinitionError, match=words):
        rnn.backward(np.zeros((T, B, H)))


# ---- shards and threads -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [*range(1, 140), 200, 255, 256, 5000])
def test_shards_cover_batch_in_equal_parts(batch):
    parts = shards(batch)
    sizes = [part.stop - part.start for part in parts]
    assert [row for part in parts for row in range(batch)[part]] == list(range(batch))
    assert set(sizes[:-1]) <= {sizes[0]}
    assert sizes[-1] <= sizes[0]
    assert len(parts) <= MAX_SHARDS
    assert sizes[0] <= max(ROWS_PER_TILE, -(-batch // MAX_SHARDS))


@pytest.mark.parametrize("threads", [1, 2, 4, 8, 16])
def test_threads_share_a_batch_evenly(threads):
    for batch in range(8, 500):
        parts = shards(batch)
        rows = len(range(batch)[parts[0]])
        busiest = -(-len(parts) // threads) * rows  # rows of the thread with the most shards
        assert busiest <= max(rows, (batch + 2 * len(parts)) / threads)


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 7, 8, 9, 33, 200])
def test_threads_change_no_bit(batch, dtype, tokens):
    expected = everything(*trial(batch, layers=2, dtype=dtype, tokens=tokens, threads=1))
    for threads in (2, 5, None):
        assert_same(
            everything(*trial(batch, layers=2, dtype=dtype, tokens=tokens, threads=threads)), expected
        )


@pytest.mark.parametrize("batch", [7, 8, 9, 33, 200])
def test_sequences_do_not_mix_at_shard_edges(batch):
    rnn, x, state, dy, dstate = trial(batch, threads=2)
    whole = everything(rnn, x, state, dy, dstate)
    total = np.zeros_like(rnn.grad)
    for row in range(batch):
        one = slice(row, row + 1)
        part = everything(
            rnn, x[:, one], {"l0.h": state["l0.h"][one]}, dy[:, one], {"l0.h": dstate["l0.h"][one]}
        )
        for name, axis in (("y", 1), ("dx", 1), ("last l0.h", 0), ("dl0.h", 0)):
            result = np.take(whole[name], [row], axis=axis)
            np.testing.assert_allclose(result, part[name], rtol=0, atol=1e-12, err_msg=f"{name}, row {row}")
        total += part["theta gradient"]
    np.testing.assert_allclose(whole["theta gradient"], total, rtol=0, atol=1e-11 * batch)


def _zero():
    return 0.0


which = zoo.njit(python_fallback=lambda: 1.0)(_zero)


def _interpreted_or_not(params, x, state):
    y, last, tape = _ones(params, x, state)
    return y * y.dtype.type(which()), last, tape


def test_threads_use_context_of_caller():
    rnn = Recurrent(_plain_cell(_interpreted_or_not), I, H, threads=3)
    x = np.zeros((T, 33, I))
    with pure_python():
        assert (rnn.forward(x)[0] == 1).all()
    assert (rnn.forward(x)[0] == which()).all()


def test_error_in_a_thread_reaches_the_caller():
    def fail(params, x, state):
        raise ZeroDivisionError("in a shard")

    rnn = Recurrent(_plain_cell(fail), I, H, threads=3)
    with pytest.raises(ZeroDivisionError, match="in a shard"):
        rnn.forward(np.zeros((T, 33, I)))


def _child(queue):
    result = everything(*trial(33, threads=2))
    queue.put(result["theta gradient"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.*JAX:RuntimeWarning")  # which another test may have imported
def test_forked_child_creates_new_threads():
    expected = everything(*trial(33, threads=2))["theta gradient"]  # the pool exists before the fork
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(queue,), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(queue.get(), expected)
    np.testing.assert_array_equal(everything(*trial(33, threads=2))["theta gradient"], expected)


# ---- time steps of a stream, and the batch first ------------------------------------------------------


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("cell", ["vanilla", "lstm", "ctrnn"])
def test_steps_of_a_stream_equal_the_whole_sequence(cell, tokens):
    rnn = Recurrent(cell, I, I, num_layers=2, residual=True, learned_state=True, threads=1)
    rng = np.random.default_rng(3)
    rnn.theta += rng.normal(size=rnn.theta.size).astype(np.float32) / 5
    x = rng.integers(I, size=(T, 9)) if tokens else rng.normal(size=(T, 9, I))
    dt = {"dt": rng.uniform(0.5, 1.5, size=(T, 9))} if cell == "ctrnn" else {}
    y, last = rnn(x, **dt)
    state = None
    for t in range(T):
        output, state = rnn.step(x[t], state, **{name: value[t] for name, value in dt.items()})
        np.testing.assert_array_equal(output, y[t])
    assert_same(state, last)


def test_step_leaves_the_tape_of_forward_alone():
    rnn, x, state, dy, dstate = trial()
    expected = everything(rnn, x, state, dy, dstate)
    rnn(x, state)
    rnn.step(x[0])
    rnn.backward(dy, dstate)
    np.testing.assert_array_equal(rnn.grad, expected["theta gradient"])


@pytest.mark.parametrize(
    ("x", "state", "words"),
    [
        (np.zeros((B, I + 1)), None, r"step: inputs are float64\(3, 6\)"),
        (np.zeros(I), None, r"step: inputs are float64\(5,\)"),
        (np.full(B, I), None, "expected tokens from 0 to 4"),
        (np.zeros((B, I)), np.zeros((B + 1, H)), "state 'h' is"),
    ],
)
def test_step_checks_its_arguments(x, state, words):
    with pytest.raises(UsageError, match=words):
        Recurrent(**ARGUMENTS).step(x, state)


def test_step_of_a_bidirectional_layer_raises():
    with pytest.raises(UsageError, match="step: a layer that reads backwards needs the whole sequence"):
        Recurrent(**ARGUMENTS, bidirectional=True).step(np.zeros((B, I)))


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}])
def test_batch_first_swaps_the_axes_of_every_sequence(options):
    rng = np.random.default_rng(4)
    x, dt = rng.normal(size=(T, B, I)), rng.uniform(0.5, 1.5, size=(T, B))
    lengths = np.array([4, 2, 3])
    time_first, batch_first = (
        Recurrent("ctrnn", I, H, dtype="float64", batch_first=first, **options) for first in (False, True)
    )
    y, last = time_first(x, dt=dt, lengths=lengths, trace=True)
    dy = rng.normal(size=y.shape)
    dx, dstate = time_first.backward(dy, last, trace_grads=True)
    swapped, swapped_last = batch_first(x.swapaxes(0, 1), dt=dt.T, lengths=lengths, trace=True)
    np.testing.assert_array_equal(swapped.swapaxes(0, 1), y)
    swapped_dx, swapped_dstate = batch_first.backward(dy.swapaxes(0, 1), last, trace_grads=True)
    np.testing.assert_array_equal(swapped_dx.swapaxes(0, 1), dx)
    np.testing.assert_array_equal(batch_first.grad, time_first.grad)
    assert_same(swapped_last, last)
    assert_same(swapped_dstate, dstate)
    for kind in ("trace", "trace_grads"):
        assert getattr(time_first, kind)
        for name, value in getattr(time_first, kind).items():
            np.testing.assert_array_equal(getattr(batch_first, kind)[name].swapaxes(0, 1), value)
    assert "batch_first=True" in repr(batch_first)
    pure, _, tape = batch_first.apply(batch_first.theta, x.swapaxes(0, 1), dt=dt.T, lengths=lengths)
    np.testing.assert_array_equal(pure, swapped)
    np.testing.assert_array_equal(batch_first.vjp(tape, dy.swapaxes(0, 1), last)[0], swapped_dx)


def test_batch_first_names_the_order_in_errors():
    rnn = Recurrent(**ARGUMENTS, batch_first=True)
    with pytest.raises(UsageError, match=r"batch_first: .*float64\(3, 4, 6\); expected floats \(B, T, 5\)"):
        rnn(np.zeros((B, T, I + 1)))
    with pytest.raises(UsageError, match="batch_first is 1; expected True or False"):
        Recurrent(**ARGUMENTS, batch_first=1)


def test_arguments_after_the_fourth_have_names():
    with pytest.raises(TypeError, match="at most 4 positional arguments"):
        Recurrent("vanilla", I, H, 2, 0)
