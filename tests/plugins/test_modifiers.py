"""Modifiers: what each makes of a cell, compared with the cell itself or with its equations written out."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest
from golden_values import Golden, assert_kernels_give

import zoo
from zoo.base import Card
from zoo.kernels import pure_python
from zoo.modifiers.matmuls import find_matmuls
from zoo.modifiers.modified_cell import compose

CARD = Card(title="None", authors="Nobody", year=2026, url="https://example.org")
T, B, INPUTS, H = 5, 3, 3, 4


@pytest.fixture(autouse=True)
def plain_python():
    """Kernels as the Python they are: to compile each of these cells would take half an hour."""
    with pure_python():
        yield


def layer(cell, hidden=H, layers=1, inputs=INPUTS):
    """A layer with parameters of which none is zero or one."""
    rnn = zoo.Recurrent(cell, inputs, hidden, num_layers=layers, dtype="float64", seed=2, threads=1)
    rnn.theta += np.random.default_rng(5).normal(size=rnn.theta.size) / 5
    return rnn


def sequence(rnn, steps=T):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(steps, B, rnn.stack.input_size))
    return x, {name: rng.normal(size=(B, *shape)) / 2 for name, shape in rnn.stack.state_shapes.items()}


def both_ways(rnn, **noise):
    x, state = sequence(rnn)
    y, last = rnn.forward(x, state, **noise)
    dx, dstate = rnn.backward(np.cos(y), {name: np.sin(value) for name, value in last.items()})
    gradients = {f"grad {name}": value.copy() for name, value in rnn.grads.items()}
    return {"y": y, "dx": dx, **last, **{f"d{name}": each for name, each in dstate.items()}, **gradients}


def assert_same(modified, plain, **noise):
    """Two layers compute the same, gradients of the parameters that both have included."""
    expected, actual = both_ways(plain), both_ways(modified, **noise)
    compared = [name for name in expected if name in actual]
    assert {"y", "dx"} < set(compared)
    for name in compared:
        if actual[name].shape == expected[name].shape:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-10, atol=1e-12, err_msg=name)


def fill(modified, plain, **values):
    """The parameters of one layer where another has them too, and some values."""
    shared = {name: value for name, value in plain.params.items() if name in modified.params}
    modified.fill(
        {name: value for name, value in shared.items() if modified.params[name].shape == value.shape}
    )
    modified.fill({f"l0.{name}": value for name, value in values.items()})


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


# ---- short_convolution --------------------------------------------------------------------------------


def test_short_convolution_in_its_block_is_the_layer_of_deltanet():
    assert_kernels_give(Golden("deltanet(delta_net+short_convolution)"))


def test_taps_of_present_step_only_change_nothing():
    plain, modified = layer("lstm"), layer(zoo.modify("lstm", "short_convolution", width=3))
    fill(modified, plain, Wx_taps=np.array([[0.0], [0.0], [1.0]]) * np.ones((3, 4 * H)))
    x, state = sequence(plain)
    y, last = modified.forward(x, state | {"l0.Wx_past": np.zeros((B, 2, 4 * H))})
    assert last["l0.Wx_past"].shape == (B, 2, 4 * H)
    np.testing.assert_allclose(y, plain.forward(x, state)[0], rtol=1e-12)


def test_short_convolution_needs_an_input_matrix():
    with pytest.raises(zoo.UsageError, match="multiplies its input by no real matrix 'Wx'"):
        zoo.modify("gated_delta_product", "short_convolution")
    with pytest.raises(zoo.UsageError, match="multiplies its input by no real matrix 'Wx'"):
        zoo.modify("urnn", "short_convolution")


def test_taps_start_as_those_of_pytorch():
    taps = zoo.Recurrent("kda+short_convolution", INPUTS, 64).params["l0.Wx_taps"]
    assert taps.shape == (4, 3 * 64)
    assert 0.49 < np.abs(taps).max() <= 0.5
    assert abs(taps.std() - 0.5 / np.sqrt(3)) < 0.01


# ---- teacher_forcing ----------------------------------------------------------------------------------

FORCED = ["vanilla", "lstm", "gru", "shallow_plrnn", "ctrnn", "plrnn", "slstm"]


@pytest.mark.parametrize("cell", FORCED)
def test_forcing_mixes_first_units_with_measurements(cell):
    """The cell without an input, one step at a time, on states that are mixed by hand."""
    rnn, plain = layer(zoo.modify(cell, "teacher_forcing", alpha=0.3), 5), layer(cell, 5)
    fill(plain, rnn)
    x, state = sequence(rnn)
    forcing = np.random.default_rng(4).uniform(size=(T, B))
    first = next(iter(state))
    for given in ({}, {"forcing": forcing}):
        y, last = rnn.forward(x, state, **given)
        carried = dict(state)
        for t in range(T):
            share = given.get("forcing", np.full((T, B), 0.3))[t][:, None]
            mixed = carried[first].copy()
            mixed[:, :INPUTS] = (1 - share) * mixed[:, :INPUTS] + share * x[t]
            _, carried = plain.forward(np.zeros((1, B, INPUTS)), carried | {first: mixed})
            np.testing.assert_allclose(y[t], carried[first][:, :INPUTS], rtol=1e-10, atol=1e-12)
        for name, value in last.items():
            np.testing.assert_allclose(value, carried[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", FORCED)
def test_model_that_reads_its_own_outputs_runs_freely(cell):
    rnn = layer(f"{cell}+teacher_forcing", 5)
    x, state = sequence(rnn)
    free, _ = rnn.forward(x, state, forcing=np.zeros((T, B)))
    first = next(iter(state))
    own = np.concatenate([state[first][None, :, :INPUTS], free[:-1]])
    for strength in (0.4, 1.0):
        forced, _ = rnn.forward(own, state, forcing=np.full((T, B), strength))
        np.testing.assert_allclose(forced, free, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", FORCED)
def test_without_forcing_nothing_reads_the_measurements(cell):
    rnn = layer(f"{cell}+teacher_forcing", 5)
    x, state = sequence(rnn)
    y, _ = rnn.forward(x, state, forcing=np.zeros((T, B)))
    other, _ = rnn.forward(x + 1, state, forcing=np.zeros((T, B)))
    np.testing.assert_array_equal(y, other)
    dx, _ = rnn.backward(np.cos(y))
    assert not dx.any()


@pytest.mark.parametrize("cell", [*FORCED, "res_lstm"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_external_input_takes_the_place_of_the_input(cell, size):
    """Without forcing, the cell is the one that reads the external input."""
    rnn = layer(zoo.modify(cell, "teacher_forcing", external=size), 5)
    plain = layer(cell, 5, inputs=size)
    fill(plain, rnn)
    x, state = sequence(rnn)
    external = np.random.default_rng(6).normal(size=(T, B, size))
    y, last = rnn.forward(x, state, forcing=np.zeros((T, B)), external=external)
    _, expected = plain.forward(external, state)
    for name, value in last.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(y[-1], last[next(iter(state))][:, :INPUTS])


@pytest.mark.parametrize("cell", ["plrnn", "mc_lstm", "ran", "nas"])
def test_every_parameter_that_is_left_has_a_gradient(cell):
    """The output is part of the state, so nothing reads what serves the output of the cell alone."""
    gradients = both_ways(layer(f"{cell}+teacher_forcing", 5))
    assert all(value.any() for name, value in gradients.items() if name.startswith("grad "))


@pytest.mark.parametrize("make", [zoo.Recurrent, zoo.SequenceModel])
@pytest.mark.parametrize(("variables", "hidden"), [(2, 1), (5, 3), (9, 8)])
def test_more_variables_than_units_raise(make, variables, hidden):
    sizes = (variables, hidden) if make is zoo.Recurrent else (variables, variables, hidden)
    with pytest.raises(zoo.UsageError, match=f"{variables} variables and the state has {hidden} unit"):
        make("shallow_plrnn+teacher_forcing", *sizes)


# ---- zoneout ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "lru", "clockwork"])
@pytest.mark.parametrize("noise", [None, (0, 1)])
def test_zoneout_probability_zero_is_identity(cell, noise):
    plain, modified = layer(cell), layer(zoo.modify(cell, "zoneout", p=0.0))
    fill(modified, plain)
    assert_same(modified, plain, noise=noise)


def test_zoneout_probability_one_keeps_state():
    rnn = layer(zoo.modify("lstm", "zoneout", p=1.0))
    x, state = sequence(rnn)
    _, last = rnn.forward(x, state, noise=(0, 1))
    for name, value in state.items():
        np.testing.assert_array_equal(last[name], value)


def test_zoneout_matches_equations():
    rnn = layer(zoo.modify("lstm", "zoneout", p=0.3, p_memory=0.6))
    x, state = sequence(rnn)
    masks = {f"zoneout_{name}": np.random.default_rng(8).integers(0, 2, (T, B, H)) for name in "hc"}
    y, last = rnn.forward(x, state, **masks)
    h, c, p = state["l0.h"], state["l0.c"], rnn.params
    for t in range(T):
        i, f, g, o = np.split(x[t] @ p["l0.Wx"] + h @ p["l0.Wh"] + p["l0.b"], 4, axis=1)
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        h = np.where(masks["zoneout_h"][t], h, new_h)
        c = np.where(masks["zoneout_c"][t], c, new_c)
        np.testing.assert_allclose(y[t], h, rtol=1e-12)
    np.testing.assert_allclose(last["l0.c"], c, rtol=1e-12)


def test_zoneout_has_probabilities_for_first_and_other_states():
    cell = zoo.modify("lstm", "zoneout", p=0.3, p_memory=0.6)
    assert [each.value(cell.options) for each in cell.inputs.values()] == [0.3, 0.6]
    same = zoo.modify("lstm", "zoneout", p=0.3)
    assert [each.value(same.options) for each in same.inputs.values()] == [0.3, 0.3]


def test_zoneout_leaves_counters_alone():
    assert list(zoo.modify("clockwork", "zoneout").inputs) == ["zoneout_h"]


# ---- recurrent dropout --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["vanilla", "mgu", "slstm", "rhn"])
def test_recurrent_dropout_changes_nothing_in_evaluation(cell):
    plain, modified = layer(cell), layer(zoo.modify(cell, "recurrent_dropout", p=0.4))
    fill(modified, plain)
    assert_same(modified, plain)


def test_recurrent_dropout_matches_equations():
    rnn = layer(zoo.modify("gru", "recurrent_dropout", p=0.2))
    x, state = sequence(rnn)
    dropped = np.broadcast_to(np.random.default_rng(8).integers(0, 2, (B, H)), (T, B, H))
    y, _ = rnn.forward(x, state, dropped_Wh=dropped)
    h, p = state["l0.h"], rnn.params
    for t in range(T):
        r, z, n = np.split(x[t] @ p["l0.Wx"] + p["l0.b"], 3, axis=1)
        hr, hz, hn = np.split((h * (1 - dropped[0]) / 0.8) @ p["l0.Wh"], 3, axis=1)
        n = np.tanh(n + sigmoid(r + hr) * (hn + p["l0.bn"]))
        h = (1 - sigmoid(z + hz)) * n + sigmoid(z + hz) * h
        np.testing.assert_allclose(y[t], h, rtol=1e-12)


def test_recurrent_dropout_draws_once_for_a_sequence():
    (noise,) = zoo.modify("gru", "recurrent_dropout").inputs.values()
    assert noise.per == "sequence"


# ---- residual -----------------------------------------------------------------------------------------


def test_residual_adds_the_projected_input_to_the_output_alone():
    plain, modified = layer("lstm"), layer(zoo.modify("lstm", "residual"))
    fill(modified, plain)
    x, state = sequence(plain)
    (y, last), (result, result_last) = plain.forward(x, state), modified.forward(x, state)
    np.testing.assert_allclose(result, y + x @ modified.params["l0.residual_P"], rtol=1e-12)
    for name, value in last.items():
        np.testing.assert_allclose(result_last[name], value, rtol=1e-12)


def test_residual_without_projection_adds_the_input_itself():
    modified = layer(zoo.modify("vanilla", "residual", project=False), inputs=H)
    plain = layer("vanilla", inputs=H)
    fill(modified, plain)
    x, state = sequence(plain)
    np.testing.assert_allclose(modified.forward(x, state)[0], plain.forward(x, state)[0] + x, rtol=1e-12)
    assert list(modified.buffers) == ["l0.residual_P"]


# ---- layer normalisation ------------------------------------------------------------------------------


def normal(a, gain, shift):
    """Layer normalisation, written without zoo."""
    return gain * (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5) + shift


def test_layer_norm_matches_equations():
    rnn = layer(zoo.modify("lstm", "layer_norm"))
    x, state = sequence(rnn)
    y, _ = rnn.forward(x, state)
    h, c, p = (
        state["l0.h"],
        state["l0.c"],
        {name.partition(".")[2]: each for name, each in rnn.params.items()},
    )
    for t in range(T):
        driven = normal(x[t] @ p["Wx"], p["Wx_gain"], p["Wx_shift"])
        recurrent = normal(h @ p["Wh"], p["Wh_gain"], p["Wh_shift"])
        i, f, g, o = np.split(driven + recurrent + p["b"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(y[t], h, rtol=1e-11)


def test_layer_norm_starts_with_gains_of_one_and_shifts_of_zero():
    rnn = zoo.Recurrent(zoo.modify("rhn", "layer_norm"), INPUTS, H)
    gains = [name for name in rnn.params if name.endswith("_gain")]
    assert gains == ["l0.R0_gain", "l0.Wx_gain", "l0.R1_gain", "l0.R2_gain"]
    assert all((rnn.params[name] == 1).all() for name in gains)
    assert not any(rnn.params[name.replace("gain", "shift")].any() for name in gains)


# ---- multiplicative integration -----------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru", "mgu", "rhn"])
def test_multiplicative_integration_identity_parameters(cell):
    plain, modified = layer(cell), layer(zoo.modify(cell, "multiplicative_integration"))
    fill(modified, plain)
    own = {name: value for name, value in modified.params.items() if name not in plain.params}
    modified.fill({name: np.full(value.shape, "alpha" not in name) for name, value in own.items()})
    assert own
    assert_same(modified, plain)


def test_multiplicative_integration_matches_equations():
    rnn = layer(zoo.modify("vanilla", "multiplicative_integration"))
    x, state = sequence(rnn)
    y, _ = rnn.forward(x, state)
    h, p = state["l0.h"], {name.partition(".")[2]: each for name, each in rnn.params.items()}
    for t in range(T):
        driven, recurrent = x[t] @ p["Wxh"], h @ p["Whh"]
        a = (
            p["Whh_alpha"] * driven * recurrent
            + p["Whh_beta1"] * recurrent
            + p["Wxh_beta2"] * driven
            + p["bh"]
        )
        h = np.tanh(a)
        np.testing.assert_allclose(y[t], h, rtol=1e-12)


def test_multiplicative_integration_with_matrix_per_gate():
    rnn = layer(zoo.modify("mgu", "multiplicative_integration"))
    x, state = sequence(rnn)
    y, _ = rnn.forward(x, state)
    h, p = state["l0.h"], {name.partition(".")[2]: each for name, each in rnn.params.items()}
    for t in range(T):
        driven = x[t] @ p["Wx"]
        xf, xn = np.split(p["Wx_beta2"] * driven + p["b"], 2, axis=1)
        df, dn = np.split(driven, 2, axis=1)
        hf = h @ p["Wh"]
        f = sigmoid(xf + p["Wh_alpha"] * df * hf + p["Wh_beta1"] * hf)
        hn = (f * h) @ p["Wn"]
        n = np.tanh(xn + p["Wn_alpha"] * dn * hn + p["Wn_beta1"] * hn)
        h = (1 - f) * h + f * n
        np.testing.assert_allclose(y[t], h, rtol=1e-12)


class StateFirst(zoo.Cell):
    """h' = tanh(h U + x W): the state is multiplied before the input."""

    card = CARD
    U = zoo.Param("H", "H", init="orthogonal")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return np.tanh(h @ self.U + x @ self.W)


def test_multiplicative_integration_accepts_either_order():
    rnn = layer(zoo.modify(StateFirst, "multiplicative_integration"))
    x, state = sequence(rnn, steps=1)
    driven, recurrent = x[0] @ rnn.params["l0.W"], state["l0.h"] @ rnn.params["l0.U"]
    p = rnn.params
    expected = p["l0.U_alpha"] * driven * recurrent + p["l0.U_beta1"] * recurrent + p["l0.W_beta2"] * driven
    np.testing.assert_allclose(rnn.forward(x, state)[0][0], np.tanh(expected), rtol=1e-12)


# ---- other matrices -----------------------------------------------------------------------------------


def test_diagonal_vanilla_is_indrnn():
    plain, modified = (
        layer(zoo.get_cell("indrnn", activation="tanh")),
        layer(zoo.modify("vanilla", "diagonal")),
    )
    names = {"Wxh": "Wx", "Whh": "u", "bh": "b"}
    modified.fill({f"l0.{ours}": plain.params[f"l0.{theirs}"] for ours, theirs in names.items()})
    actual, expected = both_ways(modified), both_ways(plain)
    for name in ("y", "dx", "l0.h", "dl0.h"):
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-11, err_msg=name)
    for ours, theirs in names.items():
        np.testing.assert_allclose(actual[f"grad l0.{ours}"], expected[f"grad l0.{theirs}"], rtol=1e-11)


@pytest.mark.parametrize("cell", ["lstm", "rhn", "mgu"])
def test_diagonal_matrices_are_dense_ones_with_zeros_elsewhere(cell):
    plain, modified = layer(cell), layer(zoo.modify(cell, "diagonal"))
    fill(modified, plain)
    for name, value in modified.params.items():
        if value.shape != plain.params[name].shape:
            rows, columns = plain.params[name].shape[-2:]
            vectors = value.reshape(*plain.params[name].shape[:-2], columns // rows, rows)
            plain.params[name] = np.concatenate(
                np.moveaxis(vectors[..., None] * np.eye(rows), -3, 0), axis=-1
            )
    assert_same(modified, plain)


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "rhn", "lstm_projected"])
def test_full_rank_factorisation_is_identity(cell):
    rank = 4
    base = zoo.get_cell(cell, proj=rank) if cell == "lstm_projected" else zoo.get_cell(cell)
    plain, modified = layer(base), layer(zoo.modify(base, "low_rank", r=rank))
    fill(modified, plain)
    for name, value in modified.params.items():
        if name.endswith("_left"):
            modified.params[name] = np.broadcast_to(np.eye(rank), value.shape)
            modified.params[name.replace("left", "right")] = plain.params[name.removesuffix("_left")]
    assert_same(modified, plain)


def test_initial_values_of_low_rank_factors():
    rnn = zoo.Recurrent(zoo.modify("lstm", "low_rank", r=2), INPUTS, H, dtype="float64")
    left, right = rnn.params["l0.Wh_left"], rnn.params["l0.Wh_right"]
    np.testing.assert_allclose(left.T @ left, np.eye(2), atol=1e-12)
    assert right.any()


def dense(blocks, count):
    """The matrix that blocks (heads, n, count * m) stand for."""
    heads, rows, columns = blocks.shape
    width = columns // count
    result = np.zeros((heads, rows, count, heads, width))
    for head in range(heads):
        result[head, :, :, head] = blocks[head].reshape(rows, count, width)
    return result.reshape(heads * rows, count * heads * width)


@pytest.mark.parametrize(
    ("cell", "name", "count"), [("vanilla", "Whh", 1), ("lstm", "Wh", 4), ("gru", "Wh", 3)]
)
@pytest.mark.parametrize("heads", [1, 2])
def test_blocks_are_a_dense_matrix_with_zeros_elsewhere(cell, name, count, heads):
    plain, modified = layer(cell), layer(zoo.modify(cell, "block_diagonal", heads=heads))
    fill(modified, plain)
    blocks = modified.params[f"l0.{name}"]
    assert blocks.shape == (heads, H // heads, count * H // heads)
    plain.params[f"l0.{name}"] = dense(blocks, count)
    assert_same(modified, plain)


def test_block_has_initial_values_of_its_size():
    rnn = zoo.Recurrent(zoo.modify("gru", "block_diagonal", heads=2), INPUTS, H, dtype="float64")
    for block in rnn.params["l0.Wh"]:  # orthogonal, gate by gate
        for gate in np.split(block, 3, axis=1):
            np.testing.assert_allclose(gate @ gate.T, np.eye(2), atol=1e-12)


# ---- fast and slow ------------------------------------------------------------------------------------


def lstm(p, prefix, x, h, c):
    a = h @ p[f"{prefix}_Wh"] + p[f"{prefix}_b"]
    i, f, g, o = np.split(a if x is None else a + x @ p[f"{prefix}_Wx"], 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("k", [2, 3, 4])
def test_fast_slow_matches_equations(k):
    rnn = layer(zoo.modify("lstm", "fast_slow", k=k))
    x, state = sequence(rnn)
    y, last = rnn.forward(x, state)
    p = {name.partition(".")[2]: each for name, each in rnn.params.items()}
    assert ("fast3_Wx" in p, "fast3_Wh" in p) == (False, k > 2)
    fast, slow = ((state[f"l0.{kind}_h"], state[f"l0.{kind}_c"]) for kind in ("fast", "slow"))
    for t in range(T):
        fast = lstm(p, "fast1", x[t], *fast)
        slow = lstm(p, "slow", fast[0], *slow)
        fast = lstm(p, "fast2", slow[0], *fast)
        for i in range(3, k + 1):
            fast = lstm(p, f"fast{i}", None, *fast)
        np.testing.assert_allclose(y[t], fast[0], rtol=1e-12)
    np.testing.assert_allclose(last["l0.slow_c"], slow[1], rtol=1e-12)
    np.testing.assert_allclose(last["l0.fast_c"], fast[1], rtol=1e-12)


# ---- together -----------------------------------------------------------------------------------------


def test_modifiers_of_a_cell_share_one_trace():
    cell = zoo.get_cell("gru")
    find_matmuls.cache_clear()
    for name in ("zoneout", "diagonal", "residual"):
        compose.__wrapped__(cell, zoo.get_modifier(name))
    assert find_matmuls.cache_info().misses == 1


def test_outer_modifier_sees_products_of_inner_ones():
    cell = zoo.modify(zoo.modify("lstm", "low_rank", r=2), "layer_norm")
    assert [name for name in cell.params if name.endswith("_gain")] == [
        "Wx_gain",
        "Wh_left_gain",
        "Wh_right_gain",
    ]
    other = zoo.modify(zoo.modify("lstm", "layer_norm"), "low_rank", r=2)
    assert [name for name in other.params if name.endswith("_gain")] == ["Wx_gain", "Wh_gain"]


def test_layer_norm_covers_residual_projection():
    cell = zoo.modify(zoo.modify("vanilla", "residual"), "layer_norm")
    assert "residual_P_gain" in cell.params


def test_copies_of_noisy_cell_have_separate_noise():
    cell = zoo.modify(zoo.modify("vanilla", "zoneout", p=0.2), "fast_slow")
    assert list(cell.inputs) == ["fast1_zoneout_h", "slow_zoneout_h", "fast2_zoneout_h"]


def test_modified_cell_is_a_cell_with_the_options_of_both():
    cell = zoo.modify(zoo.get_cell("lstm", forget_bias=1.0), "zoneout", p=0.2)
    assert cell.name == "lstm+zoneout"
    own = {"zoneout_p": 0.2, "zoneout_p_memory": -1.0}
    assert dict(cell.options) == {"forget_bias": 1.0, "t_max": 2.0, **own}
    assert zoo.get_cell("lstm+zoneout", forget_bias=1.0, zoneout_p=0.2) == cell
    assert zoo.modify("lstm", zoo.get_modifier("zoneout", p=0.2)) != cell
    assert copy.copy(cell) == cell == pickle.loads(pickle.dumps(cell))


def test_copies_and_pickles_keep_every_modifier():
    cell = zoo.get_cell("gru+low_rank+zoneout+fast_slow", low_rank_r=3)
    assert copy.deepcopy(cell) == cell == pickle.loads(pickle.dumps(cell))


def test_declarations_follow_the_options():
    assert "R4_gain" in zoo.get_cell("rhn+layer_norm", depth=5).params
    assert "R1_gain" not in zoo.get_cell("rhn+layer_norm", depth=1).params


def test_step_accepts_numpy_arrays():
    cell = zoo.get_cell("lru+zoneout", zoneout_p=0.5)
    rnn = layer(cell)
    x, state = sequence(rnn, steps=1)
    arrays = {name.partition(".")[2]: value for name, value in rnn.params.items()}
    seen = {
        name: value[0] + 1j * value[1] if cell.params[name].complex else value
        for name, value in arrays.items()
    }
    h = state["l0.h"][0, 0] + 1j * state["l0.h"][0, 1]
    result = cell.with_arrays(seen).step(x[0, 0], h, np.full(H, 0.5))
    y, last = rnn.forward(x[:, :1], {"l0.h": state["l0.h"][:1]})
    np.testing.assert_allclose(result.y, y[0, 0], rtol=1e-12)
    np.testing.assert_allclose(result.states[0].imag, last["l0.h"][0, 1], rtol=1e-12)


# ---- modifiers of one's own ---------------------------------------------------------------------------


class Scaled(zoo.Modifier):
    """Every product is scaled by one trained number."""

    card = CARD

    def edit(self, spec):
        for matmul in spec.matmuls:
            spec.add(f"{matmul.name}_scale", zoo.Param(init="ones", help="scale"))

    def matmul(self, ctx, matmul, operand, matrix):
        return ctx[f"{matmul.name}_scale"] * matmul.multiply(operand, matrix)


def test_modifier_class_is_accepted():
    plain, modified = layer("gru"), layer(zoo.modify("gru", Scaled))
    fill(modified, plain, Wx_scale=1.0, Wh_scale=1.0)
    assert_same(modified, plain)


# ---- what makes no sense ------------------------------------------------------------------------------


class Transposed(zoo.Cell):
    """h' = tanh(x W + U h), with the matrix on the left."""

    card = CARD
    W = zoo.Param("I", "H")
    U = zoo.Param("H", "H")
    h = zoo.State("H")

    def step(self, x, h):
        return np.tanh(x @ self.W + self.U @ h)


class Shared(zoo.Cell):
    """h' = tanh(x W + h W), with one matrix for both."""

    card = CARD
    W = zoo.Param("H", "H")
    h = zoo.State("H")

    def step(self, x, h):
        return np.tanh((h + 1) @ self.W + h @ self.W * np.sum(self.W))


REFUSED = [
    ("indrnn", "diagonal", "it multiplies no state by a matrix of parameters"),
    ("antisymmetric", "diagonal", "it computes the matrix of 'U' from parameters"),
    ("slstm", "block_diagonal", "'R' is no matrix on the right of one vector"),
    ("lstm_projected", "diagonal", r"'Wh' is a matrix \(32, 4H\), which is not made of square ones"),
    ("lru", "layer_norm", "its product with 'B' is one of complex numbers"),
    ("lru", "low_rank", "'C' multiplies complex numbers"),
    ("indrnn", "multiplicative_integration", "it adds no product of its input to one of its state"),
    ("delta_net", "recurrent_dropout", "it multiplies no state by a matrix of parameters"),
    ("gla", "teacher_forcing", "its first state 'S' is not a vector of real numbers"),
    ("lru", "teacher_forcing", "its first state 'h' is not a vector of real numbers"),
    ("lif", "teacher_forcing", "its first state 's' holds spikes, which are zero or one"),
    ("stsp_rnn", "teacher_forcing", "it computes the matrix of its input from parameters"),
    ("rwkv4", "teacher_forcing", "no matrix of parameters multiplies a state, so its units do not interact"),
    ("esn", "teacher_forcing", "no matrix of parameters multiplies a state, so its units do not interact"),
    (
        "min_lstm",
        "teacher_forcing",
        "no matrix of parameters multiplies a state, so its units do not interact",
    ),
    *(
        (
            cell,
            "teacher_forcing",
            "the modifier 'residual' changes the output, which teacher forcing replaces; apply it "
            f"afterwards, '{re.escape(inner)}\\+teacher_forcing\\+residual'",
        )
        for cell, inner in (
            ("gru+residual", "gru"),
            ("lstm+zoneout+residual", "lstm+zoneout"),
            ("shallow_plrnn+residual+layer_norm", "shallow_plrnn+layer_norm"),
            (zoo.get_cell("vanilla+residual", residual_project=False), "vanilla"),
        )
    ),
    (Transposed, "diagonal", "'U' is no matrix on the right of one vector"),
    (Shared, "low_rank", "step uses 'W' in other ways than as the matrix of a product .*"),
]


@pytest.mark.parametrize(("cell", "modifier", "why"), REFUSED)
def test_unsuitable_modifier_raises(cell, modifier, why):
    with pytest.raises(zoo.UsageError, match=f"^modifier '{modifier}' does not suit cell '.*': {why}.$"):
        zoo.modify(cell, modifier)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: zoo.get_cell("lstm+zonout"), zoo.UnknownNameError, "Did you mean 'zoneout'"),
        (lambda: zoo.get_cell("lstn+zoneout"), zoo.UnknownNameError, "unknown cell 'lstn'"),
        (lambda: zoo.get_cell("lstm+"), zoo.UnknownNameError, "unknown modifier ''"),
        (lambda: zoo.get_cell("lstm+zoneout+zoneout"), zoo.UsageError, "has the modifier 'zoneout' already"),
        (
            lambda: zoo.get_cell("lstm+zoneout", p=0.1),
            zoo.UsageError,
            "has no option 'p'; it has: .*zoneout_p",
        ),
        (lambda: zoo.modify("lstm", "zoneout", q=1), zoo.UsageError, "modifier 'zoneout' has no option 'q'"),
        (lambda: zoo.modify("lstm", "zoneout", p=2.0), zoo.UsageError, "expected a finite number at least 0"),
        (lambda: zoo.modify("lstm", 3), zoo.UsageError, "derived from zoo.Modifier"),
        (
            lambda: zoo.modify("lstm", zoo.get_modifier("zoneout"), p=0.1),
            zoo.UsageError,
            "its options already",
        ),
        (lambda: layer("gru+block_diagonal"), None, ""),
        (
            lambda: layer("gru+block_diagonal", hidden=6),
            zoo.UsageError,
            "H=6 is not divisible by ([a-z_]+=)?4",
        ),
    ],
)
def test_invalid_options_raise(call, error, words):
    if error is None:
        call()
        return
    with pytest.raises(error, match=words):
        call()


class Remembering(zoo.Modifier):
    """The outputs of some steps before are carried along."""

    card = CARD
    count = zoo.Option(1, help="how many", low=1)

    def edit(self, spec):
        for n in range(self.count):
            spec.add(f"past{n}", zoo.State("H", help="an output"))

    def step(self, ctx, inner_step, x, states):
        step = inner_step(x, states)
        line = [step.output, *(states[f"past{n}"] for n in range(self.count))]
        step.states.update({f"past{n}": line[n] for n in range(self.count)})
        return step


def test_state_size_uses_chosen_options() -> None:
    cell = zoo.modify("vanilla", Remembering, count=3)
    assert cell.state_formula() == "H + H + H + H"
    assert cell.state_size(4, 6) == 24


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda spec: spec.add("w", 3),
            "edit declares 'w' as 3; expected a zoo.Param, zoo.Buffer, zoo.State",
        ),
        (lambda spec: spec.add(5, zoo.Param("H")), "modifier 'wrong': 5 cannot name a parameter, state"),
        (
            lambda spec: spec.params.update(w=3),
            r"edit puts 3 as 'w' among the param declarations; declare it",
        ),
        (
            lambda spec: spec.states.update(w=zoo.Param("H")),
            r"declare it with `spec.add\('w', zoo.State\(...\)\)`",
        ),
    ],
)
def test_declarations_of_another_kind_raise(edit, words):
    class Wrong(zoo.Modifier):
        """Declares something else."""

        card = CARD

        def edit(self, spec):
            edit(spec)

    with pytest.raises(zoo.DefinitionError, match=words):
        zoo.modify("vanilla", Wrong)
