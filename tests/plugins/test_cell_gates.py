"""The gates of cells in traces: names that mean the same quantity in every cell."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.layers.tracing import cell_gates

T, B, I, H = 6, 3, 4, 8  # noqa: E741 - the letters of the documents
GATED = [name for name in zoo.list_cells() if zoo.get_cell(name).gates != zoo.Gates()]
FACTORS = ("input_gate", "forget_gate", "output_gate", "reset_gate", "update_gate")


@pytest.fixture(autouse=True)
def _in_python():
    """Kernels as plain Python: compiling them takes minutes."""
    with pure_python():
        yield


def traced(cell, names=True, layers=1, **options):
    """A layer with random parameters, and all traces of a sequence."""
    rnn = zoo.Recurrent(cell, I, H, num_layers=layers, dtype="float64", threads=1, **options)
    rng = np.random.default_rng(5)
    rnn.theta += rng.normal(size=rnn.theta.size) / 2
    rnn(rng.normal(size=(T, B, I)), trace=names)
    return rnn


def test_gated_families_declare_their_gates():
    without = {
        name
        for name in zoo.list_cells()
        if zoo.get_cell(name).family in ("gated", "lstm") and name not in GATED
    }
    # The factors of miru2 are constants, and the tree of nas has no gate with the meaning of one here.
    assert without == {"miru2", "nas"}


@pytest.mark.parametrize("cell", GATED)
def test_gates_are_factors_from_zero_to_one(cell):
    rnn = traced(cell)
    for name, (value, is_complement) in cell_gates(rnn.cell).items():
        gate, own = rnn.trace[name], rnn.trace[value]
        np.testing.assert_array_equal(gate, 1 - own if is_complement else own)
        if name in FACTORS:
            assert gate.min() >= 0, name
            assert gate.max() <= 1, name
            assert gate.max() > 0, name


# Cells whose new state is not `forget * old + input * candidate`: the equation of those that have all three.
OTHERS = {
    "cfn": lambda old, forget, write, candidate: forget * np.tanh(old) + write * candidate,
    "sgrn": lambda old, forget, write, candidate: np.tanh(forget * old + write * candidate),
    "star": lambda old, forget, write, candidate: np.tanh(forget * old + write * candidate),
    "rg_lru": lambda old, forget, write, candidate: forget * old + np.sqrt(1 - forget**2) * write * candidate,
}


@pytest.mark.parametrize("cell", GATED)
def test_gates_satisfy_the_equation_of_the_state(cell):
    rnn = traced(cell)
    gates = [rnn.trace.get(name) for name in ("forget_gate", "input_gate", "candidate")]
    if any(gate is None for gate in gates) or cell == "rhn":  # a step of rhn has several old states
        pytest.skip("has no input gate, forget gate or candidate")
    state = rnn.trace["c" if "c" in rnn.cell.states else "h"]
    equation = OTHERS.get(cell, lambda old, forget, write, candidate: forget * old + write * candidate)
    expected = equation(state[:-1], *(gate[1:] for gate in gates))
    np.testing.assert_allclose(state[1:], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "cifg_lstm", "peephole_lstm", "indy_lstm", "multiplicative_lstm"])
def test_output_gate_multiplies_the_squashed_cells(cell):
    rnn = traced(cell)
    expected = rnn.trace["output_gate"] * np.tanh(rnn.trace["c"])
    np.testing.assert_allclose(rnn.trace["h"], expected, rtol=0, atol=1e-12)


def test_reset_gate_of_the_gru():
    rnn = traced("gru")
    x = np.random.default_rng(5)
    x.normal(size=rnn.theta.size)
    x, before = x.normal(size=(T, B, I))[1:], rnn.trace["h"][:-1]
    part = slice(2 * H, None)
    recurrent = before @ rnn.params["Wh"][:, part] + rnn.params["bn"]
    direct = x @ rnn.params["Wx"][:, part] + rnn.params["b"][part]
    expected = np.tanh(direct + rnn.trace["reset_gate"][1:] * recurrent)
    np.testing.assert_allclose(rnn.trace["candidate"][1:], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "mgu", "cifg_lstm"])
@pytest.mark.parametrize("modifier", zoo.list_modifiers())
def test_modified_cells_keep_their_gates(cell, modifier):
    try:
        modified = zoo.modify(cell, modifier)
    except UsageError:
        pytest.skip("does not suit")
    rnn = traced(modified, [*cell_gates(modified)])
    assert {name.removeprefix("l0.") for name in rnn.trace} == set(cell_gates(zoo.get_cell(cell)))
    for name in set(FACTORS) & set(cell_gates(modified)):
        assert 0 <= rnn.trace[name].min() <= rnn.trace[name].max() <= 1


def test_one_name_in_all_layers():
    rnn = traced(["gru", "vanilla", "lstm"], "forget_gate")
    assert list(rnn.trace) == ["l0.forget_gate", "l2.forget_gate"]
    with pytest.raises(UnknownNameError, match=r"'forget_gat'.*Did you mean 'forget_gate'"):
        traced("gru", "forget_gat")
    with pytest.raises(UnknownNameError, match="forget_gate"):
        traced("vanilla", "forget_gate")


def test_complements_of_padded_sequences_and_their_gradients():
    rnn = zoo.Recurrent("gru", I, H, bidirectional=True, dtype="float64", threads=1)
    x, lengths = np.random.default_rng(0).normal(size=(T, B, I)), np.array([6, 2, 4])
    y, _ = rnn(x, lengths=lengths, trace=["input_gate", "z"])
    rnn.backward(np.ones_like(y), trace_grads=["input_gate", "update_gate"])
    for prefix in ("l0.", "l0.reverse."):
        gate, z = rnn.trace[prefix + "input_gate"], rnn.trace[prefix + "z"]
        for row, length in enumerate(lengths):
            np.testing.assert_array_equal(gate[:length, row], 1 - z[:length, row])
            assert not gate[length:, row].any()
        grads = rnn.trace_grads
        np.testing.assert_array_equal(grads[prefix + "input_gate"], -grads[prefix + "update_gate"])


def make_cell(declared):
    class Gated(zoo.Cell):
        """A cell for tests."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")
        gates = declared

        def step(self, x, h):
            keep = zoo.sigmoid(x @ self.W)
            return keep * h

    return Gated


def test_invalid_declarations():
    with pytest.raises(DefinitionError, match=r"gates is 3; expected zoo\.Gates"):
        make_cell(3)
    with pytest.raises(
        DefinitionError, match="declares forget_gate as 'kept', but step has no 'kept'; it has"
    ):
        traced(make_cell(zoo.Gates(forget_gate="kept")))
    assert traced(make_cell(zoo.Gates(forget_gate="keep"))).trace["forget_gate"].shape == (T, B, H)
    with pytest.raises(TypeError, match="unexpected"):
        zoo.Gates(forget="keep")
