"""The gated and classic cells: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import arrays_of
from zoo_cells.classic.antisymmetric import Antisymmetric
from zoo_cells.classic.clockwork import Clockwork
from zoo_cells.gated.gru import GRU
from zoo_cells.gated.gru_reset_before import GRUResetBefore
from zoo_cells.gated.intersection_rnn import IntersectionRNN
from zoo_cells.gated.mgu import MGU
from zoo_cells.gated.rhn import RHN
from zoo_cells.linear.indrnn import IndRNN
from zoo_cells.lstm.lstm import LSTM
from zoo_cells.lstm.lstm_projected import LSTMProjected
from zoo_cells.lstm.peephole_lstm import PeepholeLSTM

import zoo
from zoo.testing import reference


@pytest.mark.parametrize(
    "cell", [LSTM(forget_bias=60.0), PeepholeLSTM(forget_bias=60.0)], ids=lambda c: c.name
)
def test_memory_is_kept_while_the_input_gate_is_shut(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    params["b"][:6] = -60
    _, last = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(last["c"], state["c"], atol=1e-12)


def test_peepholes_of_zero_make_an_lstm() -> None:
    params, state, x = arrays_of(PeepholeLSTM())
    y, _ = reference.run_sequence(PeepholeLSTM(), params | {"p": np.zeros((3, 6))}, x, state)
    del params["p"]
    expected, _ = reference.run_sequence(LSTM(), params, x, state)
    np.testing.assert_allclose(y, expected)


def test_output_gate_sees_the_new_cell() -> None:
    cell = PeepholeLSTM(forget_bias=0.0)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(1, 1).items()}
    params["b"][:] = [60, -60, 0.5, 0]  # write tanh(0.5), whatever was there
    params["p"][2] = 3.0
    state = {"h": np.zeros((1, 1)), "c": np.full((1, 1), -7.0)}
    y, last = reference.run_sequence(cell, params, np.zeros((1, 1, 1)), state)
    c = np.tanh(0.5)
    np.testing.assert_allclose(last["c"], c)
    np.testing.assert_allclose(y, np.tanh(c) / (1 + np.exp(-3 * c)))


def test_identity_as_projection_makes_an_lstm() -> None:
    params, state, x = arrays_of(LSTM())
    cell = LSTMProjected(proj=6)
    y, _ = reference.run_sequence(cell, params | {"Wp": np.eye(6)}, x, state)
    expected, _ = reference.run_sequence(LSTM(), params, x, state)
    np.testing.assert_allclose(y, expected)


def test_reset_position_matters_only_when_resetting() -> None:
    before, state, x = arrays_of(GRUResetBefore())
    after = {name: before[name] for name in ("Wx", "b")} | {"bn": np.zeros(6)}
    after["Wh"] = np.concatenate([before["Wh"], before["Wn"]], axis=1)

    def difference() -> float:
        first, _ = reference.run_sequence(GRUResetBefore(), before, x, state)
        second, _ = reference.run_sequence(GRU(), after, x, state)
        return float(np.abs(first - second).max())

    assert difference() > 0.01
    before["b"][:6] = 60  # after["b"] is the same array
    assert difference() < 1e-12


@pytest.mark.parametrize(
    ("cell", "gate", "open_at"), [(GRU(), 1, 60), (GRUResetBefore(), 1, 60), (MGU(), 0, -60)], ids=str
)
def test_gate_keeps_the_state(cell: zoo.Cell, gate: int, open_at: float) -> None:
    params, state, x = arrays_of(cell)
    params["b"][6 * gate : 6 * gate + 6] = open_at
    y, _ = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-12)


def test_highways_carry_the_state_through_every_layer() -> None:
    cell = RHN(depth=10, transform_bias=-60.0)
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-9)


@pytest.mark.parametrize("depth", [1, 5])
def test_highway_depth(depth: int) -> None:
    params = RHN(depth=depth).param_shapes(4, 6)
    assert params["R"] == (depth, 6, 12)
    assert params["b"] == (depth, 12)


def test_intersection_passes_the_input_on_through_depth() -> None:
    cell = IntersectionRNN(forget_bias=60.0)
    params, state, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(y, x @ params["Wp"] + params["bp"], atol=1e-12)
    np.testing.assert_allclose(last["h"], state["h"], atol=1e-12)


def test_independent_units_are_independent() -> None:
    cell = IndRNN(activation="tanh")
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    moved, _ = reference.run_sequence(cell, params, x, {"h": state["h"] + np.eye(6)[2]})
    changed = np.abs(moved - y).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(changed, np.arange(6) == 2)


def test_antisymmetric_flow_decays_by_damping_only() -> None:
    cell = Antisymmetric(eps=0.01, gamma=0.3)
    params, _, _ = arrays_of(cell)
    params["b"][:] = 0
    # At h = 0 and x = 0 the step's Jacobian is I + eps * (U - U^T - gamma I), and tanh is odd.
    nudge = 1e-6 * np.eye(6)[None]
    steps = [
        reference.run_sequence(cell, params, np.zeros((1, 1, 4)), {"h": row})[0]
        for row in nudge.swapaxes(0, 1)[:, None]
    ]
    jacobian = np.array(steps).reshape(6, 6) / 1e-6
    eigenvalues = np.linalg.eigvals((jacobian - np.eye(6)) / cell.eps)
    np.testing.assert_allclose(eigenvalues.real, -0.3, atol=1e-6)
    assert np.abs(eigenvalues.imag).max() > 1


def test_clockwork_group_rests_between_its_ticks() -> None:
    cell = Clockwork(groups=3)
    params, state, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params, x, state)
    before = np.concatenate([state["h"][None], y[:-1]])
    moved = (y != before).reshape(7, 2, 3, 2).any(axis=(1, 3))  # (step, group)
    np.testing.assert_array_equal(moved, np.arange(7)[:, None] % np.array([1, 2, 4]) == 0)
    np.testing.assert_array_equal(last["n"], 7)


@pytest.mark.parametrize(("unit", "reached"), [(0, [True, False, False]), (5, [True, True, True])])
def test_clockwork_groups_feed_only_faster_groups(unit: int, reached: list[bool]) -> None:
    cell = Clockwork(groups=3)
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    moved, _ = reference.run_sequence(cell, params, x, state | {"h": state["h"] + np.eye(6)[unit]})
    changed = (np.abs(moved - y)[0] > 0).reshape(2, 3, 2).any(axis=(0, 2))
    np.testing.assert_array_equal(changed, reached)


def test_clockwork_groups_must_divide_hidden_size() -> None:
    with pytest.raises(zoo.UsageError, match=r"H=6 is not divisible by ([a-z]+=)?4"):
        Clockwork(groups=4).param_shapes(4, 6)
