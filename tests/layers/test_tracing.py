"""Traces: named values and their gradients at every step, against running steps, differences and PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from kitchen_sink_cell import Rich
from representative_cells import REPRESENTATIVE_CELLS
from trace_asserts import CARD, Kernels, StepLoop, as_stored, differentiable, trial_of

import zoo
from zoo.compiler import interpreter
from zoo.compiler.frontend.trace_step import step_graph_of, traceable_values
from zoo.errors import UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.layers.tracing import cell_trace_names

CELLS = zoo.list_cells()


@pytest.fixture(autouse=True)
def _in_python():
    """Kernels as plain Python: what is tested here is NumPy's part."""
    with pure_python():
        yield


def traced(trial, names=True):
    """Return the output, the last states and the traces of a trial."""
    y, last = trial.rnn.forward(trial.x, trial.state, trace=names, **trial.inputs)
    return y, last, dict(trial.rnn.trace)


def gradients(trial, names=True):
    trial.rnn.backward(trial.dy, trial.dlast, trace_grads=names)
    return dict(trial.rnn.trace_grads)


def assert_close(actual, expected, rtol=1e-11):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=rtol, atol=1e-13, err_msg=name)


# ---- every cell ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_trace_matches_variables_of_running_step(name):
    trial = trial_of(name)
    y, last, traces = traced(trial)
    loop, values = StepLoop(trial, traces), traceable_values(trial.cell)
    for t, b in ((0, 0), (2, 1)):
        for called, value in loop.names_of(t, b).items():
            if called in values and not values[called].is_state:
                traced_value = traces[f"l0.{called}"][t, b]
                np.testing.assert_allclose(
                    traced_value, as_stored(value), rtol=1e-12, atol=1e-14, err_msg=called
                )
    for state, value in last.items():
        np.testing.assert_allclose(traces[state][-1], value, rtol=1e-12, atol=1e-14, err_msg=state)
    (output,) = {called for called, each in values.items() if each.nodes == (step_graph_of(trial.cell).y,)}
    np.testing.assert_allclose(traces[f"l0.{output}"], y, rtol=1e-12, atol=1e-14)


# The derivatives of cells with thresholds are surrogates.
DIFFERENTIABLE = [
    name for name in REPRESENTATIVE_CELLS if zoo.get_cell(name).family != "spiking" and name != "skip_lstm"
]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_of_every_value_are_those_of_differences(name):
    trial = trial_of(name)
    loop, names = StepLoop(trial, traced(trial)[2]), differentiable(trial.cell)
    slopes = gradients(trial, names)
    assert set(trial.cell.states) - {"past", "n"} <= {*names}
    for called in names:
        gradient = slopes[f"l0.{called}"][1]
        direction = trial.rng.normal(size=gradient.shape)
        expected = loop.slope(called, 1, direction)
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-6, abs=1e-7), called


def test_traced_gradients_match_input_gradient_of_kernels():
    for name, names in {"lif": ["current"], "lstm": ["i", "f", "g", "o"]}.items():
        trial = trial_of(name)
        trial.rnn.forward(trial.x, trial.state)
        dx, _ = trial.rnn.backward(trial.dy, trial.dlast, trace_grads=names)
        slopes = np.concatenate([trial.rnn.trace_grads[f"l0.{each}"] for each in names], axis=2)
        np.testing.assert_allclose(slopes @ trial.rnn.params["l0.Wx"].T, dx, rtol=1e-11, atol=1e-14)


# ---- against PyTorch ----------------------------------------------------------------------------------


def by_torch(trial, step, states, names):
    """Values and gradients of named tensors of every step, by automatic differentiation."""
    torch = pytest.importorskip("torch", reason="needs the extra `peers`")
    x, dy = torch.tensor(trial.x), torch.tensor(trial.dy)
    loss, kept, last = torch.zeros(()), {}, len(trial.rnn.stack.directions) - 1
    for k in range(last + 1):
        P = {name: torch.tensor(trial.rnn.params[f"l{k}.{name}"]) for name in trial.cell.params}
        now = {each: torch.tensor(trial.state[f"l{k}.{each}"], requires_grad=True) for each in states}
        outputs = []
        for t in range(len(x)):
            variables = step(torch, P, x[t], **now)
            now = {each: variables[each] for each in states}
            for name in names:
                variables[name].retain_grad()
                kept.setdefault(f"l{k}.{name}", []).append(variables[name])
            outputs.append(now["h"])
        x = torch.stack(outputs)
        loss = loss + sum((now[each] * torch.tensor(trial.dlast[f"l{k}.{each}"])).sum() for each in states)
    (loss + (x * dy).sum()).backward()
    values = {name: torch.stack(each).detach().numpy() for name, each in kept.items()}
    return values, {name: np.stack([each.grad.numpy() for each in many]) for name, many in kept.items()}


def lstm(torch, P, x, h, c):
    i, f, g, o = (x @ P["Wx"] + h @ P["Wh"] + P["b"]).chunk(4, dim=1)
    sigmoid_i, sigmoid_f, sigmoid_o, tanh_g = (*map(torch.sigmoid, (i, f, o)), torch.tanh(g))
    c = sigmoid_f * c + sigmoid_i * tanh_g
    return {**locals(), "h": sigmoid_o * torch.tanh(c)}


def gru(torch, P, x, h):
    (xr, xz, xn), (hr, hz, hn) = (x @ P["Wx"] + P["b"]).chunk(3, dim=1), (h @ P["Wh"]).chunk(3, dim=1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * (hn + P["bn"]))
    return {**locals(), "h": (1 - z) * n + z * h}


@pytest.mark.parametrize(
    ("name", "step", "states", "names"),
    [
        ("lstm", lstm, ("h", "c"), ("i", "o", "sigmoid_f", "tanh_g", "h", "c")),
        ("gru", gru, ("h",), ("r", "z", "n", "hn", "h")),
    ],
)
def test_values_and_gradients_match_pytorch_loop(name, step, states, names):
    trial = trial_of(name, layers=2, steps=7)
    values, slopes = by_torch(trial, step, states, names)
    for actual, expected in ((traced(trial, names)[2], values), (gradients(trial, names), slopes)):
        assert actual.keys() == expected.keys()
        for each, array in expected.items():
            np.testing.assert_allclose(actual[each], array, rtol=1e-10, atol=1e-14, err_msg=each)


# ---- however a sequence is gone through ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["gru", "qrnn", "ctrnn", "vanilla"])
def test_tokens_are_traced_as_their_one_hot_rows(name):
    tokens, rows = trial_of(name, tokens=True, layers=2), trial_of(name, tokens=True, layers=2)
    object.__setattr__(rows, "x", np.eye(rows.rnn.stack.input_size)[rows.x])
    assert_close(traced(tokens)[2], traced(rows)[2])
    assert_close(gradients(tokens), gradients(rows))


@pytest.mark.parametrize("name", ["lstm", "nas", "delta_net", "vanilla"])
def test_shards_threads_segments_and_chunks_change_no_trace(name, monkeypatch):
    results = []
    for threads, recompute, most in ((1, None, interpreter.MAX_ELEMENTS), (2, 4, 1)):
        monkeypatch.setattr(interpreter, "MAX_ELEMENTS", most)
        rnn = zoo.Recurrent(name, 3, 4, num_layers=2, dtype="float64", threads=threads, recompute=recompute)
        x, dy = (np.random.default_rng(n).normal(size=(9, 19, size)) for n, size in enumerate((3, 4)))
        rnn.forward(x, trace=True)
        rnn.backward(dy, trace_grads=True)
        results.append({**rnn.trace, **{f"d{name}": value for name, value in rnn.trace_grads.items()}})
    assert_close(results[1], results[0])


def test_padded_sequence_has_trace_of_unpadded_one():
    rnn = zoo.Recurrent(
        ["gru", "lstm"], 3, 4, dtype="float64", bidirectional=True, residual=True, learned_state=True, seed=2
    )
    rnn.theta += np.random.default_rng(0).normal(size=rnn.theta.size) / 5
    lengths = np.array([4, 0, 7, 1, 7, 3, 2, 5, 6, 4])
    x, dy = (np.random.default_rng(n).normal(size=(7, 10, size)) for n, size in enumerate((3, 8)))
    rnn.forward(x, lengths=lengths, trace=["h", "c", "z", "sigmoid_f"])
    rnn.backward(dy, trace_grads=["h", "c", "z"])
    padded = {"value": rnn.trace, "gradient": rnn.trace_grads}
    assert {"l0.reverse.z", "l1.reverse.sigmoid_f", "l1.c"} <= {*rnn.trace}
    for row, steps in enumerate(lengths):
        rnn.forward(x[:steps, row : row + 1], trace=list(padded["value"]))
        rnn.backward(dy[:steps, row : row + 1], trace_grads=list(padded["gradient"]))
        for kind, alone in {"value": rnn.trace, "gradient": rnn.trace_grads}.items():
            for name, value in alone.items():
                whole = padded[kind][name][:, row]
                np.testing.assert_allclose(whole[:steps], value[:, 0], rtol=1e-11, atol=1e-13, err_msg=name)
                assert not whole[steps:].any()


@pytest.mark.parametrize("recompute", [None, 3])
def test_pre_activation_gradients_sum_to_parameter_gradients(recompute):
    rnn = zoo.Recurrent(
        "vanilla",
        3,
        3,
        num_layers=2,
        dtype="float64",
        bidirectional=True,
        dropout=0.3,
        residual=True,
        recompute=recompute,
    )
    lengths = np.array([4, 7, 1, 7, 3])
    x, dy = (np.random.default_rng(n).normal(size=(7, 5, size)) for n, size in enumerate((3, 6)))
    rnn.forward(x, noise=(1, 2), lengths=lengths, trace="h")
    rnn.backward(dy, trace_grads="pre_h")
    for layer in rnn.stack.directions:
        h, slope = rnn.trace[f"{layer.prefix}h"], rnn.trace_grads[f"{layer.prefix}pre_h"]
        zero = np.zeros((1, *h.shape[1:]))
        before = np.concatenate([h[1:], zero] if layer.reverse else [zero, h[:-1]])
        grads = rnn.grads[f"{layer.prefix}Whh"], rnn.grads[f"{layer.prefix}bh"]
        np.testing.assert_allclose(np.einsum("tbi,tbj->ij", before, slope), grads[0], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(slope.sum(axis=(0, 1)), grads[1], rtol=1e-10, atol=1e-13)


def test_trace_uses_given_noise():
    rnn = zoo.Recurrent("gru+zoneout", 3, 5, dtype="float64")
    x, gates = np.random.default_rng(0).normal(size=(6, 2, 3)), []
    for step in (2, 3):
        y, _ = rnn.forward(x, noise=(1, step), trace=["r", "h"])
        assert np.array_equal(rnn.trace["l0.h"], y)
        gates.append(rnn.trace["l0.r"])
    assert np.array_equal(gates[0][0], gates[1][0])  # the first gates read states of zero
    assert not np.allclose(gates[0][1:], gates[1][1:])


def test_modified_cell_has_trace_names_of_its_step():
    assert {"i", "f", "g", "o", "sigmoid_f", "c", "h"} <= {*traceable_values(zoo.get_cell("lstm+layer_norm"))}
    assert {"r", "z", "n", "pre_r"} <= {*traceable_values(zoo.get_cell("gru+zoneout"))}


def test_float32_is_traced_in_float32():
    trial = trial_of("lstm")
    rnn = zoo.Recurrent("lstm", trial.rnn.stack.input_size, trial.rnn.stack.hidden_size)
    rnn.theta = trial.theta.astype(np.float32)
    rnn.forward(trial.x, trial.state, trace=True)
    exact = traced(trial)[2]
    assert {value.dtype for value in rnn.trace.values()} == {np.dtype(np.float32)}
    assert all(np.allclose(rnn.trace[name], value, rtol=1e-4, atol=1e-5) for name, value in exact.items())


def test_no_steps_make_empty_traces():
    rnn = zoo.Recurrent("nas", 3, 4)
    rnn.forward(np.zeros((0, 2, 3), np.float32), trace=True)
    assert {value.shape for value in rnn.trace.values()} == {(0, 2, 4)}


def test_apply_traces_onto_tape():
    trial = trial_of("gru")
    _, _, tape = trial.rnn.apply(trial.theta, trial.x, trial.state, trace=["z"])
    assert list(tape.trace) == ["l0.z"]
    assert list(trial.rnn.trace) == []


def test_copy_keeps_trace():
    trial = trial_of("gru")
    traced(trial)
    assert list(copy.deepcopy(trial.rnn).trace) == list(trial.rnn.trace)


# ---- names --------------------------------------------------------------------------------------------


class Names(zoo.Cell):
    """Names that are used twice, or for a state, or for nothing that counts."""

    card = CARD
    W = zoo.Param("I", "H")
    D = zoo.Param("H", complex=True)
    k = zoo.Param("H")
    h = zoo.State("H")
    m = zoo.State("H")
    z = zoo.State("H", complex=True)

    def step(self, x, h, m, z):
        weights = self.W
        _hidden = np.tanh(x @ weights)
        a = x @ weights + h
        a = a.reshape(1, -1)
        a = zoo.sigmoid(a)[0]
        h = a * h
        h = h * 0.5
        rate = zoo.sigmoid(self.k)
        for _ in range(2):
            a = a * rate
        z = z * self.D
        new = zoo.tanh(zoo.silu(a) + zoo.relu(h) + z.real)
        return zoo.Output(new * 2.0, new, m + a, z + 1j)


def test_trace_names_number_reassignments():
    values = traceable_values(Names())
    assert set(values) == {
        *("a_1", "a_2", "a_3", "a", "h_1", "h_2", "rate", "new", "h", "m", "z_1", "z", "y"),
        *("silu_a", "relu_h_2", "pre_new"),
    }
    assert [name for name, value in values.items() if value.is_state] == [
        name for name in values if name in ("h", "m", "z")
    ]
    assert {name: value.function for name, value in values.items() if value.function} == {
        "a_2": "sigmoid",
        "rate": "sigmoid",
        "new": "tanh",
        "h": "tanh",
        "silu_a": "silu",
        "relu_h_2": "relu",
    }
    assert [name for name, value in values.items() if not value.varies] == ["rate"]


class Swapped(zoo.Cell):
    """Two names that change places, twice for one of them."""

    card = CARD
    W = zoo.Param("I", "2H")
    h = zoo.State("H")

    def step(self, x, h):
        a, b = zoo.split(zoo.tanh(x @ self.W), 2)
        kept = a
        a, b = b, a
        a = kept
        return a * h + b


def test_plain_trace_name_is_last_assignment():
    values = traceable_values(Swapped())
    assert values["a"].nodes == values["b"].nodes == values["kept"].nodes != values["a_1"].nodes
    assert values["a_1"].nodes == values["b_1"].nodes
    assert {values[name].function for name in ("a", "a_1", "b_1")} == {"tanh"}


def test_parameter_only_values_are_traced_once():
    rnn = zoo.Recurrent("fastgrnn", 3, 4)
    rnn.forward(np.ones((5, 2, 3), np.float32), trace=["zeta"])
    zeta = rnn.trace["l0.zeta"]
    assert zeta.shape == (5, 2)
    assert zeta.strides[:2] == (0, 0)
    assert not zeta.flags.writeable
    with pytest.raises(UsageError, match=r"'l0\.zeta', which has no gradient at each step"):
        rnn.backward(np.ones((5, 2, 4), np.float32), trace_grads="zeta")


def test_names_choose_layers():
    rnn = zoo.Recurrent("gru", 3, 4, num_layers=2)
    assert rnn.trace_names[:2] == ("l0.r_1", "l0.z_1")
    assert len(rnn.trace_names) == 2 * len(cell_trace_names(rnn.cell))
    x = np.ones((5, 2, 3), np.float32)
    for names, traced_names in {"z": ["l0.z", "l1.z"], "l1.z": ["l1.z"]}.items():
        rnn.forward(x, trace=names)
        assert list(rnn.trace) == traced_names
    rnn.forward(x, trace=("l1.z", "r"))
    assert list(rnn.trace) == ["l0.r", "l1.r", "l1.z"]


def test_only_requested_names_are_traced():
    rnn = zoo.Recurrent("gru", 3, 4)
    x = np.ones((5, 2, 3), np.float32)
    rnn.forward(x, trace=True)
    y, _ = rnn.forward(x)
    rnn.backward(y, trace_grads=True)
    assert list(rnn.trace) == []
    assert list(rnn.trace_grads) == ["l0.h"]
    rnn.backward(y)
    assert list(rnn.trace_grads) == []
    with pytest.raises(UnknownNameError, match=r"request it with forward\(x, trace="):
        rnn.trace["l0.z"]
    with pytest.raises(UnknownNameError, match=r"request it with backward\(dy, trace_grads="):
        rnn.trace_grads["l0.h"]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("q", UnknownNameError, "trace asks for 'q'; there are r_1, z_1"),
        ("l0.zz", UnknownNameError, "Did you mean 'l0.z'"),
        ([3], UsageError, "asks for 3; expected True for everything"),
        (7, UsageError, "asks for 7; expected True for everything"),
    ],
)
def test_invalid_trace_names_raise(names, error, message):
    rnn = zoo.Recurrent("gru", 3, 4)
    with pytest.raises(error, match=message):
        rnn.forward(np.ones((5, 2, 3), np.float32), trace=names)


def test_integer_values_have_no_gradient():
    trial = trial_of("clockwork")
    traced(trial)
    assert list(gradients(trial)) == ["l0.h"]
    with pytest.raises(UsageError, match=r"'l0\.n', which has no gradient at each step"):
        gradients(trial, ["n"])


def test_input_named_trace_raises():
    with pytest.raises(zoo.DefinitionError, match="input 'trace' has the name of an argument"):
        type("Bad", (Names,), {"__doc__": "Bad.", "trace": zoo.Input(default=1.0), "step": bad_step})


def bad_step(self, x, h, m, z, trace):
    return h, m, z


# ---- cells with kernels of their own ------------------------------------------------------------------


def test_states_are_traced_without_step():
    stated, bare = trial_of(Rich(), steps=4), trial_of(Kernels(), steps=4)
    bare.rnn.fill({**stated.rnn.params, **stated.rnn.buffers})
    assert bare.rnn.trace_names == ("l0.h", "l0.z", "l0.n")
    expected = traced(stated)[2]
    assert_close(traced(bare)[2], {name: expected[name] for name in bare.rnn.trace_names})
    assert_close(gradients(bare, "h"), gradients(stated, "h"))


def test_trace_gradients_without_step():
    trial = trial_of(Kernels(), steps=4)
    _, _, traces = traced(trial)
    slopes = gradients(trial)["l0.z"]
    for t in range(3):
        state = {name: value[t] for name, value in traces.items()}
        trial.rnn.forward(trial.x[t + 1 :], state, dt=trial.inputs["dt"][t + 1 :])
        _, dstate = trial.rnn.backward(trial.dy[t + 1 :], trial.dlast)
        np.testing.assert_allclose(slopes[t], dstate["l0.z"], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(slopes[3], trial.dlast["l0.z"])


def test_traces_survive_the_loss_of_the_stored_graph():
    """Names and nodes come from one graph, also if the stored graph was replaced by those of other cells."""
    rnn = zoo.Recurrent("gru+diagonal", 3, 4, dtype="float64")
    x = np.ones((2, 1, 3))
    rnn(x, trace="update_gate")
    expected = rnn.trace["update_gate"]
    step_graph_of.cache_clear()
    rnn(x, trace="update_gate")
    np.testing.assert_array_equal(rnn.trace["update_gate"], expected)
    step_graph_of.cache_clear()
    rnn.backward(np.ones((2, 1, 4)), trace_grads="update_gate")
    assert rnn.trace_grads["update_gate"].any()
