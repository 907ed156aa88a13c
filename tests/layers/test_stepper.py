"""Steppers of layers and models: every step equals the step of the whole sequence."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.runtime import _nrt_python, rtsys
from zoo_cells.classic import vanilla

import zoo
from zoo.errors import DefinitionError, UsageError
from zoo.kernels import pure_python
from zoo.kernels.nested_parallelism import MIN_PART
from zoo.kernels.precision import bf16_problem
from zoo.layers.stream_step import StreamStep
from zoo.model import CategoryInputs

T, I, H = 5, 4, 6  # noqa: E741
IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
needs_compiler = pytest.mark.skipif(not IS_COMPILED, reason="compiled code alone")


def inputs_of(owner, batch, tokens=False, seed=0):
    rng = np.random.default_rng(seed)
    size = owner.input_size if hasattr(owner, "input_size") else owner.config.input_size
    return rng.integers(size, size=(T, batch)) if tokens else rng.normal(size=(T, batch, size))


def run(stepper, x, call=None, **inputs):
    """The outputs of a stepper, step by step."""
    call = call or stepper
    return np.stack([call(x[t], **{name: value[t] for name, value in inputs.items()}) for t in range(len(x))])


def randomise(owner, seed=1):
    owner.theta += np.random.default_rng(seed).normal(size=owner.theta.size).astype(owner.dtype) / 5


def assert_equal_states(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


# ---- layers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "options", "is_compiled"),
    [
        ("vanilla", {}, True),
        ("lstm", {"num_layers": 3, "residual": True}, True),
        ("gru", {"learned_state": True}, True),
        ("gru+zoneout", {}, False),  # without compiling kernels that no other test needs
        ("clockwork", {}, False),  # an integer state
        ("lif", {}, False),  # spikes
        ("s5", {"num_layers": 2}, False),  # complex states
        ("vanilla", {"block": "mamba"}, False),
        (["lstm", "vanilla"], {"num_layers": 2}, True),
        (["lstm", "mgu"], {"num_layers": 2}, False),  # different cells of which one has options
    ],
)
@pytest.mark.parametrize("tokens", [False, True])
def test_steps_equal_the_whole_sequence(cell, options, is_compiled, tokens):
    rnn = zoo.Recurrent(cell, I, I, threads=1, **options)
    randomise(rnn)
    x, stepper = inputs_of(rnn, 3, tokens), rnn.stepper(3)
    with contextlib.nullcontext() if is_compiled else pure_python():
        y, last = rnn(x)
        np.testing.assert_array_equal(run(stepper, x), y)
    assert_equal_states(stepper.state, last)


@pytest.mark.parametrize(("cell", "is_compiled"), [("delta_net", True), ("matrix_lstm", False)])
def test_steps_of_matrix_memories_equal_step_to_the_bit(cell, is_compiled):
    rnn = zoo.Recurrent(cell, I, 8, threads=1)
    x, state, stepper = inputs_of(rnn, 2), None, rnn.stepper(2)
    with contextlib.nullcontext() if is_compiled else pure_python():
        for t in range(T):
            y, state = rnn.step(x[t], state)
            np.testing.assert_array_equal(stepper(x[t]), y)
        assert_equal_states(stepper.state, state)
        whole, _ = rnn(x)
        stepper.reset()
        np.testing.assert_allclose(run(stepper, x), whole, rtol=1e-5, atol=1e-6)


@given(
    cell=st.sampled_from(["vanilla", "lstm", "ctrnn"]),
    batch=st.integers(1, 9),
    layers=st.integers(1, 2),
    kinds=st.lists(st.booleans(), min_size=T, max_size=T),
    seed=st.integers(0, 99),
)
def test_tokens_and_numbers_in_turn(cell, batch, layers, kinds, seed):
    rnn = zoo.Recurrent(cell, I, H, layers, threads=1)
    randomise(rnn, seed)
    numbers, tokens = inputs_of(rnn, batch, seed=seed), inputs_of(rnn, batch, True, seed)
    stepper, state = rnn.stepper(batch), None
    for t, is_token in enumerate(kinds):
        x = (tokens if is_token else numbers)[t]
        y, state = rnn.step(x, state)
        np.testing.assert_array_equal(stepper(x), y)
        assert_equal_states(stepper.state, state)


def test_auxiliary_inputs():
    rnn = zoo.Recurrent("ctrnn", I, H, num_layers=2, threads=1)
    x, dt = inputs_of(rnn, 2), np.random.default_rng(2).uniform(0.5, 1.5, size=(T, 2))
    y, last = rnn(x, dt=dt)
    stepper = rnn.stepper(2)
    np.testing.assert_array_equal(run(stepper, x, dt=dt), y)
    assert_equal_states(stepper.state, last)
    stepper.reset()
    np.testing.assert_array_equal(run(stepper, x), rnn(x)[0])  # the default


@pytest.mark.parametrize("rows", [[True, False, True, False], [False] * 4, [True] * 4, None])
@pytest.mark.parametrize("is_given", [False, True])
def test_reset_of_some_sequences(rows, is_given):
    rnn = zoo.Recurrent("lstm", I, H, learned_state=True, threads=1)
    randomise(rnn)
    x, rng = inputs_of(rnn, 4), np.random.default_rng(5)
    state = {name: rng.normal(size=(4, H)) for name in ("h", "c")} if is_given else None
    stepper = rnn.stepper(4, state)
    assert_equal_states(stepper.state, rnn(x[:0], state)[1])
    run(stepper, x)
    before = stepper.state
    stepper.reset(rows)
    initial = rnn(x[:0], state)[1]
    mask = np.ones(4, bool) if rows is None else np.array(rows)
    for name, value in stepper.state.items():
        np.testing.assert_array_equal(value, np.where(mask[:, None], initial[name], before[name]))
    y, _ = rnn(x, stepper.state)
    np.testing.assert_array_equal(run(stepper, x), y)


def test_states_and_outputs_are_copies():
    rnn = zoo.Recurrent("lstm", I, H, threads=1)
    x, given_state = inputs_of(rnn, 2), {name: np.ones((2, H), np.float32) for name in ("h", "c")}
    stepper = rnn.stepper(2, given_state)
    given_state["h"][:] = 9  # the stepper has a copy
    outputs = [stepper(x[t]) for t in range(T)]
    expected, last = rnn(x, {name: np.ones((2, H)) for name in ("h", "c")})
    np.testing.assert_array_equal(outputs, expected)  # later steps did not overwrite them
    with pytest.raises(ValueError, match="read-only"):
        stepper.state["h"][:] = 9
    assert_equal_states(stepper.state, last)
    stepper.state = (last["h"] + 1, last["c"])
    np.testing.assert_array_equal(stepper.state["h"], last["h"] + 1)
    stepper.reset()
    np.testing.assert_array_equal(run(stepper, x), expected)


def test_parameters_are_copied_until_reload():
    rnn = zoo.Recurrent("gru", I, H, threads=1)
    x = inputs_of(rnn, 1)
    old, _ = rnn(x)
    stepper = rnn.stepper()
    randomise(rnn)
    np.testing.assert_array_equal(run(stepper, x), old)
    state = stepper.state
    stepper.reload()
    assert_equal_states(stepper.state, state)
    np.testing.assert_array_equal(run(stepper, x), rnn(x, state)[0])


@pytest.mark.parametrize(
    ("copied", "is_shared"),
    [(copy.copy, True), (copy.deepcopy, True), (lambda stepper: pickle.loads(pickle.dumps(stepper)), False)],
)
@pytest.mark.parametrize("steps", [0, 3])
def test_copies_continue_from_the_same_states(copied, is_shared, steps):
    rnn = zoo.Recurrent("lstm", I, H, num_layers=2, threads=1)
    x = inputs_of(rnn, 2)
    stepper = rnn.stepper(2)
    for t in range(steps):
        stepper(x[t])
    second = copied(stepper)
    randomise(rnn)  # both have the old parameters
    expected = run(stepper, x)
    np.testing.assert_array_equal(run(second, x), expected)
    assert_equal_states(second.state, stepper.state)
    stepper.reset()
    assert not (stepper.state["l0.h"] == second.state["l0.h"]).all()
    second.reset()
    second.reload()
    expected = rnn(x)[0] if is_shared else zoo.Recurrent("lstm", I, H, num_layers=2)(x)[0]
    np.testing.assert_array_equal(run(second, x), expected)


def test_saved_states_look_ahead():
    rnn = zoo.Recurrent("gru", I, H, threads=1)
    x, stepper = inputs_of(rnn, 2), rnn.stepper(2)
    stepper(x[0])
    saved = stepper.state
    ahead = run(stepper, x)
    stepper.state = saved
    np.testing.assert_array_equal(run(stepper, x), ahead)


def test_state_of_none_is_the_learned_state():
    rnn = zoo.Recurrent("gru", I, H, learned_state=True, threads=1)
    randomise(rnn)
    x, stepper = inputs_of(rnn, 2), rnn.stepper(2)
    run(stepper, x)
    stepper.state = None
    np.testing.assert_array_equal(run(stepper, x), rnn(x)[0])


def test_reload_uses_another_number_of_threads_and_keeps_the_compiled_step(monkeypatch):
    rnn = zoo.Recurrent("gru", I, H, threads=1)
    x, stepper = inputs_of(rnn, 2), rnn.stepper(2)
    run(stepper, x)
    randomise(rnn)
    rnn.threads = 2
    stepper.reload()
    stepper.reset()
    if IS_COMPILED:
        monkeypatch.setattr(StreamStep, "_run_kernels", None)
    np.testing.assert_array_equal(run(stepper, x), rnn(x)[0])


@needs_compiler
def test_more_layers_than_are_compiled():
    rnn = zoo.Recurrent("vanilla", I, H, num_layers=9, threads=1)
    x = inputs_of(rnn, 2)
    np.testing.assert_array_equal(run(rnn.stepper(2), x), rnn(x)[0])


def test_two_steppers_in_two_threads():
    rnn = zoo.Recurrent("lstm", I, H, threads=1)
    x = [np.tile(inputs_of(rnn, 2, seed=seed), (20, 1, 1)) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda each: np.stack([*map(rnn.stepper(2), each)]), x))
    for each, output in zip(x, outputs, strict=True):
        np.testing.assert_array_equal(output, rnn(each)[0])


def test_pure_python_in_between():
    rnn = zoo.Recurrent("gru", I, H, threads=1, dtype="float64")
    x = inputs_of(rnn, 2)
    y, _ = rnn(x)
    stepper = rnn.stepper(2)
    outputs = []
    for t in range(T):
        if t % 2:
            with pure_python():
                outputs.append(stepper(x[t]))
        else:
            outputs.append(stepper(x[t]))
    np.testing.assert_allclose(outputs, y, rtol=1e-12)


@needs_compiler
def test_threads_share_large_products_and_change_no_bit():
    hidden = 300
    rnn = zoo.Recurrent("lstm", I, hidden, threads=1)
    assert rnn.stack.product_size(1) >= 2 * MIN_PART
    x = inputs_of(rnn, 1).astype(np.float32)
    expected = run(rnn.stepper(), x)
    rnn.threads = 2
    np.testing.assert_array_equal(run(rnn.stepper(), x), expected)


@needs_compiler
def test_no_memory_is_lost():
    rnn = zoo.Recurrent("lstm", I, H, num_layers=2, threads=1)
    x, stepper = inputs_of(rnn, 2), rnn.stepper(2)
    run(stepper, x)
    was_enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        for _ in range(20):
            run(stepper, x)
        after = rtsys.get_allocation_stats()
    finally:
        if not was_enabled:
            _nrt_python.memsys_disable_stats()
    live = (after.mi_alloc - after.mi_free) - (before.mi_alloc - before.mi_free)
    assert after.mi_alloc > before.mi_alloc
    assert abs(live) < 20  # of 100 steps; arrays of other tests may come and go


# ---- cells with kernels of their own --------------------------------------------------------------------


@zoo.njit
def odd_forward(params, x, state):
    """Raise an error if an input is above 2; the new state is a view."""
    if x[0, 0, 0] > 2:
        raise ValueError("too large")
    y, _, tape = vanilla.forward(params, x, state)
    return y, (y[-1],), tape


def plain_forward(params, x, state):
    y, last, tape = vanilla.forward(params, x, state)
    return y, (np.asfortranarray(last[0]),), tape


@zoo.njit
def short_forward(params, x, state):
    """Return outputs without their last unit where an input is above 2."""
    y, last, tape = vanilla.forward(params, x, state)
    return (y[:, :, 1:].copy() if x[0, 0, 0] > 2 else y), last, tape


@zoo.njit
def narrow_forward(params, x, state):
    """Return a transposed state where an input is above 2."""
    y, last, tape = vanilla.forward(params, x, state)
    return y, ((last[0].T.copy() if x[0, 0, 0] > 2 else last[0]),), tape


@zoo.njit
def identity_forward(params, x, state):
    """Return the input as the output."""
    _, last, tape = vanilla.forward(params, x, state)
    return x, last, tape


def cell_with(kernel):
    class Own(zoo.Cell):
        """vanilla with another forward kernel."""

        card = vanilla.Vanilla.card
        Wxh, Whh, bh, h = (getattr(vanilla.Vanilla, name) for name in ("Wxh", "Whh", "bh", "h"))
        forward = kernel
        backward = vanilla.backward

    return Own()


@pytest.mark.parametrize("kernel", [odd_forward, plain_forward, short_forward])
def test_own_kernels_equal_the_whole_sequence(kernel):
    rnn = zoo.Recurrent(cell_with(kernel), I, H, threads=1)
    x = inputs_of(rnn, 2).clip(-1, 1)
    y, last = rnn(x)
    stepper = rnn.stepper(2)
    np.testing.assert_array_equal(run(stepper, x), y)
    assert_equal_states(stepper.state, last)


@pytest.mark.parametrize(
    ("kernel", "error", "words"),
    [
        (odd_forward, ValueError, "too large"),
        (short_forward, DefinitionError, "the output of forward is"),
        (narrow_forward, DefinitionError, "the state 'l0.h' from forward is"),
    ],
)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_errors_of_own_kernels_leave_the_states(kernel, error, words, steps):
    rnn = zoo.Recurrent(cell_with(kernel), I, H, threads=1)
    x = inputs_of(rnn, 2).clip(-1, 1)
    stepper = rnn.stepper(2)
    for t in range(steps):
        stepper(x[t])
    before = stepper.state
    with pytest.raises(error, match=words):
        stepper(x[0] + 5)
    assert_equal_states(stepper.state, before)
    np.testing.assert_array_equal(stepper(x[steps]), rnn.step(x[steps], before)[0])


def test_outputs_are_not_views_of_inputs():
    rnn = zoo.Recurrent(cell_with(identity_forward), H, H, threads=1)
    stepper, x = rnn.stepper(2), np.ones((2, H), np.float32)
    outputs = [stepper(x) for _ in range(3)]
    x[:] = 9
    assert (np.array(outputs) == 1).all()


# ---- models ---------------------------------------------------------------------------------------------


def sequence_model(**options):
    return zoo.SequenceModel("gru", I, 3, H, threads=1, **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sequence_model(loss="squared_error"),
        lambda: sequence_model(loss="binary", num_layers=2),
        lambda: sequence_model(dtype="float64"),
        lambda: sequence_model(embedding=5),
        lambda: zoo.LanguageModel("abcd", "lstm", H, threads=1),
        lambda: zoo.LanguageModel("abcd", "lstm", H, threads=1, embedding=H, tie=True),
    ],
)
def test_steps_of_models_equal_the_whole_sequence(make):
    model = make()
    randomise(model)
    x = inputs_of(model, 3, tokens=model.embedding is not None or isinstance(model, zoo.LanguageModel))
    outputs, last = model.outputs(x)
    stepper = model.stepper(3)
    np.testing.assert_array_equal(run(stepper, x), outputs)
    assert_equal_states(stepper.state, last)
    stepper.reset()
    np.testing.assert_array_equal(run(stepper, x, stepper.predict), model.criterion.predictions(outputs))
    randomise(model, 2)  # the embedding and the readout are copies too
    stepper.reset()
    np.testing.assert_array_equal(run(stepper, x), outputs)
    stepper.reload()
    stepper.reset()
    np.testing.assert_array_equal(run(stepper, x), model.outputs(x)[0])


def test_categories():
    categories = CategoryInputs(I, 2, ((1, 2, 0),))
    model = sequence_model(categories=categories, loss="squared_error")
    x = np.random.default_rng(0).normal(size=(T, 2, I))
    x[..., 1:3] = np.eye(2)[np.random.default_rng(1).integers(2, size=(T, 2))]
    np.testing.assert_array_equal(run(model.stepper(2), x), model.outputs(x)[0])
    with pytest.raises(UsageError, match=r"inputs are int64\(2,\); expected floats \(B, 4\), with B = 2"):
        model.stepper(2)([0, 1])


@pytest.mark.skipif(bool(bf16_problem()), reason=bf16_problem())
def test_bf16():
    model = sequence_model(precision="bf16", loss="squared_error")
    x = inputs_of(model, 3)
    np.testing.assert_array_equal(run(model.stepper(3), x), model.outputs(x)[0])


# ---- wrong arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda rnn: rnn.stepper(0), "stepper: batch_size is 0; expected an integer from 1 to"),
        (lambda rnn: rnn.stepper(2, np.zeros((3, H))), r"state 'h' is float64\(3, 6\)"),
        (lambda rnn: rnn.stepper(2)(np.zeros((3, I))), r"inputs are float64\(3, 4\); .* with B = 2"),
        (lambda rnn: rnn.stepper(2)(np.zeros((2, I + 1))), r"expected floats \(B, 4\)"),
        (lambda rnn: rnn.stepper()(np.zeros(I)), r"inputs are float64\(4,\); .* Add the axis of the batch"),
        (
            lambda rnn: rnn.stepper()(np.zeros((1, I)), h0=0),
            r"argument 'h0'.* Assign states to `stepper.state`",
        ),
        (lambda rnn: rnn.stepper()(np.zeros((1, I)), state=0), r"Assign states to `stepper.state`"),
        (lambda rnn: rnn.stepper(2)([0, I]), "inputs hold 4; expected tokens from 0 to 3"),
        (lambda rnn: rnn.stepper()(np.ones((1, I), int)), r"Convert features to floats"),
        (lambda rnn: rnn.stepper()(np.zeros((1, I)), dt=[1.0]), "unknown argument 'dt'"),
        (lambda rnn: rnn.stepper(2).reset([0, 1]), r"done is \[0, 1\]; expected 2 booleans"),
        (lambda rnn: rnn.stepper(2).reset([True]), "expected 2 booleans"),
        (lambda rnn: rnn.stepper().reset(True), "expected 1 boolean in an array"),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(UsageError, match=words):
        call(zoo.Recurrent("vanilla", I, H))


def test_layers_that_read_backwards():
    for owner in (zoo.Recurrent("vanilla", I, H, bidirectional=True), sequence_model(bidirectional=True)):
        with pytest.raises(UsageError, match="a layer that reads backwards needs the whole sequence"):
            owner.stepper()


def test_tokens_of_a_model_with_an_embedding():
    with pytest.raises(UsageError, match=r"expected integer tokens \(B,\), with B = 1"):
        sequence_model(embedding=5).stepper()(np.zeros((1, I)))


def test_auxiliary_inputs_of_another_shape():
    rnn = zoo.Recurrent("ctrnn", I, H)
    for call in (rnn.stepper(2), rnn.step):
        with pytest.raises(UsageError, match=r"input 'dt' .*expected .*\(2,\)"):
            call(np.zeros((2, I)), dt=0.1)


def test_unknown_attributes():
    with pytest.raises(AttributeError):
        zoo.Recurrent("vanilla", I, H).stepper().stat = 1


@needs_compiler
def test_steps_are_compiled(monkeypatch):
    rnn = zoo.Recurrent("vanilla", I, H, threads=1)
    x, stepper = inputs_of(rnn, 1), rnn.stepper()
    stepper(x[0])
    monkeypatch.setattr(StreamStep, "_run_kernels", None)  # the next steps do not need it
    run(stepper, x)
