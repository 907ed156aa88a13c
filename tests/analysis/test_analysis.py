"""Analysis: cases known by hand, differences, and kernels as a second way to every derivative."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from representative_cells import REPRESENTATIVE_CELLS
from trace_asserts import CARD, Kernels, trial_of

import zoo
from zoo.analysis import (
    fixed_points,
    gate_saturation,
    gate_traces,
    gradient_by_lag,
    jacobian,
    jacobian_spectrum,
    lyapunov_exponents,
    state_slices,
    trace,
    trace_grads,
)
from zoo.analysis.state_map import KernelStateMap, state_map_of, trajectory
from zoo.analysis.target import gradients, run
from zoo.base.cell import _RESERVED
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.kernels import pure_python


@pytest.fixture(autouse=True)
def _in_python():
    with pure_python():
        yield


class Linear(zoo.Cell):
    """``h' = h U + x W``: whatever there is to know of it is known."""

    card = CARD
    U = zoo.Param("H", "H", init="orthogonal")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return h @ self.U + x @ self.W


class Henon(zoo.Cell):
    """The map of Hénon, whose Jacobian has the determinant -0.3 everywhere."""

    card = CARD
    W = zoo.Param("I", "H", init="zeros")
    h = zoo.State("H")
    k = zoo.State("H")

    def step(self, x, h, k):
        return 1.0 - 1.4 * h * h + k + x @ self.W, 0.3 * h


class Hard(zoo.Cell):
    """Gates of other kinds than a sigmoid's, a part of one, and one in disguise."""

    card = CARD
    W = zoo.Param("I", "2H", init="zeros")
    b = zoo.Param("2H", init="zeros")
    h = zoo.State("H")

    def step(self, x, h):
        gates = zoo.hard_sigmoid(x @ self.W + self.b)
        f, g = zoo.split(gates, 2)
        own = 1.0 / (1.0 + np.exp(-f))
        return f * h + g * zoo.silu(own)


def linear(U, inputs=2):
    rnn = zoo.Recurrent(Linear, inputs, len(U), dtype="float64", seed=1)
    rnn.params["l0.U"] = U
    return rnn


def vanilla(Whh, scale=1.0, inputs=2):
    rnn = zoo.Recurrent("vanilla", inputs, len(Whh), dtype="float64")
    rnn.theta = np.zeros_like(rnn.theta)
    rnn.params["l0.Whh"] = scale * np.asarray(Whh)
    return rnn


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# ---- auxiliary inputs ---------------------------------------------------------------------------------

WITH_AUX = {
    function: [*inspect.signature(function).parameters][:-1]
    for function in (getattr(zoo.analysis, name) for name in zoo.analysis.__all__)
    if not inspect.isclass(function) and "aux" in inspect.signature(function).parameters
}
"""Functions that take auxiliary inputs by name, and their other arguments."""


@pytest.mark.parametrize(
    ("function", "name"),
    [(each, name) for each in WITH_AUX for name in WITH_AUX[each] if name not in _RESERVED],
)
@pytest.mark.parametrize("is_given", [False, True])
def test_auxiliary_input_with_the_name_of_an_argument_raises(function, name, is_given):
    class Clash(zoo.Cell):
        """A cell whose auxiliary input has the name of an argument."""

        card = CARD
        W = zoo.Param("I", "H")
        h = zoo.State("H")
        locals()[name] = zoo.Input(default=1.0)

        step = eval(f"lambda self, x, h, {name}: x @ self.W + h + {name}")

    model = zoo.Recurrent(Clash, 2, 3)
    call = re.escape(f"`{function.__name__}({', '.join(WITH_AUX[function])})`")
    with pytest.raises(
        UsageError, match=rf"cell 'clash': input '{name}' has the name of an argument of {call}; ren"
    ):
        function(model, random(4, 1, 2), **({name: np.ones((4, 1))} if is_given else {}))


# ---- Jacobians ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*REPRESENTATIVE_CELLS, "mamba(lstm)", "deltanet(gla)"])
def test_jacobian_of_every_kind_of_cell_matches_its_kernels(name):
    trial = trial_of(name)
    step = state_map_of(trial.rnn, 0)
    operands, before = trajectory(trial.rnn, step, trial.x, trial.state)
    kernels = KernelStateMap(trial.rnn, step.layer)
    np.testing.assert_allclose(
        step.step(operands, before), kernels.step(operands, before), rtol=1e-11, atol=1e-13
    )
    slopes = jacobian(trial.rnn, trial.x, 0, state=trial.state)
    np.testing.assert_allclose(slopes, kernels.jacobian(operands, before), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    "name", ["lstm", "delta_net", "lru", "clockwork", "matrix_lstm", "cfc", "rwkv4", "mamba(gru)"]
)
@pytest.mark.parametrize("tokens", [False, True])
def test_jacobians_are_those_of_differences(name, tokens):
    trial = trial_of(name, tokens, layers=2)
    step = state_map_of(trial.rnn, "l1")
    operands, before = trajectory(trial.rnn, step, trial.x, trial.state)
    slopes = jacobian(trial.rnn, trial.x, 1, state=trial.state)
    assert slopes.shape == (*trial.x.shape[:2], step.size, step.size)
    for place, move in enumerate(np.eye(step.size) * 1e-6):
        slope = (step.step(operands, before + move) - step.step(operands, before - move)) / 2e-6
        np.testing.assert_allclose(slopes[..., place], slope, rtol=1e-6, atol=1e-8)


def test_jacobian_of_kernels_covers_float_states_only():
    trial = trial_of(Kernels(), steps=2)
    assert state_slices(trial.rnn) == {"l0.h": slice(0, 4), "l0.z": slice(4, 12)}
    slopes = jacobian(trial.rnn, trial.x, 0, state=trial.state)
    z = trial.rnn.params["l0.D"]
    expected = np.block([[np.diag(z[0]), -np.diag(z[1])], [np.diag(z[1]), np.diag(z[0])]])
    np.testing.assert_allclose(slopes[1, 0, 4:, 4:], expected, atol=1e-14)


def test_spectrum_of_linear_step_is_that_of_its_matrix():
    U = random(5, 5)
    values = jacobian_spectrum(linear(U), np.zeros((3, 2, 2)))
    expected = np.linalg.eigvals(U)
    assert values.shape == (3, 2, 5)
    np.testing.assert_allclose(np.sort_complex(values[1, 1]), np.sort_complex(expected), atol=1e-12)
    assert (np.diff(np.abs(values[0, 0])) < 1e-12).all()
    stretched = jacobian_spectrum(linear(U), np.zeros((3, 2, 2)), singular=True)
    np.testing.assert_allclose(stretched[2, 0], np.linalg.svd(U)[1], atol=1e-12)


def test_non_finite_jacobian_has_no_spectrum():
    rnn = linear(np.eye(2))
    rnn.params["l0.U"][0, 0] = np.inf
    with np.errstate(invalid="ignore"):  # of kernels in plain Python; compiled they are silent
        assert np.isnan(jacobian_spectrum(rnn, np.zeros((1, 1, 2)))).all()
        assert np.isnan(jacobian_spectrum(rnn, np.zeros((1, 1, 2)), singular=True)).all()


def test_too_large_jacobians_raise():
    with pytest.raises(UsageError, match=r"70000 Jacobians of 64 x 64 are 286,720,000 elements, more"):
        jacobian(linear(np.eye(64)), np.zeros((70000, 1, 2)))


# ---- Lyapunov exponents -------------------------------------------------------------------------------


def test_lyapunov_exponents_of_linear_step_are_log_eigenvalues():
    V = np.linalg.qr(random(4, 4))[0]
    moduli = np.array([1.5, 0.9, 0.5, 0.1])
    symmetric = linear(V @ np.diag(moduli * [1, -1, 1, 1]) @ V.T)
    skewed = linear(np.diag(moduli) + np.triu(random(4, 4), 1))
    for rnn in (symmetric, skewed):
        exponents = lyapunov_exponents(rnn, random(300, 2, 2))
        np.testing.assert_allclose(exponents, np.broadcast_to(np.log(moduli), (2, 4)), atol=1e-9)
        np.testing.assert_allclose(
            lyapunov_exponents(rnn, random(300, 2, 2), count=2), exponents[:, :2], atol=1e-9
        )


def test_lyapunov_exponents_of_rotation_and_scaling():
    turn, still = np.linalg.qr(random(6, 6))[0], np.zeros((40, 1, 2))
    for scale in (1.0, 1.25):
        exponents = lyapunov_exponents(vanilla(turn, scale), still)
        np.testing.assert_allclose(exponents, np.full((1, 6), np.log(scale)), atol=1e-12)


def test_lyapunov_exponents_of_chaotic_map_sum_to_contraction():
    rnn = zoo.Recurrent(Henon, 1, 1, dtype="float64")
    start = {"l0.h": random(4, 1) / 10, "l0.k": random(4, 1, seed=1) / 10}
    exponents = lyapunov_exponents(rnn, np.zeros((400, 4, 1)), state=start)
    np.testing.assert_allclose(exponents.sum(axis=1), np.log(0.3), rtol=1e-12)
    assert (exponents[:, 0] > 0.3).all()
    turned = lyapunov_exponents(rnn, np.zeros((400, 4, 1)), state=start, seed=5)
    np.testing.assert_allclose(exponents, turned, atol=1e-6)


def test_forgotten_state_has_strongly_negative_exponents():
    rnn = zoo.Recurrent("qrnn", 3, 4, dtype="float64")  # one of its states is the input
    exponents = lyapunov_exponents(rnn, random(30, 1, 3))
    assert (exponents[0, :4] > -5).all()
    assert (exponents[0, 4:] < -20).all()


# ---- fixed points -------------------------------------------------------------------------------------


def test_fixed_points_of_one_tanh_unit():
    points = fixed_points(vanilla([[2.0]]))
    assert len(points) == 3
    order = np.argsort(points.states["l0.h"][:, 0])
    h = points.states["l0.h"][order, 0]
    np.testing.assert_allclose(h, [-0.9575040240772687, 0.0, 0.9575040240772687], atol=1e-9)
    np.testing.assert_allclose(np.tanh(2 * h), h, atol=1e-9)
    np.testing.assert_allclose(points.eigenvalues[order, 0], 2 * (1 - h**2), atol=1e-8)
    assert points.stable[order].tolist() == [True, False, True]
    assert points.unstable_directions[order].tolist() == [0, 1, 0]
    assert points.count.sum() == points.starts == 64
    assert repr(points) == "FixedPoints(3 from 64 starts, 2 stable)"


def test_fixed_point_of_linear_step():
    U, x = random(4, 4) / 4, np.array([1.0, -2.0])
    rnn = linear(U)
    points = fixed_points(rnn, x, starts=8)
    expected = np.linalg.solve((np.eye(4) - U).T, x @ rnn.params["l0.W"])
    np.testing.assert_allclose(points.states["l0.h"], expected[None], atol=1e-9)
    np.testing.assert_allclose(np.sort(np.abs(points.eigenvalues[0])), np.sort(np.abs(np.linalg.eigvals(U))))


def test_smallest_speed_without_fixed_points():
    rnn = linear(np.eye(4))  # each step adds the same vector
    x = np.array([1.0, -2.0])
    points, speed = fixed_points(rnn, x, starts=8), np.linalg.norm(x @ rnn.params["l0.W"])
    assert len(points) == 0
    assert points.smallest_speed == pytest.approx(speed)
    assert repr(points) == f"FixedPoints(0 from 8 starts, smallest speed {speed:.2g})"
    assert len(fixed_points(rnn, x, starts=8, tolerance=2 * speed)) > 0


def test_fixed_points_cover_all_states_of_cell():
    rnn = zoo.Recurrent("lstm", 2, 5, num_layers=2, dtype="float64", seed=2)
    x = np.array([0.5, -1.0, 0.3, 0.0, 1.0])
    points = fixed_points(rnn, x, layer="l1", starts=16)
    assert len(points) >= 1
    assert {name: value.shape[1:] for name, value in points.states.items()} == {"l1.h": (5,), "l1.c": (5,)}
    single = zoo.Recurrent("lstm", 5, 5, dtype="float64")
    for name in single.params:
        single.params[name] = rnn.params[name.replace("l0", "l1")]
    before = {name.replace("l1", "l0"): value for name, value in points.states.items()}
    _, after = single.forward(np.broadcast_to(x, (1, len(points), 5)), before)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-9)


def test_every_start_of_identity_step_is_fixed_point():
    rnn = linear(np.eye(3))
    starts = random(5, 3)
    points = fixed_points(rnn, starts={"l0.h": starts})
    np.testing.assert_array_equal(np.sort(points.states["l0.h"], axis=0), np.sort(starts, axis=0))
    assert not points.stable.any()
    assert not points.unstable_directions.any()
    assert len(fixed_points(rnn, starts={"l0.h": np.zeros((5, 3))})) == 1


def test_slow_points_are_returned_within_tolerance():
    rnn = linear(np.eye(2))
    rnn.params["l0.W"] = [[1e-4, 0.0], [0.0, 0.0]]
    assert len(fixed_points(rnn, [1.0, 0.0], starts=4)) == 0
    slow = fixed_points(rnn, [1.0, 0.0], starts=4, tolerance=1e-3)
    np.testing.assert_allclose(slow.speed, np.full(len(slow), 1e-4))


def test_starts_are_reachable_states():
    rnn = linear(np.eye(2))
    points = fixed_points(rnn, starts=50, inputs=random(6, 1, 2))
    visited = np.concatenate([np.zeros((1, 2)), rnn.forward(random(6, 1, 2))[0][:-1, 0]])
    assert all(np.abs(visited - point).sum(axis=1).min() < 1e-12 for point in points.states["l0.h"])
    assert points.count.sum() == 50


def test_symbol_is_an_input():
    model = zoo.LanguageModel("abc", "gru", 4, dtype="float64")
    by_symbol, by_token, by_row = (fixed_points(model, x, starts=4) for x in ("b", 1, [0.0, 1.0, 0.0]))
    for each in (by_token, by_row):
        np.testing.assert_array_equal(each.states["l0.h"], by_symbol.states["l0.h"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x": [1.0]}, r"fixed_points: x has the shape \(1,\); expected \(2,\)"),
        ({"x": 2}, "x is token 2; expected one from 0 to 1"),
        ({"starts": 0}, "starts is 0; expected an integer from 1 to"),
        ({"starts": {"h": [[0.0]]}}, r"starts has the states \['h'\]; expected \['l0.h'\]"),
        ({"starts": {"l0.h": [[0.0]]}}, r"state 'l0.h' of starts has the shape \(1, 1\)"),
        ({"layer": 1}, "layer is 1; there are l0"),
        ({"layer": "l00"}, "layer is 'l00'; there are l0. Did you mean 'l0'"),
        ({"tolerance": 0}, "tolerance is 0; expected a positive number"),
        ({"inputs": np.zeros((0, 1, 2))}, "inputs have no steps"),
    ],
)
def test_invalid_arguments_of_fixed_points_raise(settings, message):
    with pytest.raises(UsageError, match=message):
        fixed_points(linear(np.eye(2)), **settings)


def test_cells_without_fixed_points_or_derivative_raise():
    still = np.zeros((4, 1, 3))
    with pytest.raises(UsageError, match="state 'n' counts in whole numbers"):
        fixed_points(zoo.Recurrent("clockwork", 3, 8))
    for function, more in ((fixed_points, ()), (lyapunov_exponents, (still,))):
        with pytest.raises(UsageError, match="this cell trains by a surrogate of it"):
            function(zoo.Recurrent("lif", 3, 4), *more)


# ---- saturation and lags ------------------------------------------------------------------------------


def test_saturation_counts_values_near_bounds():
    rnn = zoo.Recurrent("gru", 2, 4, dtype="float64")
    rnn.theta = np.zeros_like(rnn.theta)
    rnn.params["l0.b"] = [9, 9, -9, 0, -9, -9, -9, -9, 3, -3, 0, 0]
    saturation = gate_saturation(rnn, random(5, 3, 2))
    assert saturation == {
        "l0.reset_gate": (0.25, 0.5),
        "l0.forget_gate": (1.0, 0.0),
        "l0.candidate": (0.25, 0.25),
    }
    assert gate_saturation(rnn, random(5, 3, 2), names=["input_gate"]) == {"l0.input_gate": (0.0, 1.0)}
    assert gate_saturation(rnn, random(5, 3, 2), names=["n"], margin=0.001) == {"l0.n": (0.0, 0.0)}
    assert gate_saturation(linear(np.eye(2)), random(5, 3, 2)) == {}
    with pytest.raises(UsageError, match=r"'l0\.hn' is not the value of a sigmoid or tanh"):
        gate_saturation(rnn, random(5, 3, 2), names=["hn"])
    with pytest.raises(UsageError, match=r"margin is 0\.5"):
        gate_saturation(rnn, random(5, 3, 2), margin=0.5)


@pytest.mark.parametrize("name", ["gru", "lstm", "mgu", "slstm", "peephole_lstm"])
def test_traces_of_gates_are_those_that_cells_declare(name):
    rnn = zoo.Recurrent(name, 2, 4, num_layers=2, bidirectional=True)
    x = random(5, 3, 2)
    state = rnn(x)[1]
    declared = [gate for gate in zoo.get_cell(name).gates.sources() if gate != "candidate"]
    prefixes = ("l0", "l0.reverse", "l1", "l1.reverse")
    gates = gate_traces(rnn, x, state=state)
    assert set(gates) == {f"{prefix}.{gate}" for prefix in prefixes for gate in declared}
    values = trace(rnn, x, list(declared), state=state)
    for gate, of_gate in gates.items():
        np.testing.assert_array_equal(of_gate, values[gate])


def test_cells_without_gates_have_no_traces_of_gates():
    assert dict(gate_traces(vanilla(np.eye(2)), random(5, 3, 2))) == {}
    assert gate_traces(zoo.LanguageModel("abc", "lstm", 2), "abca")["l0.forget_gate"].shape == (4, 1, 2)


def test_saturating_values_are_derived_from_step():
    rnn = zoo.Recurrent(Hard, 2, 2, dtype="float64")
    rnn.params["l0.b"] = [-9, 9, 9, 0]
    saturation = gate_saturation(rnn, random(5, 3, 2))
    assert saturation == {"l0.gates": (0.25, 0.5), "l0.f": (0.5, 0.5), "l0.g": (0.0, 0.5)}


def test_saturation_matches_traces():
    model = zoo.LanguageModel("abc", "lstm", 6, num_layers=2, dtype="float64")
    model.theta *= 8
    saturation = gate_saturation(model, "abcabca")
    values = trace(model, "abcabca", list(saturation))
    names = {"forget_gate", "input_gate", "candidate", "output_gate", "tanh_c"}
    assert set(saturation) == {f"l{layer}.{name}" for layer in range(2) for name in names}
    forget = values["l1.forget_gate"]
    assert saturation["l1.forget_gate"] == ((forget < 0.1).mean(), (forget > 0.9).mean())
    assert sum(map(sum, saturation.values())) > 0


def test_gradient_of_linear_step_decays_as_matrix_powers():
    by_lag = gradient_by_lag(linear(0.5 * np.linalg.qr(random(4, 4))[0]), random(20, 3, 2), lags=8)
    np.testing.assert_allclose(by_lag["l0.h"], 0.5 ** np.arange(8), rtol=1e-12)


@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_norms_beyond_the_range_of_float32_squares(scale):
    rnn = zoo.Recurrent("vanilla", 2, 8, dtype="float32")
    rnn.fill({**rnn.params, "l0.Whh": scale * np.linalg.qr(random(8, 8))[0], "l0.bh": np.zeros(8)})
    by_lag = gradient_by_lag(rnn, np.zeros((60, 1, 2)), lags=60)["l0.h"]  # the slope of tanh is one at zero
    np.testing.assert_allclose(by_lag, scale ** np.arange(60.0), rtol=1e-4)


def test_lag_counts_steps_between():
    model = zoo.LanguageModel("abcd", "lstm", 5, num_layers=2, dtype="float64", seed=3)
    tokens = np.random.default_rng(0).integers(4, size=(12, 3))
    x, targets, state = tokens[:-1], tokens[1:], {name: random(3, 5) for name in model.stack.state_shapes}
    by_lag = gradient_by_lag(model, x, targets, lags=6, state=state, times=3)
    expected = {name: np.zeros(6) for name in by_lag}
    for t in (5, 8, 10):  # evenly from the first time that has six lags to the last
        done = run(model, x.astype(np.int32), state)
        logits = done.y[t] @ model.params["Why"] + model.params["by"]
        slope = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(4)[targets[t]]
        dy = np.zeros_like(done.y)
        dy[t] = slope @ model.params["Why"].T
        for name, value in gradients(model, done, dy).items():
            expected[name] += np.linalg.norm(value[t - np.arange(6)], axis=2).mean(axis=1) / 3
    for name, norms in expected.items():
        np.testing.assert_allclose(by_lag[name], norms, rtol=1e-10)
    np.testing.assert_allclose(
        gradient_by_lag(model, tokens[:, :1], lags=6)["l0.c"],
        gradient_by_lag(model, tokens[:-1, :1], tokens[1:, :1], lags=6)["l0.c"],
    )


def test_last_step_targets_give_loss_at_last_step():
    rnn = linear(0.5 * np.eye(2))
    x, target = random(9, 3, 2), random(3, 2, seed=1)
    by_lag = gradient_by_lag(rnn, x, target, lags=4)["l0.h"]
    first = np.linalg.norm(rnn.forward(x)[0][-1] - target, axis=1).mean()
    np.testing.assert_allclose(by_lag, first * 0.5 ** np.arange(4), rtol=1e-12)
    assert gradient_by_lag(rnn, x, lags=64)["l0.h"].shape == (9,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lags": 0}, "lags is 0; expected an integer of at least 1"),
        ({"times": True}, "times is True; expected an integer of at least 1"),
        ({"targets": np.zeros((3, 1, 3))}, r"targets are \(3, 1, 3\); expected \(3, 1, 2\), or \(1, 2\)"),
    ],
)
def test_invalid_lags_raise(settings, message):
    with pytest.raises(UsageError, match=message):
        gradient_by_lag(linear(np.eye(2)), np.zeros((3, 1, 2)), **settings)


def test_text_of_one_symbol_raises():
    with pytest.raises(UsageError, match="at least two symbols"):
        gradient_by_lag(zoo.LanguageModel("abc", "gru", 4), "a")


# ---- models as layers ---------------------------------------------------------------------------------


def test_loss_gradients_match_model():
    model = zoo.LanguageModel("abcd", "vanilla", 5, dtype="float64")
    text = "abcdabbcadcb"
    slopes, values = trace_grads(model, text, names=["pre_h", "h"]), trace(model, text[:-1], "h")["l0.h"]
    tokens = model.vocab.encode(text)[:, None]
    model.loss_and_grad(tokens[:-1], tokens[1:])
    before = np.concatenate([np.zeros((1, 1, 5)), values[:-1]])
    result = np.einsum("tbi,tbj->ij", before, slopes["l0.pre_h"])
    np.testing.assert_allclose(result, model.grads["l0.Whh"], rtol=1e-10, atol=1e-14)


def test_backward_direction_is_analysed_in_reading_order():
    rnn = zoo.Recurrent("vanilla", 3, 4, dtype="float64", bidirectional=True, seed=4)
    forward_rnn = zoo.Recurrent("vanilla", 3, 4, dtype="float64")
    for name in forward_rnn.params:
        forward_rnn.params[name] = rnn.params[name.replace("l0.", "l0.reverse.")]
    x = random(9, 2, 3)
    slopes = jacobian(rnn, x, "l0.reverse")
    np.testing.assert_allclose(slopes, jacobian(forward_rnn, x[::-1])[::-1], rtol=1e-12)
    np.testing.assert_allclose(
        lyapunov_exponents(rnn, x, "l0.reverse"), lyapunov_exponents(forward_rnn, x[::-1]), rtol=1e-9
    )
    assert list(fixed_points(rnn, layer="l0.reverse", starts=2).states) == ["l0.reverse.h"]
    assert list(gate_saturation(rnn, x)) == ["l0.h", "l0.reverse.h"]
    with pytest.raises(UsageError, match="layers that read backwards look ahead"):
        gradient_by_lag(rnn, x)


def test_trajectory_starts_at_learned_initial_state():
    rnn = zoo.Recurrent("gru", 3, 4, dtype="float64", learned_state=True)
    rnn.params["l0.h.initial"] = [0.3, -0.2, 0.1, 0.4]
    given = {"l0.h": np.tile(rnn.params["l0.h.initial"], (2, 1))}
    x = random(5, 2, 3)
    np.testing.assert_array_equal(jacobian(rnn, x), jacobian(rnn, x, state=given))
    np.testing.assert_array_equal(trace(rnn, x, "h")["l0.h"], trace(rnn, x, "h", state=given)["l0.h"])


def test_invalid_layer_raises():
    rnn, x = linear(np.eye(2)), np.zeros((3, 1, 2))
    with pytest.raises(UsageError, match=r"found 'int'; expected a zoo\.Recurrent or a model"):
        gate_saturation(3, x)
    with pytest.raises(UsageError, match="inputs are a text, which takes a language model"):
        trace(rnn, "abc")
    with pytest.raises(DataError, match="not among the 3 symbols"):
        trace(zoo.LanguageModel("abc", "gru", 4), "abd")
    with pytest.raises(UnknownNameError, match="trace asks for 'q'"):
        trace(rnn, x, "q")
    with pytest.raises(UsageError, match="trace_grads takes the targets of a loss"):
        trace_grads(rnn, x)
    with pytest.raises(UsageError, match="count is 3; expected an integer from 1 to 2"):
        lyapunov_exponents(rnn, x, count=3)
    with pytest.raises(UsageError, match="burn_in is 2; expected an integer from 0 to 1"):
        lyapunov_exponents(rnn, x, burn_in=2)


class Relaxing(zoo.Cell):
    """``h' = h + dt (x W - h)``: every derivative is ``1 - dt``."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")
    dt = zoo.Input(default=0.5)

    def step(self, x, h, dt):
        return h + dt * (x @ self.W - h)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_auxiliary_inputs_reach_every_function(num_layers):
    rnn = zoo.Recurrent(Relaxing, 2, 3, num_layers=num_layers, dtype="float64", seed=1)
    rng = np.random.default_rng(0)
    x, dt = rng.standard_normal((9, 2, 2)), rng.uniform(0.1, 0.9, (9, 2))
    y, _ = rnn.forward(x, dt=dt)
    np.testing.assert_array_equal(trace(rnn, x, dt=dt)[f"l{num_layers - 1}.h"], y)
    eye = np.eye(3)
    np.testing.assert_allclose(jacobian(rnn, x, dt=dt), (1 - dt)[..., None, None] * eye)
    np.testing.assert_allclose(jacobian_spectrum(rnn, x, dt=dt), np.tile((1 - dt)[..., None], 3))
    exponents = lyapunov_exponents(rnn, x, burn_in=0, dt=dt)
    np.testing.assert_allclose(exponents, np.tile(np.log(1 - dt).mean(axis=0)[:, None], 3))
    (norms,) = gradient_by_lag(zoo.Recurrent(Relaxing, 2, 3, dtype="float64"), x, lags=9, dt=dt).values()
    decay = np.cumprod([np.ones(2), *(1 - dt)[:0:-1]], axis=0)
    np.testing.assert_allclose(norms, decay.mean(axis=1))
    grads = trace_grads(rnn, x, y[-1] + 1.0, dt=dt)
    assert np.abs(grads["l0.h"] - trace_grads(rnn, x, y[-1] + 1.0, dt=0 * dt)["l0.h"]).max() > 0
    points = fixed_points(rnn, [1.0, 2.0], dt=0.25, starts=2, inputs=x)
    np.testing.assert_allclose(points.eigenvalues, [[0.75] * 3])
    assert gate_saturation(rnn, x, dt=dt) == {}


def test_later_times_start_at_states_under_the_same_inputs():
    rnn = zoo.Recurrent(Relaxing, 2, 3, dtype="float64", seed=1)
    rng = np.random.default_rng(0)
    x, dt = rng.standard_normal((9, 2, 2)), rng.uniform(0.1, 0.9, (9, 2))
    (norms,) = gradient_by_lag(rnn, x, lags=2, times=3, dt=dt).values()
    chosen = np.unique(np.linspace(8, 1, 3).round().astype(int))
    np.testing.assert_allclose(norms, [1.0, (1 - dt[chosen]).mean()])


@pytest.mark.parametrize(
    ("function", "aux", "message"),
    [
        (trace, {"dd": 1.0}, "unknown argument 'dd'; auxiliary inputs are dt."),
        (jacobian, {"dt": np.ones((4, 1))}, r"input 'dt' has the shape \(4, 1\); expected \(5, 1\)"),
        (lambda rnn, x, **aux: fixed_points(rnn, **aux), {"tau": 1.0}, "unknown argument 'tau'"),
        (lambda rnn, x, **aux: fixed_points(rnn, **aux), {"dt": [1.0]}, r"input 'dt' has the shape"),
    ],
)
def test_wrong_auxiliary_inputs_raise(function, aux, message):
    rnn = zoo.Recurrent(Relaxing, 2, 3, dtype="float64")
    with pytest.raises(UsageError, match=message):
        function(rnn, np.ones((5, 1, 2)), **aux)


def test_analysis_changes_nothing():
    model = zoo.LanguageModel("abc", "gru", 4, seed=1)
    theta = model.theta.copy()
    model.grad[:] = 7
    for look in (
        gate_saturation,
        gate_traces,
        gradient_by_lag,
        jacobian,
        lyapunov_exponents,
        trace,
        trace_grads,
    ):
        look(model, "abcab")
    fixed_points(model, "a", starts=2)
    assert np.array_equal(model.theta, theta)
    assert (model.grad == 7).all()


def test_public_names_of_analysis():
    assert all(callable(getattr(zoo.analysis, name)) for name in zoo.analysis.__all__)
    assert dir(zoo.analysis) == sorted(zoo.analysis.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fixpoints'"):
        getattr(zoo.analysis, "fixpoints")  # noqa: B009 - a wrong name, which a type checker would find
