"""The classic cells: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import HIDDEN, INPUTS, Arrays, arrays_of
from zoo_cells.classic.antisymmetric import Antisymmetric
from zoo_cells.classic.cornn import CoRNN
from zoo_cells.classic.ctrnn import CTRNN
from zoo_cells.classic.esn import ESN
from zoo_cells.classic.fastrnn import FastRNN
from zoo_cells.classic.gated_antisymmetric import GatedAntisymmetric
from zoo_cells.classic.irnn import IRNN
from zoo_cells.classic.leaky_rnn import LeakyRNN
from zoo_cells.classic.lipschitz import Lipschitz
from zoo_cells.classic.mi_rnn import MIRNN
from zoo_cells.classic.momentum_rnn import MomentumRNN
from zoo_cells.classic.plrnn import PLRNN
from zoo_cells.classic.scrn import SCRN
from zoo_cells.classic.unicornn import UnICORNN
from zoo_cells.classic.urnn import URNN
from zoo_cells.classic.vanilla import Vanilla

import zoo
from zoo.testing import reference


def started(cell: zoo.Cell, hidden: int = HIDDEN, seed: int = 0) -> Arrays:
    """Parameters and buffers as they start."""
    rnn = zoo.Recurrent(cell, INPUTS, hidden, dtype="float64", seed=seed)
    return {name.removeprefix("l0."): value for name, value in {**rnn.params, **rnn.buffers}.items()}


def vanilla(x: np.ndarray, h: np.ndarray, Wx: np.ndarray, Wh: np.ndarray, b: np.ndarray) -> np.ndarray:
    return reference.run_sequence(Vanilla(), {"Wxh": Wx, "Whh": Wh, "bh": b}, x, {"h": h})[0]


@pytest.mark.parametrize(
    ("cell", "fixed"),
    [
        (LeakyRNN(leak=1.0), {}),
        (MIRNN(), {"alpha": np.zeros(6), "beta1": np.ones(6), "beta2": np.ones(6)}),
        (MomentumRNN(mu=0.0, epsilon=1.0), {}),
        (FastRNN(), {"alpha": np.array(60.0), "beta": np.array(-60.0)}),
    ],
    ids=lambda value: value.name if isinstance(value, zoo.Cell) else "",
)
def test_special_case_is_the_vanilla_network(cell: zoo.Cell, fixed: Arrays) -> None:
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params | fixed, x, state)
    expected = vanilla(x, state["h"], params["Wx"], params["Wh"], params["b"])
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_identity_relu_units_accumulate_inputs() -> None:
    params = started(IRNN())
    assert np.abs(params["Wx"]).max() < 0.01
    params["Wx"] = np.abs(params["Wx"])
    x = np.abs(arrays_of(IRNN())[2])
    y, _ = reference.run_sequence(IRNN(), params, x, {"h": np.zeros((2, HIDDEN))})
    np.testing.assert_allclose(y, np.cumsum(x @ params["Wx"], axis=0))


def test_leaky_units_interpolate() -> None:
    params, state, x = arrays_of(LeakyRNN())
    y, _ = reference.run_sequence(LeakyRNN(leak=0.25), params, x[:1], state)
    target = vanilla(x[:1], state["h"], params["Wx"], params["Wh"], params["b"])
    np.testing.assert_allclose(y - state["h"], (target - state["h"]) / 4)


def test_reservoir_has_requested_spectral_radius() -> None:
    cell = ESN(radius=0.8, density=0.5, leak=0.4)
    arrays = started(cell, hidden=40)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(arrays["Wh"])).max(), 0.8)
    assert 0.3 < (arrays["Wh"] != 0).mean() < 0.7
    x, h = arrays_of(cell)[2], np.zeros((2, 40))
    y, _ = reference.run_sequence(cell, arrays, x, {"h": h})
    weights = {name: arrays[name] for name in ("Wx", "Wh", "b")}
    expected, _ = reference.run_sequence(LeakyRNN(leak=0.4), weights, x, {"h": h})
    np.testing.assert_allclose(y, expected)


def test_echoes_of_the_first_state_fade() -> None:
    cell = ESN(radius=0.8)
    arrays = started(cell, hidden=40)
    x = np.random.default_rng(0).normal(size=(150, 1, INPUTS))
    ends = [reference.run_sequence(cell, arrays, x, {"h": np.full((1, 40), h)})[0][-1] for h in (-1.0, 1.0)]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def test_reservoir_without_a_cycle_is_not_scaled() -> None:
    arrays = started(ESN(density=0.0))
    np.testing.assert_array_equal(arrays["Wh"], np.zeros((HIDDEN, HIDDEN)))


def test_model_neurons_approach_their_input_exponentially() -> None:
    cell = CTRNN(tau_min=2.0)
    params, state, x = arrays_of(cell)
    params["Wh"][:] = 0
    params["s"][:] = np.log(np.expm1(98.0))  # a time constant of 100
    dt = np.full((7, 2), 0.5)
    x[:] = x[0]
    _, last = reference.run_sequence(cell, params, x, state, {"dt": dt})
    target = x[0] @ params["Wx"]
    np.testing.assert_allclose(last["h"] - target, (state["h"] - target) * (1 - 0.005) ** 7)


def test_time_constants_start_within_a_factor_of_ten() -> None:
    cell = CTRNN(tau_min=3.0)
    tau = 3 + np.logaddexp(0, started(cell, hidden=300)["s"])
    assert 3 < tau.min() < 3.5
    assert 27 < tau.max() <= 30


def test_zero_time_step_changes_nothing() -> None:
    params, state, x = arrays_of(CTRNN())
    _, last = reference.run_sequence(CTRNN(), params, x, state, {"dt": np.zeros((7, 2))})
    np.testing.assert_array_equal(last["h"], state["h"])


def test_context_is_running_mean_seen_in_same_step() -> None:
    cell = SCRN(context=3, alpha=0.5)
    params, state, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params, x[:1], state)
    s = (x[0] @ params["Wb"] + state["s"]) / 2
    h = x[0] @ params["Wx"] + state["h"] @ params["Wh"] + s @ params["Ws"]
    np.testing.assert_allclose(y[0], np.concatenate([1 / (1 + np.exp(-h)), s], axis=1))
    np.testing.assert_allclose(last["s"], s)


def test_piecewise_linear_network_is_linear_outside_thresholds() -> None:
    params, state, x = arrays_of(PLRNN())
    A, W = np.diag(np.diag(params["Wh"])), params["Wh"] - np.diag(np.diag(params["Wh"]))
    theta = params["theta"]
    drive = x[0] @ params["Wx"]
    for shift, expected in ((50, lambda h: h @ A + (h - theta) @ W), (-50, lambda h: h @ A)):
        h = state["h"] + shift
        y, last = reference.run_sequence(PLRNN(), params, x[:1], {"h": h})
        np.testing.assert_allclose(last["h"], expected(h) + drive, atol=1e-10)
        np.testing.assert_allclose(y[0], np.maximum(last["h"] - theta, 0))


def test_piecewise_linear_network_starts_with_eigenvalue_one() -> None:
    eigenvalues = np.linalg.eigvalsh(started(PLRNN(), hidden=20)["Wh"])
    assert eigenvalues.min() > 0
    np.testing.assert_allclose(eigenvalues.max(), 1)


def test_gated_antisymmetric_limits_of_open_and_closed_gate() -> None:
    params, state, x = arrays_of(GatedAntisymmetric(eps=0.3))
    plain = {"Wx": params["Wx"][:, 6:], "U": params["U"], "b": params["b"][6:]}
    params["b"][:6] = 60
    y, _ = reference.run_sequence(GatedAntisymmetric(eps=0.3), params, x, state)
    expected, _ = reference.run_sequence(Antisymmetric(eps=0.3), plain, x, state)
    np.testing.assert_allclose(y, expected)
    params["b"][:6] = -60
    y, _ = reference.run_sequence(GatedAntisymmetric(eps=0.3), params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-12)


def test_lipschitz_network_reduces_to_antisymmetric() -> None:
    cell = Lipschitz(beta=1.0, gamma=0.0, eps=0.3)
    params, state, x = arrays_of(cell)
    params["Ma"][:] = 0
    y, _ = reference.run_sequence(cell, params, x, state)
    plain = {"Wx": params["Wx"], "U": params["Mw"], "b": params["b"]}
    expected, _ = reference.run_sequence(Antisymmetric(eps=0.3, gamma=0.0), plain, x, state)
    np.testing.assert_allclose(y, expected)


def test_lipschitz_network_starts_as_the_published_code_does() -> None:
    """https://github.com/erichson/LipschitzRNN at df6552e: driver.py, gaussian_init_, nn.Linear."""
    assert Lipschitz().options == {"eps": 0.1, "beta": 0.7, "gamma": 0.001, "init_std": 0.1}
    params = zoo.Recurrent("lipschitz", 50, 200, dtype="float64", seed=3, threads=1).params
    for name in ("l0.Ma", "l0.Mw"):
        assert abs(params[name].mean()) < 1e-5
        assert params[name].std() == pytest.approx(0.1 / 200, rel=0.02)
    limit = 1 / np.sqrt(50)
    assert 0.99 * limit < np.abs(params["l0.Wx"]).max() <= limit
    assert params["l0.Wx"].std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not params["l0.b"].any()


def test_linear_part_of_a_lipschitz_network_is_damped() -> None:
    cell = Lipschitz(beta=1.0, gamma=0.5, eps=0.1)
    params, state, x = arrays_of(cell)
    params |= {name: np.zeros_like(params[name]) for name in ("Wx", "Mw", "b")}
    params["Ma"][:] = 0
    y, _ = reference.run_sequence(cell, params, x, {"h": 1e-9 * state["h"]})
    # The tanh sees -gamma h, too: for small h both parts damp alike.
    np.testing.assert_allclose(y[-1], 1e-9 * state["h"] * (1 - 0.1 * (0.5 + 0.5)) ** 7)


def test_undriven_oscillators_lose_energy_by_damping_only() -> None:
    params, state, x = arrays_of(CoRNN())
    params = {name: np.zeros_like(value) for name, value in params.items()}

    def energies(epsilon: float) -> np.ndarray:
        cell = CoRNN(dt=0.1, gamma=2.0, epsilon=epsilon)
        now, result = state, []
        for _ in range(60):
            y, z = now["y"], now["z"]
            result.append(2.0 * y**2 + z**2 - 0.1 * 2.0 * y * z)  # what symplectic Euler steps keep
            _, now = reference.run_sequence(cell, params, x[:1], now)
        return np.array(result)

    np.testing.assert_allclose(energies(0.0), np.broadcast_to(energies(0.0)[0], (60, 2, 6)))
    assert (energies(1.0)[-1] < energies(1.0)[0] / 20).all()


def test_undamped_oscillators_conserve_energy_and_are_independent() -> None:
    cell = UnICORNN(dt=0.4, alpha=3.0)
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    moved, _ = reference.run_sequence(cell, params, x, state | {"y": state["y"] + np.eye(6)[2]})
    np.testing.assert_array_equal(np.abs(moved - y).max(axis=(0, 1)) > 0, np.arange(6) == 2)
    params |= {name: np.zeros_like(params[name]) for name in ("Wx", "u", "b")}
    s = 0.4 / (1 + np.exp(-params["c"]))

    def energy(state: Arrays) -> np.ndarray:
        return 3 * state["y"] ** 2 + state["z"] ** 2 - 3 * s * state["y"] * state["z"]

    _, last = reference.run_sequence(cell, params, np.tile(x, (10, 1, 1)), state)
    np.testing.assert_allclose(energy(last), energy(state))


def test_undamped_oscillators_can_be_run_backwards() -> None:
    cell = UnICORNN()
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params, x, state)
    s = cell.dt / (1 + np.exp(-params["c"]))
    y, z = last["y"], last["z"]
    for now in x[::-1]:
        y = y - s * z
        z = z + s * (np.tanh(params["u"] * y + now @ params["Wx"] + params["b"]) + cell.alpha * y)
    np.testing.assert_allclose(y, state["y"], atol=1e-10)
    np.testing.assert_allclose(z, state["z"], atol=1e-10)


def test_fastrnn_starts_by_keeping_nearly_everything() -> None:
    params = started(FastRNN())
    assert (float(params["alpha"]), float(params["beta"])) == (-3, 3)


def test_velocity_gathers_the_input() -> None:
    cell = MomentumRNN(mu=0.5, epsilon=0.3)
    params, state, x = arrays_of(cell)
    state = {name: np.zeros_like(value) for name, value in state.items()}
    _, last = reference.run_sequence(cell, params, x, state)
    u = x @ params["Wx"] + params["b"]
    np.testing.assert_allclose(last["v"], 0.3 * np.einsum("t,tbh->bh", 0.5 ** np.arange(6, -1, -1), u))


@pytest.mark.parametrize(("inputs", "hidden"), [(4, 6), (6, 4), (3, 6)])
def test_input_of_a_momentum_network_starts_orthonormal(inputs: int, hidden: int) -> None:
    rnn = zoo.Recurrent(MomentumRNN(), inputs, hidden, dtype="float64")
    W = rnn.params["l0.Wx"]
    few = W @ W.T if inputs < hidden else W.T @ W
    np.testing.assert_allclose(few, np.eye(min(inputs, hidden)), atol=1e-12)


def test_unitary_evolution_preserves_norm() -> None:
    arrays = started(URNN()) | {"b": np.zeros(HIDDEN)}
    _, state, x = arrays_of(URNN())
    y, _ = reference.run_sequence(URNN(), arrays, 0 * x, state)
    expected = np.sqrt((state["h"] ** 2).sum(axis=(1, 2)))
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.broadcast_to(expected, (7, 2)))


def test_unitary_matrix_is_product_of_paper() -> None:
    arrays = started(URNN()) | {"b": np.zeros(HIDDEN)}
    D1, D2, D3 = (np.diag(np.exp(1j * w)) for w in arrays["w"])
    R1, R2 = (
        np.eye(6) - 2 * np.outer(v, v.conj()) / (v @ v.conj()) for v in arrays["v"][0] + 1j * arrays["v"][1]
    )
    F = np.fft.fft(np.eye(6), norm="ortho")
    W = D3 @ R2 @ np.linalg.inv(F) @ D2 @ arrays["P"].T @ R1 @ F @ D1  # it stands before a column
    _, state, x = arrays_of(URNN())
    y, _ = reference.run_sequence(URNN(), arrays, 0 * x[:1], state)
    expected = (state["h"][:, 0] + 1j * state["h"][:, 1]) @ W.T
    np.testing.assert_allclose(y[0], np.concatenate([expected.real, expected.imag], axis=1), atol=1e-12)


def test_modulus_of_zero_has_a_gradient() -> None:
    rnn = zoo.Recurrent(URNN(), INPUTS, HIDDEN, dtype="float64")
    with zoo.kernels.pure_python():
        rnn.forward(np.zeros((2, 1, INPUTS)))
        dx, _ = rnn.backward(np.ones((2, 1, 2 * HIDDEN)))
    assert np.isfinite(dx).all()
    assert all(np.isfinite(value).all() for value in rnn.grads.values())
