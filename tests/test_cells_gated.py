"""The gated and classic cells: values and gradients of independent references, and what each is known for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_cells.classic.antisymmetric import Antisymmetric
from zoo_cells.classic.clockwork import Clockwork
from zoo_cells.classic.indrnn import IndRNN
from zoo_cells.gated.gru import GRU
from zoo_cells.gated.gru_reset_before import GRUResetBefore
from zoo_cells.gated.intersection_rnn import IntersectionRNN
from zoo_cells.gated.lstm import LSTM
from zoo_cells.gated.lstm_projected import LSTMProjected
from zoo_cells.gated.mgu import MGU
from zoo_cells.gated.peephole_lstm import PeepholeLSTM
from zoo_cells.gated.rhn import RHN

import zoo
from zoo.compiler import reference

Arrays = dict[str, np.ndarray]
CELLS: dict[str, type[zoo.Cell]] = {
    "antisymmetric": Antisymmetric,
    "clockwork": Clockwork,
    "gru": GRU,
    "gru_reset_before": GRUResetBefore,
    "indrnn": IndRNN,
    "indrnn_tanh": IndRNN,
    "intersection_rnn": IntersectionRNN,
    "lstm": LSTM,
    "lstm_projected": LSTMProjected,
    "mgu": MGU,
    "peephole_lstm": PeepholeLSTM,
    "rhn": RHN,
}
# Relative to the largest value of an array: sums of some tens of products over five steps, in float64.
RTOL = 1e-9


class Golden:
    """One case: its cell, and the arrays of its file."""

    def __init__(self, case: str) -> None:
        self.arrays = dict(np.load(Path(__file__).parent / "golden" / "cells" / f"{case}.npz"))
        self.cell = CELLS[case](**json.loads(self.arrays["options"].item()))

    def group(self, name: str, prefix: str = "") -> Arrays:
        """Arrays of one kind, ``group("params")``, by the name of the parameter or state."""
        start = f"{name}."
        return {
            prefix + key.removeprefix(start): value
            for key, value in self.arrays.items()
            if key.startswith(start)
        }


def assert_close(found: Any, expected: np.ndarray, what: str) -> None:
    tolerance = RTOL * max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=what)


@pytest.fixture(params=CELLS)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def test_step_gives_the_golden_values(golden: Golden) -> None:
    y, last = reference.run(golden.cell, golden.group("params"), golden.arrays["x"], golden.group("state"))
    assert_close(y, golden.arrays["y"], "y")
    for name, expected in golden.group("last").items():
        assert_close(last[name], expected, name)


def test_derived_kernels_give_the_golden_values_and_gradients(golden: Golden) -> None:
    x, state = golden.arrays["x"], golden.group("state", "l0.")
    hidden = golden.cell.state_shapes(x.shape[-1], 6)
    assert {name: value.shape[1:] for name, value in golden.group("state").items()} == hidden
    rnn = zoo.Recurrent(golden.cell, x.shape[-1], 6, dtype="float64")
    for name, value in golden.group("params", "l0.").items():
        rnn.params[name] = value
    y, last = rnn.forward(x, {name: value.astype(float) for name, value in state.items()})
    assert_close(y, golden.arrays["y"], "y")
    for name, expected in golden.group("last", "l0.").items():
        assert_close(last[name], expected, name)
    # A counter has no gradient, and the layer expects one for every state.
    dlast = {name: np.zeros(value.shape) for name, value in state.items()} | golden.group("dlast", "l0.")
    dx, dstate = rnn.backward(golden.arrays["dy"], dlast)
    assert_close(dx, golden.arrays["dx"], "dx")
    for name, expected in golden.group("dparams", "l0.").items():
        assert_close(rnn.grads[name], expected, f"d{name}")
    for name, expected in golden.group("dstate", "l0.").items():
        assert_close(dstate[name], expected, f"d{name}")


# --- What each is known for ---


def arrays_of(cell: zoo.Cell, seed: int = 0) -> tuple[Arrays, Arrays, np.ndarray]:
    """Random parameters, states of two rows and an input of seven steps, for I = 4 and H = 6."""
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=shape) for name, shape in cell.param_shapes(4, 6).items()}
    state = {name: rng.normal(size=(2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}
    state |= {name: np.zeros((2, 1)) for name, declared in cell.states.items() if declared.discrete}
    return params, state, rng.normal(size=(7, 2, 4))


@pytest.mark.parametrize(
    "cell", [LSTM(forget_bias=60.0), PeepholeLSTM(forget_bias=60.0)], ids=lambda c: c.name
)
def test_memory_is_kept_while_the_input_gate_is_shut(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    params["b"][:6] = -60
    _, last = reference.run(cell, params, x, state)
    np.testing.assert_allclose(last["c"], state["c"], atol=1e-12)


def test_peepholes_of_zero_make_an_lstm() -> None:
    params, state, x = arrays_of(PeepholeLSTM())
    y, _ = reference.run(PeepholeLSTM(), params | {"p": np.zeros((3, 6))}, x, state)
    del params["p"]
    expected, _ = reference.run(LSTM(), params, x, state)
    np.testing.assert_allclose(y, expected)


def test_the_output_gate_sees_the_new_cell() -> None:
    cell = PeepholeLSTM(forget_bias=0.0)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(1, 1).items()}
    params["b"][:] = [60, -60, 0.5, 0]  # write tanh(0.5), whatever was there
    params["p"][2] = 3.0
    state = {"h": np.zeros((1, 1)), "c": np.full((1, 1), -7.0)}
    y, last = reference.run(cell, params, np.zeros((1, 1, 1)), state)
    c = np.tanh(0.5)
    np.testing.assert_allclose(last["c"], c)
    np.testing.assert_allclose(y, np.tanh(c) / (1 + np.exp(-3 * c)))


def test_an_identity_as_projection_makes_an_lstm() -> None:
    params, state, x = arrays_of(LSTM())
    cell = LSTMProjected(proj=6)
    y, _ = reference.run(cell, params | {"Wp": np.eye(6)}, x, state)
    expected, _ = reference.run(LSTM(), params, x, state)
    np.testing.assert_allclose(y, expected)


def test_where_the_reset_stands_matters_only_when_it_resets() -> None:
    before, state, x = arrays_of(GRUResetBefore())
    after = {name: before[name] for name in ("Wx", "b")} | {"bn": np.zeros(6)}
    after["Wh"] = np.concatenate([before["Wh"], before["Wn"]], axis=1)

    def difference() -> float:
        first, _ = reference.run(GRUResetBefore(), before, x, state)
        second, _ = reference.run(GRU(), after, x, state)
        return float(np.abs(first - second).max())

    assert difference() > 0.01
    before["b"][:6] = 60  # after["b"] is the same array
    assert difference() < 1e-12


@pytest.mark.parametrize(
    ("cell", "gate", "open_at"), [(GRU(), 1, 60), (GRUResetBefore(), 1, 60), (MGU(), 0, -60)], ids=str
)
def test_a_gate_keeps_the_state(cell: zoo.Cell, gate: int, open_at: float) -> None:
    params, state, x = arrays_of(cell)
    params["b"][6 * gate : 6 * gate + 6] = open_at
    y, _ = reference.run(cell, params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-12)


def test_highways_carry_the_state_through_every_layer() -> None:
    cell = RHN(depth=10, transform_bias=-60.0)
    params, state, x = arrays_of(cell)
    y, _ = reference.run(cell, params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-9)


@pytest.mark.parametrize("depth", [1, 5])
def test_highways_are_as_deep_as_asked(depth: int) -> None:
    params = RHN(depth=depth).param_shapes(4, 6)
    assert params["R"] == (depth, 6, 12)
    assert params["b"] == (depth, 12)


def test_the_intersection_passes_the_input_on_through_depth() -> None:
    cell = IntersectionRNN(forget_bias=60.0)
    params, state, x = arrays_of(cell)
    y, last = reference.run(cell, params, x, state)
    np.testing.assert_allclose(y, x @ params["Wp"] + params["bp"], atol=1e-12)
    np.testing.assert_allclose(last["h"], state["h"], atol=1e-12)


def test_independent_units_do_not_hear_each_other() -> None:
    cell = IndRNN(activation="tanh")
    params, state, x = arrays_of(cell)
    y, _ = reference.run(cell, params, x, state)
    moved, _ = reference.run(cell, params, x, {"h": state["h"] + np.eye(6)[2]})
    changed = np.abs(moved - y).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(changed, np.arange(6) == 2)


def test_antisymmetric_flow_neither_grows_nor_decays_but_for_the_damping() -> None:
    cell = Antisymmetric(eps=0.01, gamma=0.3)
    params, _, _ = arrays_of(cell)
    params["b"][:] = 0
    # At h = 0 and x = 0 the step's Jacobian is I + eps * (U - U^T - gamma I), and tanh is odd.
    nudge = 1e-6 * np.eye(6)[None]
    steps = [
        reference.run(cell, params, np.zeros((1, 1, 4)), {"h": row})[0]
        for row in nudge.swapaxes(0, 1)[:, None]
    ]
    jacobian = np.array(steps).reshape(6, 6) / 1e-6
    eigenvalues = np.linalg.eigvals((jacobian - np.eye(6)) / cell.eps)
    np.testing.assert_allclose(eigenvalues.real, -0.3, atol=1e-6)
    assert np.abs(eigenvalues.imag).max() > 1


def test_a_clockwork_group_rests_between_its_ticks() -> None:
    cell = Clockwork(groups=3)
    params, state, x = arrays_of(cell)
    y, last = reference.run(cell, params, x, state)
    before = np.concatenate([state["h"][None], y[:-1]])
    moved = (y != before).reshape(7, 2, 3, 2).any(axis=(1, 3))  # (step, group)
    np.testing.assert_array_equal(moved, np.arange(7)[:, None] % np.array([1, 2, 4]) == 0)
    np.testing.assert_array_equal(last["n"], 7)


@pytest.mark.parametrize(("unit", "reached"), [(0, [True, False, False]), (5, [True, True, True])])
def test_a_clockwork_group_is_heard_by_faster_ones_only(unit: int, reached: list[bool]) -> None:
    cell = Clockwork(groups=3)
    params, state, x = arrays_of(cell)
    y, _ = reference.run(cell, params, x, state)
    moved, _ = reference.run(cell, params, x, state | {"h": state["h"] + np.eye(6)[unit]})
    changed = (np.abs(moved - y)[0] > 0).reshape(2, 3, 2).any(axis=(0, 2))
    np.testing.assert_array_equal(changed, reached)


def test_clockwork_wants_groups_that_divide_the_hidden_units() -> None:
    with pytest.raises(zoo.UsageError, match="6 is not divisible by 4"):
        Clockwork(groups=4).param_shapes(4, 6)


# --- Fact sheets ---


@pytest.mark.parametrize(
    "cell", sorted(set(CELLS.values()), key=lambda cell: cell.name), ids=lambda cell: cell.name
)
def test_fact_sheets_are_complete(cell: type[zoo.Cell]) -> None:
    assert cell.__module__.endswith(f".{cell.name}")
    declared = [*cell.params.values(), *cell.states.values(), *cell.declared_options.values()]
    assert all(each.help for each in declared)
    text = cell.__doc__ or ""
    assert [name for name in (*cell.params, *cell.states) if f"``{name} (" not in text] == []
