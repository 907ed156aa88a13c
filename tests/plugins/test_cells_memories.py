"""Delta rules and memories that learn: the relations to other cells that their pages state."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import Arrays, arrays_of

import zoo
from zoo.testing import reference


def run(name: str, params: Arrays, state: Arrays, x: np.ndarray, **options: object) -> np.ndarray:
    """Outputs of a cell with the parameters among those given that it has."""
    cell = zoo.get_cell(name, **options)
    own = {key: params[key] for key in cell.params}
    return reference.run_sequence(cell, own, x, {key: state[key] for key in cell.states})[0]


def drawn(name: str, **options: object) -> tuple[Arrays, Arrays, np.ndarray]:
    return arrays_of(zoo.get_cell(name, **options))


def test_gated_delta_net2_with_equal_gates_is_kda() -> None:
    params, state, x = drawn("gated_delta_net2")
    params |= {"Wb": np.ones((4, 1)), "We": np.ones((4, 6)), "Ww": np.ones((4, 6))}
    np.testing.assert_allclose(run("gated_delta_net2", params, state, x), run("kda", params, state, x))


def test_kda_with_equal_gates_in_a_head_is_gated_delta_net() -> None:
    params, state, x = drawn("kda", heads=1)
    params |= {"Wa": np.ones((4, 6)), "Wr": np.full((6, 6), 0.1), "b": np.full(6, 0.3)}
    expected = run("gated_delta_net", params | {"Wa": np.full((4, 1), 0.6), "ba": np.full(1, 0.3)}, state, x)
    np.testing.assert_allclose(run("kda", params, state, x), expected)


def test_one_correction_without_negative_eigenvalues_is_gated_delta_net() -> None:
    options = {"heads": 2, "corrections": 1, "negative_eigenvalues": False}
    params, state, x = drawn("gated_delta_product", **options)
    params |= {"Wx": np.concatenate([params[key] for key in ("Wq", "Wk", "Wv")], axis=1)}
    expected = run("gated_delta_net", params, state, x, heads=2)
    np.testing.assert_allclose(run("gated_delta_product", params, state, x, **options), expected)


@pytest.mark.parametrize("name", ["delta_net", "gated_delta_net", "kda"])
def test_negative_eigenvalues_reflect_at_a_key(name: str) -> None:
    """At the rate of two, a value at a key of length one becomes twice the new one minus the old one."""
    params, _, x = drawn(name)
    params |= {"Wb": np.full((4, 1), 1e4), "A": np.full(1, -1e4)}
    state = {"S": np.eye(6)[None, None]}
    cell = zoo.get_cell(name, negative_eigenvalues=True)
    own = {key: params[key] for key in cell.params}
    _, last = reference.run_sequence(cell, own, np.abs(x[:1, :1]), state)
    _, k, v = np.split(np.abs(x[0, 0]) @ params["Wx"], 3)
    k, v = k / (1 + np.exp(-k)), v / (1 + np.exp(-v))
    k /= np.linalg.norm(k)
    np.testing.assert_allclose(k @ last["S"][0, 0], 2 * v - k, rtol=1e-3, atol=1e-3)


def test_comba_without_feedback_is_gated_delta_net() -> None:
    params, state, x = drawn("comba", heads=2)
    params |= {"s": np.full(2, 1e4), "d": np.zeros(2)}
    expected = run("gated_delta_net", params, state, x, heads=2)
    np.testing.assert_allclose(run("comba", params, state, x, heads=2), expected)


def test_titans_without_momentum_is_gated_delta_net_without_scale() -> None:
    """Its rate is ``2 theta``, and the delta rule corrects what is left after forgetting."""
    params, state, x = drawn("titans")
    params |= {"Wg": np.zeros((4, 3)), "b": np.array([0.0, -1e4, -1e4])}  # theta 1/2, no forgetting
    params |= {"Wb": np.full((4, 1), 1e4), "Wa": np.zeros((4, 1)), "ba": np.full(1, -1e4), "A": np.zeros(1)}
    expected = run("delta_net", params, {"S": state["M"]}, np.abs(x)) * np.sqrt(6)
    np.testing.assert_allclose(run("titans", params, state, np.abs(x)), expected)


def test_momentum_delta_net_without_momentum_is_gated_delta_net() -> None:
    """Its gates are constant here: alpha is half of its first factor, and beta is a quarter."""
    options = {"heads": 2, "min_log_mu": -1e4}
    params, state, x = drawn("momentum_delta_net", **options)
    x[..., 0] = 1
    params |= {"Wg": np.zeros((4, 8)), "f": np.zeros(2), "d": np.full(2, -1e4), "bm": np.full(2, 1e4)}
    params |= {"A": np.zeros(2), "Wa": np.zeros((4, 2)), "Wb": np.outer(np.eye(4)[0], -np.log([3, 3]))}
    half = {"ba": np.log(2 * (1 + np.exp(params["ba"])) - 1)}
    expected = run("gated_delta_net", params | half, state, x, heads=2)
    np.testing.assert_allclose(run("momentum_delta_net", params, state, x, **options), expected)


def test_preconditioner_of_factor_one_is_none() -> None:
    params, state, x = drawn("precond_kda", heads=2, squash=1.0)
    expected = run("kda", params, state, x, heads=2)
    np.testing.assert_allclose(run("precond_kda", params, state, x, heads=2, squash=1.0), expected)
    params, state, x = drawn("precond_gated_delta_net", heads=2, squash=1.0)
    Wa, Wb = np.split(params["Wg"][:, :4], 2, axis=1)
    expected = run("gated_delta_net", params | {"Wa": Wa, "Wb": Wb, "ba": params["b"]}, state, x, heads=2)
    actual = run("precond_gated_delta_net", params, state, x, heads=2, squash=1.0)
    np.testing.assert_allclose(actual, expected)


@pytest.mark.parametrize(("centre", "factor"), [(1e4, 1.5), (-1e4, 1 / 1.5)])
def test_preconditioner_has_limits(centre: float, factor: float) -> None:
    """The first step writes ``factor`` times as much as kda, for sums far below and far above the centre."""
    params, _, x = drawn("precond_kda")
    params |= {"centre": np.full(1, centre)}
    state = {"S": np.zeros((2, 1, 6, 6)), "G": np.zeros((2, 1, 6))}
    expected = factor * run("kda", params, state, x[:1])
    np.testing.assert_allclose(run("precond_kda", params, state, x[:1]), expected, rtol=1e-3)


def test_srwm_with_rates_of_zero_is_a_fixed_matrix() -> None:
    cell = zoo.get_cell("srwm")
    params, _, x = arrays_of(cell)
    params["W"][..., -4:] = -1e5
    y, last = reference.run_sequence(cell, params, x, {"M": np.zeros((2, 1, 6, 22))})
    z = np.exp(x @ params["Wx"])
    np.testing.assert_allclose(y, z / z.sum(axis=-1, keepdims=True) @ params["W"][0, :, :6])
    np.testing.assert_array_equal(last["M"], 0)


def test_linear_attention_is_a_weighted_mean_of_values() -> None:
    params, _, x = drawn("linear_attention")
    y = run("linear_attention", params, {"S": np.zeros((2, 1, 6, 6)), "Z": np.zeros((2, 1, 6))}, x)
    q, k, v = np.split(x[:, 0] @ params["Wx"] + params["b"], 3, axis=-1)
    q, k = (np.where(part > 0, part + 1, np.exp(part)) for part in (q, k))
    np.testing.assert_allclose(y[-1, 0], np.average(v, axis=0, weights=k @ q[-1]), rtol=1e-5)


def test_based_weights_values_by_a_taylor_series() -> None:
    cell = zoo.get_cell("based", rank=3)
    params, _, x = arrays_of(cell)
    state = {name: np.zeros((2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}
    y, _ = reference.run_sequence(cell, params, x, state)
    q, k, v = np.split(x[:, 0] @ params["Wx"], [3, 6], axis=-1)
    a = k @ q[-1] / np.sqrt(3)
    np.testing.assert_allclose(y[-1, 0], np.average(v, axis=0, weights=1 + a + a**2 / 2))


def test_mesa_net_solves_ridge_regression() -> None:
    cell = zoo.get_cell("mesa_net", iterations=20)
    params, _, x = arrays_of(cell)
    params |= {"Wg": np.zeros((4, 2)), "b": np.full(2, 1e4)}  # keep and write everything
    y, _ = reference.run_sequence(cell, params, x, {name: np.zeros((2, 1, 6, 6)) for name in "GS"})
    q, k, v = np.split(x[:, 0] @ params["Wx"], 3, axis=-1)
    q, k = (part / (1 + np.exp(-part)) for part in (q, k))
    q, k = (part / np.sqrt(np.sum(part**2, axis=-1, keepdims=True) + 1e-6) for part in (q, k))
    ridge = np.log1p(np.exp(params["ridge"])) + 0.25
    exact = q[-1] @ np.linalg.solve(k.T @ k + np.diag(ridge), k.T @ v)
    np.testing.assert_allclose(y[-1, 0], exact, rtol=0, atol=1e-3)  # the solver adds 1e-5 to its divisors


def test_raven_changes_the_slots_with_the_highest_scores() -> None:
    cell = zoo.get_cell("raven", slots=5, top=2)
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params, x[:1], state)
    scores = x[0] @ params["Wr"]
    is_selected = scores >= np.sort(scores, axis=-1)[:, -2:-1]
    np.testing.assert_array_equal((last["V"] != state["V"]).any(axis=-1)[:, 0], is_selected)


def test_lightnet_weights_values_by_a_softmax_over_time() -> None:
    cell = zoo.get_cell("lightnet")
    params, _, x = arrays_of(cell)
    state = {name: np.zeros((2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}
    x[0] *= 1e4  # keys far above and far below zero
    _, last = reference.run_sequence(cell, params, x, state)
    _, k, v = np.split(x @ params["Wx"], 3, axis=-1)
    weights = np.exp(k - k.max(axis=0))
    expected = np.einsum("tbk,tbd->bkd", weights / weights.sum(axis=0), v)
    np.testing.assert_allclose(last["S"][:, 0], expected)


@pytest.mark.parametrize(("gate", "share"), [(-1e4, 1.0), (1e4, 0.0)])
def test_rodimus_keeps_its_memory_at_shut_gates_and_replaces_it_at_open_ones(gate, share) -> None:
    cell = zoo.get_cell("rodimus", order=2)
    params, state, x = arrays_of(cell)
    params |= {"bg": np.full(2, gate), "bt": np.full(2, 1e4)}
    _, last = reference.run_sequence(cell, params, x[:1], state)
    _, other = reference.run_sequence(cell, params, x[:1], state | {"S": state["S"] + 1})
    np.testing.assert_allclose(other["S"] - last["S"], share, atol=1e-9)
    assert np.any(last["S"] != state["S"]) == (gate > 0)


def test_abc_weights_keys_and_values_by_a_softmax_over_time() -> None:
    cell = zoo.get_cell("abc", slots=5)
    params, _, x = arrays_of(cell)
    state = {name: np.zeros((2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}
    x[1] *= 1e4  # scores above and below the limits
    _, last = reference.run_sequence(cell, params, x, state)
    _, k, v, _ = np.split(x @ params["Wx"], [3, 6, 12], axis=-1)
    scores = np.clip(x @ params["Ws"], -32, 32)
    assert np.ptp(scores) == 64
    weights = np.exp(scores) / np.exp(scores).sum(axis=0)
    np.testing.assert_allclose(last["K"][:, 0], np.einsum("tbs,tbk->bks", weights, k))
    np.testing.assert_allclose(last["V"][:, 0], np.einsum("tbs,tbd->bsd", weights, v))


def test_abc_with_one_slot_reads_it_at_any_query() -> None:
    params, state, x = drawn("abc", slots=1)
    state["Z"] = np.abs(state["Z"])
    expected = run("abc", params, state, x, slots=1)
    params["Wx"][:, :6] = 1e3  # queries and keys
    np.testing.assert_array_equal(run("abc", params, state, x, slots=1), expected)


@pytest.mark.parametrize("heads", [1, 3])
def test_rebased_weights_values_by_squared_products(heads: int) -> None:
    cell = zoo.get_cell("rebased", heads=heads, rank=2)
    params, _, x = arrays_of(cell)
    state = {name: np.zeros((2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}
    y, _ = reference.run_sequence(cell, params, x, state)
    q, k, v = np.split(x @ params["Wx"], [2 * heads, 4 * heads], axis=-1)
    q, k = (
        (part - part.mean(axis=-1, keepdims=True)) / np.sqrt(part.var(axis=-1, keepdims=True) + 1e-5)
        for part in (q, k)
    )
    q, k = q * params["gainq"] + params["biasq"], k * params["gaink"] + params["biask"]
    q, k, v = (part.reshape(*part.shape[:2], heads, -1) for part in (q, k, v))
    weights = np.tril(np.einsum("tbhi,sbhi->bhts", q, k) ** 2 / 2)
    weights /= weights.sum(axis=-1, keepdims=True) + 1e-5
    np.testing.assert_allclose(y, np.einsum("bhts,sbhd->tbhd", weights, v).reshape(y.shape), rtol=1e-6)


@pytest.mark.parametrize("levels", [2, 3, 4, 6])
def test_log_linear_attention_weights_a_step_by_its_level(levels: int) -> None:
    """The level of step s, seen from step n, is the number of bits of ``n xor s``."""
    heads, order, steps = 2, 3, 20
    cell = zoo.get_cell("log_linear_attention", expand=1, heads=heads, order=order, levels=levels, width=2)
    params, _, _ = arrays_of(cell)
    x = np.random.default_rng(3).normal(size=(steps, 1, 4))
    state = {name: np.zeros((1, *shape)) for name, shape in cell.state_shapes(4, 6).items()}
    y, last = reference.run_sequence(cell, params, x, state)
    assert last["n"].item() == steps % 2 ** (levels - 2)

    z, ukq, dt, lam = np.split(x[:, 0] @ params["Wx"], [6, 18, 20], axis=-1)
    before = np.concatenate([np.zeros((1, 12)), ukq[:-1]])
    ukq = before * params["taps"][0] + ukq * params["taps"][1] + params["b"]
    u, k, q = np.split(ukq / (1 + np.exp(-ukq)), [6, 9], axis=-1)
    dt = np.logaddexp(0, dt + params["bd"])
    lam = np.logaddexp(0, params["L"] * lam.reshape(steps, heads, levels))
    logs = np.cumsum(-np.exp(params["A"]) * dt, axis=0)
    u = u.reshape(steps, heads, -1)
    o = params["D"][:, None] * u
    for n in range(steps):
        for s in range(n + 1):
            level = min((n ^ s).bit_length(), levels - 1)
            weight = lam[n, :, level] * np.exp(logs[n] - logs[s]) * dt[s] * (q[n] @ k[s])
            o[n] += weight[:, None] * u[s]
    o = o.reshape(steps, 6) * z / (1 + np.exp(-z))
    o = params["gain"] * o / np.sqrt(np.mean(o * o, axis=-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y[:, 0], o @ params["Wo"], rtol=1e-9, atol=1e-9)


def test_hgrn2_with_open_gates_keeps_and_with_shut_gates_replaces() -> None:
    params, state, x = drawn("hgrn2", lower_bound=0.9)
    cell = zoo.get_cell("hgrn2", lower_bound=0.9)
    shut = params["Wx"].copy()
    shut[:, 6:12] = -1e4
    _, last = reference.run_sequence(cell, params | {"Wx": shut}, np.abs(x[:1]), state)
    i = np.abs(x[0]) @ shut[:, 12:]
    np.testing.assert_allclose(last["S"][:, 0], 0.9 * state["S"][:, 0] + 0.1 * i[:, None])


@pytest.mark.parametrize("scheme", ["im", "imex"])
def test_linoss_keeps_energy_in_one_scheme_alone(scheme: str) -> None:
    cell = zoo.get_cell("linoss", scheme=scheme)
    params, state, _ = arrays_of(cell)
    params |= {"A": np.ones(6), "s": np.full(6, -2.0)}
    _, last = reference.run_sequence(cell, params, np.zeros((200, 2, 4)), state)
    ratio = np.abs(last["y"]).max() / np.abs(state["y"]).max()
    assert ratio < 0.5 if scheme == "im" else ratio > 0.3


def test_longhorn_answers_a_new_key_with_its_value() -> None:
    """With a large weight and one element in the key, the memory at the key is the value over the key."""
    cell = zoo.get_cell("longhorn", expand=1, order=1, rank=1, width=2)
    params, state, x = arrays_of(cell)
    params |= {"bd": np.full(6, 1e4), "Wd": np.zeros((1, 6)), "Wu": 1e3 * params["Wu"]}
    _, last = reference.run_sequence(cell, params, x, state)
    u = np.concatenate([last["past"].swapaxes(0, 1), (x[-1:] @ params["Wx"])[..., :6]])
    before = np.concatenate([(x[-2:-1] @ params["Wx"])[..., :6], u[-1:]])
    u = np.sum(before * params["taps"][:, None], axis=0) + params["b"]
    u = u / (1 + np.exp(-u))
    k = u @ params["Wu"][:, 1:2]
    np.testing.assert_allclose(last["h"][..., 0] * k, u, rtol=0.05, atol=1e-3)


def test_mamba3_state_of_angles_stays_below_a_turn() -> None:
    cell = zoo.get_cell("mamba3", order=4)
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params, 10 * x, state)
    assert (last["angle"] >= 0).all()
    assert (last["angle"] < 2 * np.pi).all()


def test_first_input_of_slice_sets_its_state() -> None:
    cell = zoo.get_cell("slice", block=2)
    params, _, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params, x, {"h": np.zeros((2, 6)), "n": np.zeros((2, 1))})
    np.testing.assert_allclose(y[0], x[0] @ params["Wi"] + params["bi"])
    np.testing.assert_array_equal(last["n"], 7)
