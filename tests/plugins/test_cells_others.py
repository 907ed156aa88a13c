"""Cells beyond the gated ones: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import CASES, Arrays, Golden, arrays_of, name_of
from zoo_cells.classic.lem import LEM
from zoo_cells.continuous.cfc import CfC
from zoo_cells.gated.tau_gru import TauGRU
from zoo_cells.linear.delta_net import DeltaNet
from zoo_cells.linear.lru import LRU, ring
from zoo_cells.linear.min_gru import MinGRU
from zoo_cells.lstm.slstm import SLSTM, spread
from zoo_cells.memory.lmu import exponential, legendre
from zoo_cells.spiking._surrogates import SURROGATES
from zoo_cells.spiking.lif import LIF

import zoo
from zoo.testing import reference


def zeros_of(cell: zoo.Cell) -> Arrays:
    """States before the first step, of two rows."""
    return {name: np.zeros((2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}


def test_min_gru_stays_between_its_state_and_its_candidates() -> None:
    params, state, x = arrays_of(MinGRU())
    y, _ = reference.run_sequence(MinGRU(), params, x, state)
    candidates = (x @ params["Wx"] + params["b"])[..., 6:]
    reached = np.concatenate([state["h"][None], candidates])
    for t in range(7):
        assert (y[t] <= reached[: t + 2].max(axis=0) + 1e-12).all()
        assert (y[t] >= reached[: t + 2].min(axis=0) - 1e-12).all()


def test_positive_min_gru_is_positive() -> None:
    params, _, x = arrays_of(MinGRU())
    free, _ = reference.run_sequence(MinGRU(), params, x, zeros_of(MinGRU()))
    kept, _ = reference.run_sequence(MinGRU(positive=True), params, x, zeros_of(MinGRU()))
    assert free.min() < 0 < kept.min()


def test_lru_poles_start_in_the_ring() -> None:
    cell = LRU(r_min=0.4, r_max=0.9, max_phase=0.5)
    nu, theta, gamma = ring(np.random.default_rng(0), (3, 4000), cell)
    poles = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    radius = np.abs(poles)
    assert 0.4 <= radius.min() < 0.41
    assert 0.89 < radius.max() <= 0.9
    # Uniform in area: half of the area lies inside this radius.
    inner = np.mean(radius < np.sqrt((0.4**2 + 0.9**2) / 2))
    assert abs(inner - 0.5) < 0.03
    assert 0 < np.angle(poles).min() < np.angle(poles).max() <= 0.5
    np.testing.assert_allclose(np.exp(gamma) ** 2, 1 - radius**2)


def test_lru_poles_start_at_finite_numbers_on_the_unit_circle() -> None:
    assert np.isfinite(ring(np.random.default_rng(0), (3, 4000), LRU(r_min=0.9999999999))).all()


def test_lru_is_linear() -> None:
    params, first, x = arrays_of(LRU())
    _, second, other = arrays_of(LRU(), seed=1)
    params["poles"] -= 1
    y, _ = reference.run_sequence(LRU(), params, x, first)
    z, _ = reference.run_sequence(LRU(), params, other, second)
    both, _ = reference.run_sequence(
        LRU(), params, 2 * x + 3 * other, {"h": 2 * first["h"] + 3 * second["h"]}
    )
    np.testing.assert_allclose(both, 2 * y + 3 * z, atol=1e-10)


def test_lru_without_input_rotates_and_decays_by_poles() -> None:
    params, state, x = arrays_of(LRU())
    _, last = reference.run_sequence(LRU(), params, 0 * x, state)
    poles = np.exp(-np.exp(params["poles"][0]) + 1j * np.exp(params["poles"][1]))
    h = poles**7 * (state["h"][:, 0] + 1j * state["h"][:, 1])
    np.testing.assert_allclose(last["h"], np.stack([h.real, h.imag], axis=1), atol=1e-12)


def test_lem_output_uses_new_memory() -> None:
    cell = LEM(dt=1.0)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(1, 1).items()}
    params["b"][:] = [60, 60, 0.2, 0.5]  # time steps of one: both states are what drives them
    params["Wz"][:] = 3
    state = {"y": np.full((1, 1), -5.0), "z": np.full((1, 1), 4.0)}
    y, last = reference.run_sequence(cell, params, np.zeros((1, 1, 1)), state)
    np.testing.assert_allclose(last["z"], np.tanh(0.5))
    np.testing.assert_allclose(y, np.tanh(0.2 + 3 * np.tanh(0.5)))


def test_short_lem_steps_move_little() -> None:
    params, state, x = arrays_of(LEM())
    y, last = reference.run_sequence(LEM(dt=1e-6), params, x, state)
    np.testing.assert_allclose(y[-1], state["y"], atol=3e-5)
    np.testing.assert_allclose(last["z"], state["z"], atol=3e-5)


def test_lmu_buffers_are_those_of_scipy() -> None:
    golden = Golden("lmu")
    rng = np.random.default_rng(0)
    for name, expected in golden.group("buffers").items():
        actual = golden.cell.buffers[name].init(rng, expected.shape, golden.cell)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("turn", [1e-3, 1.0, 50.0])
def test_exponential_of_a_rotation(turn: float) -> None:
    actual = exponential(np.array([[0.0, -turn], [turn, 0.0]]))
    expected = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    np.testing.assert_allclose(actual, expected, atol=1e-11)


@pytest.mark.parametrize(("order", "theta"), [(1, 1.0), (32, 64.0), (128, 784.0)])
def test_lmu_memories_are_stable(order: int, theta: float) -> None:
    A, _ = legendre(order, theta)
    assert np.abs(np.linalg.eigvals(A)).max() < 1


def test_lmu_window_holds_the_input_of_theta_steps_before() -> None:
    order, theta = 12, 40.0
    A, B = legendre(order, theta)
    signal = np.sin(np.arange(200) / 9)
    m = np.zeros(order)
    for u in signal:
        m = m @ A + u * B
    # Shifted Legendre polynomials at the far end of the window are all one: their sum is u(t - theta).
    assert abs(m.sum() - signal[-1 - 40]) < 0.06
    # At the near end they alternate.
    assert abs(m @ (-1.0) ** np.arange(order) - signal[-1]) < 0.06


def test_delta_net_overwrites_value_of_key() -> None:
    cell = DeltaNet(heads=2)
    params, state, x = arrays_of(cell)
    params["Wb"] = np.full((4, 2), 100.0)  # a rate of one
    params["Wx"], x = np.abs(params["Wx"]), 5 * np.abs(x[:1])  # keys long enough to forget the 1e-6
    _, last = reference.run_sequence(cell, params, x, state)
    _, key, value = np.split(x[0] @ params["Wx"], 3, axis=-1)
    key, value = (part / (1 + np.exp(-part)) for part in (key, value))
    key = key.reshape(2, 2, 1, 3)
    key = key / np.linalg.norm(key, axis=-1, keepdims=True)
    answer = (key @ last["S"]).reshape(2, 6)
    np.testing.assert_allclose(answer, value, rtol=1e-6)


def test_delta_net_leaves_other_keys_alone() -> None:
    cell = DeltaNet()
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params, x[:1], state)
    key = np.split(x[0] @ params["Wx"], 3, axis=-1)[1]
    key = key / (1 + np.exp(-key))
    change = last["S"] - state["S"]
    assert np.abs(change).max() > 0.01
    for row in range(2):
        other = np.linalg.svd(key[row : row + 1])[2][1:]  # orthogonal to the key
        np.testing.assert_allclose(other @ change[row, 0], 0, atol=1e-12)


def test_slstm_gates_do_not_overflow() -> None:
    cell = SLSTM(heads=3)
    params, _, x = arrays_of(cell)
    for scale in (1e4, -1e4):
        params["b"][:6] = scale  # its exp overflows
        y, last = reference.run_sequence(cell, params, x.astype("float32"), zeros_of(cell))
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= 1
        assert (last["n"] >= 1).all()


def test_slstm_is_an_average_with_exponential_weights() -> None:
    cell = SLSTM()
    params, _, x = arrays_of(cell)
    params["R"][:] = 0
    y, _ = reference.run_sequence(cell, params, x, zeros_of(cell))
    i, f, z, o = np.split(x @ params["Wx"] + params["b"], 4, axis=-1)
    c = n = np.zeros((2, 6))
    for t in range(7):  # equations without a stabiliser
        keep = 1 / (1 + np.exp(-f[t]))
        c, n = keep * c + np.exp(i[t]) * np.tanh(z[t]), keep * n + np.exp(i[t])
        np.testing.assert_allclose(y[t], c / n / (1 + np.exp(-o[t])))


def test_slstm_heads_are_independent() -> None:
    cell = SLSTM(heads=3)
    params, state, x = arrays_of(cell)
    state["n"] = np.abs(state["n"]) + 1
    y, _ = reference.run_sequence(cell, params, x, state)
    moved, _ = reference.run_sequence(cell, params, x, state | {"h": state["h"] + np.eye(6)[2]})
    changed = np.abs(moved - y).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(changed, [False, False, True, True, False, False])


def test_slstm_memories_start_long_and_short_in_every_head() -> None:
    bias = spread(np.random.default_rng(0), (4 * 6,), SLSTM(heads=2)).reshape(4, 2, 3)
    np.testing.assert_allclose(bias[1, :, [0, -1]], [[5, 5], [-7, -7]])
    assert np.abs(bias[[0, 2, 3]]).max() == 0
    assert np.isfinite(spread(np.random.default_rng(0), (4,), SLSTM())).all()


def test_time_moves_a_cfc_from_one_target_to_the_other() -> None:
    cell = CfC(units=5)
    params, state, x = arrays_of(cell)
    params["Wv"][:, 12:] = 0
    params["bv"][12:18] = 1.0  # slope
    v = 1.7159 * np.tanh(0.666 * (x[0] @ params["Wx"] + state["h"] @ params["Wh"] + params["b"]))
    targets = np.tanh(v @ params["Wv"] + params["bv"])
    for passed, target in ((-60.0, targets[:, :6]), (60.0, targets[:, 6:12])):
        y, _ = reference.run_sequence(cell, params, x[:1], state, {"dt": np.full((1, 2), passed)})
        np.testing.assert_allclose(y[0], target, atol=1e-12)


def test_golden_cases_of_spiking_cells_cover_spikes_and_surrogates() -> None:
    spiking = {name for name in zoo.list_cells() if zoo.get_cell(name).family == "spiking"}
    cases = [Golden(case) for case in CASES if name_of(case) in spiking]
    assert {case.cell.options["surrogate"] for case in cases} == set(SURROGATES)
    for case in cases:
        assert set(np.unique(case.arrays["y"])) == {0.0, 1.0}
        assert 0.03 < case.arrays["y"].mean() < 0.9


def test_lif_integrates_fires_and_loses_the_threshold() -> None:
    cell = LIF(beta=0.5, threshold=1.0)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(1, 1).items()}
    params["Wx"][:] = 1
    x = np.array([0.6, 0.6, 0.6, 0.0, 3.0, 0.0]).reshape(6, 1, 1)
    state = {"s": np.zeros((1, 1)), "v": np.zeros((1, 1))}
    spikes, potentials = [], []
    for now in x:
        y, state = reference.run_sequence(cell, params, now[None], state)
        spikes.append(y.item())
        potentials.append(state["v"].item())
    np.testing.assert_allclose(potentials, [0.6, 0.9, 1.05, -0.475, 2.7625, 0.38125])
    assert spikes == [0, 0, 1, 0, 1, 0]


def test_tau_gru_uses_delayed_state() -> None:
    cell = TauGRU(delay=3)
    params, state, x = arrays_of(cell)
    params["Wh"][:] = 0
    y, last = reference.run_sequence(cell, params, x, state)
    np.testing.assert_array_equal(last["past"].swapaxes(0, 1), y[[5, 4, 3]])
    for place in range(3):
        moved = state | {"past": state["past"] + np.eye(3)[place][:, None]}
        z, _ = reference.run_sequence(cell, params, x, moved)
        changed = np.abs(z - y).max(axis=(1, 2)) > 0
        assert not changed[: 2 - place].any()
        assert changed[2 - place]


@pytest.mark.parametrize("cell", [DeltaNet(heads=4), SLSTM(heads=4)], ids=lambda cell: cell.name)
def test_heads_must_divide_the_hidden_units(cell: zoo.Cell) -> None:
    with pytest.raises(zoo.UsageError, match=r"H=6 is not divisible by ([a-z]+=)?4"):
        cell.state_shapes(4, 6) | cell.param_shapes(4, 6)
