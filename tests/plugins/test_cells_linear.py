"""The linear and continuous cells: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import HIDDEN, INPUTS, Arrays, arrays_of
from zoo_cells.continuous.gru_ode import GRUODE
from zoo_cells.continuous.ltc import LTC
from zoo_cells.gated.gru_reset_before import GRUResetBefore
from zoo_cells.linear.hgrn import HGRN
from zoo_cells.linear.min_gru import MinGRU
from zoo_cells.linear.min_lstm import MinLSTM
from zoo_cells.linear.qrnn import QRNN
from zoo_cells.linear.rg_lru import RGLRU
from zoo_cells.linear.s4d import S4D
from zoo_cells.linear.s5 import S5, hippo_normal
from zoo_cells.linear.sru import SRU

import zoo
from zoo.testing import reference


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("k", [2, 4])
def test_qrnn_without_memory_sees_k_inputs(k: int) -> None:
    cell = QRNN(k=k)
    params, state, x = arrays_of(cell)
    params["b"][6:12] = -60
    y, _ = reference.run_sequence(cell, params, x, state)
    x[0] += 1
    moved, _ = reference.run_sequence(cell, params, x, state)
    changed = np.abs(moved - y).max(axis=(1, 2)) > 1e-9
    np.testing.assert_array_equal(changed, np.arange(7) < k)


@pytest.mark.parametrize(("cell", "gate"), [(QRNN(), 1), (SRU(), 0)], ids=str)
def test_forget_gate_near_one_keeps_the_memory(cell: zoo.Cell, gate: int) -> None:
    params, state, x = arrays_of(cell)
    params["b"][6 * gate : 6 * gate + 6] = 80
    _, last = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(last["c"], state["c"], atol=1e-12)


def test_sru_with_closed_reset_gate_passes_input() -> None:
    params, state, x = arrays_of(SRU())
    params["b"][6:] = -80
    y, _ = reference.run_sequence(SRU(), params, x, state)
    np.testing.assert_allclose(y, x @ params["Wx"][:, 18:], atol=1e-12)


def test_highway_bias_sets_initial_gate() -> None:
    rnn = zoo.Recurrent(SRU(highway_bias=-2.0), 40, 300, dtype="float64")
    variances = [40 * part.var() for part in np.split(rnn.params["l0.Wx"], 4, axis=1)]
    np.testing.assert_allclose(variances, [1, 0.5, 0.5, 1 + 2 * np.exp(-2)], rtol=0.05)
    np.testing.assert_array_equal(rnn.params["l0.b"], np.repeat([0.0, -2.0], 300))


@pytest.mark.parametrize("positive", [False, True])
def test_min_lstm_with_opposite_gates_is_min_gru(positive: bool) -> None:
    params, state, x = arrays_of(MinGRU())
    expected, _ = reference.run_sequence(MinGRU(positive=positive), params, x, state)
    gates = {
        name: np.concatenate([-value[..., :6], value[..., :6], value[..., 6:]], axis=-1)
        for name, value in params.items()
    }
    y, _ = reference.run_sequence(MinLSTM(positive=positive), gates, x, state)
    np.testing.assert_allclose(y, expected)


def test_closed_gates_are_normalised_to_one() -> None:
    params, state, x = arrays_of(MinLSTM())
    params["Wx"][:, :12] = 0
    params["b"][:12] = -1e4  # the sigmoid of that is zero
    y, _ = reference.run_sequence(MinLSTM(), params, x, state)
    n = x @ params["Wx"][:, 12:] + params["b"][12:]
    np.testing.assert_allclose(y[0], (state["h"] + n[0]) / 2)


def test_forget_gate_has_lower_bound() -> None:
    cell = HGRN(lower_bound=0.8)
    params, state, x = arrays_of(cell)
    params["b"][:6] = -80
    y, _ = reference.run_sequence(cell, params, x, state)
    n = x[0] @ params["Wx"][:, 6:] + params["b"][6:]
    np.testing.assert_allclose(y[0], 0.8 * state["h"] + 0.2 * n * sigmoid(n))


@pytest.mark.parametrize("cell", [S4D(order=8), S5(order=8, blocks=2)], ids=lambda cell: cell.name)
def test_two_half_steps_equal_one_step(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    whole, last = reference.run_sequence(cell, params, x, state)
    halved = params | {"log_dt": params["log_dt"] - np.log(2)}
    y, last_halved = reference.run_sequence(cell, halved, np.repeat(x, 2, axis=0), state)
    np.testing.assert_allclose(y[1::2], whole, rtol=1e-9)
    np.testing.assert_allclose(last_halved["s"], last["s"], rtol=1e-9)


def test_channels_of_s4d_are_independent() -> None:
    cell = S4D(order=8)
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    moved, _ = reference.run_sequence(cell, params, x, {"s": state["s"] + np.eye(6)[2][:, None]})
    changed = np.abs(moved - y).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(changed, np.arange(6) == 2)


@pytest.mark.parametrize(("start", "last"), [("lin", 3 * np.pi), ("inv", 8 / np.pi * (8 / 7 - 1))])
def test_initial_poles_of_s4d_match_paper(start: str, last: float) -> None:
    rnn = zoo.Recurrent(S4D(order=8, start=start), 3, 5, dtype="float64")
    np.testing.assert_allclose(rnn.params["l0.freq"][:, -1], last)
    np.testing.assert_allclose(np.exp(rnn.params["l0.log_rate"]), 0.5)


def test_poles_of_s5_start_as_the_normal_part_of_hippo() -> None:
    n = np.arange(8)
    legs = -np.tril(np.sqrt(np.outer(2 * n + 1, 2 * n + 1)), -1) - np.diag(n + 1.0)
    normal = legs + np.sqrt(np.outer(n + 0.5, n + 0.5))
    poles, vectors = hippo_normal(8)
    np.testing.assert_allclose(2 * ((vectors * poles) @ vectors.conj().T).real, normal, atol=1e-12)
    real, imaginary = zoo.Recurrent(S5(order=16, blocks=2), 3, 5, dtype="float64").params["l0.A"]
    np.testing.assert_allclose(real + 1j * imaginary, np.tile(poles, 2), atol=1e-12)


@pytest.mark.parametrize("clip", [False, True])
def test_poles_of_s5_can_be_clipped(clip: bool) -> None:
    cell = S5(order=8, blocks=1, clip=clip)
    params, state, x = arrays_of(cell)
    params["A"][0] = 0.5
    _, last = reference.run_sequence(cell, params, np.zeros((50, *x.shape[1:])), state)
    assert (np.abs(last["s"]).max() < np.abs(state["s"]).max() * np.sqrt(2)) == clip


def test_rg_lru_input_scaling_balances_decay() -> None:
    cell = RGLRU()
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(INPUTS, HIDDEN).items()}
    params["Wx"][0] = 1
    params["decay"][:] = np.linspace(-8, 0, HIDDEN)
    one, zero = np.ones((1, HIDDEN)), np.zeros((1, HIDDEN))
    kept, _ = reference.run_sequence(cell, params, np.zeros((1, 1, INPUTS)), {"h": one})
    entered, _ = reference.run_sequence(cell, params, np.ones((1, 1, INPUTS)), {"h": zero})
    np.testing.assert_allclose(kept**2 + (entered / 0.5) ** 2, 1)  # the input gate is half open
    assert (np.diff(kept[0, 0]) < 0).all()


def test_rg_lru_with_closed_gate_keeps_state_and_finite_gradient() -> None:
    rnn = zoo.Recurrent(RGLRU(heads=2), INPUTS, HIDDEN, dtype="float64")
    b = np.zeros((2, 6))
    b[:, :3] = -1e4
    rnn.fill({"l0.b": b})
    state = {"l0.h": np.ones((1, HIDDEN))}
    with zoo.kernels.pure_python():
        y, _ = rnn.forward(np.ones((5, 1, INPUTS)), state)
        rnn.backward(np.ones_like(y))
    np.testing.assert_allclose(y, 1, atol=1e-9)
    assert all(np.isfinite(gradient).all() for gradient in rnn.grads.values())


def at(dt: float) -> Arrays:
    return {"dt": np.full((7, 2), dt)}


@pytest.mark.parametrize("cell", [LTC(), GRUODE(steps=3)], ids=lambda cell: cell.name)
def test_zero_time_step_changes_nothing(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state, at(0.0))
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-12)


@pytest.mark.parametrize("dt", [0.1, 1.0, 1e6])
def test_neurons_stay_between_reversal_potentials(dt: float) -> None:
    params, state, x = arrays_of(LTC())
    pulls = np.concatenate([params[name].ravel() for name in ("vleak", "erev", "erevx")])
    pulls = np.concatenate([pulls, state["h"].ravel()])
    y, _ = reference.run_sequence(LTC(), params, x, state, at(dt))
    assert pulls.min() - 1e-6 <= y.min()
    assert y.max() <= pulls.max() + 1e-6


def test_gru_ode_is_a_gru_after_one_step_of_one() -> None:
    params, state, x = arrays_of(GRUResetBefore())
    expected, _ = reference.run_sequence(GRUResetBefore(), params, x, state)
    y, _ = reference.run_sequence(GRUODE(), params, x, state, at(1.0))
    np.testing.assert_allclose(y, expected)


def test_euler_error_decreases_with_step_size() -> None:
    params, state, x = arrays_of(GRUODE())

    def flow(steps: int) -> np.ndarray:
        return reference.run_sequence(GRUODE(steps=steps), params, x, state, at(0.5))[0]

    errors = [np.abs(flow(steps) - flow(64)).max() for steps in (4, 8, 16)]
    assert errors[0] > 1.8 * errors[1] > 3.2 * errors[2] > 0
