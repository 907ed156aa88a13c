"""The LSTM and its kin: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import arrays_of
from hypothesis import given
from hypothesis import strategies as st
from zoo_cells.lstm.cifg_lstm import CIFGLSTM
from zoo_cells.lstm.elstm import ELSTM
from zoo_cells.lstm.indy_lstm import IndyLSTM
from zoo_cells.lstm.janet import JANET
from zoo_cells.lstm.layer_norm_lstm import LayerNormLSTM
from zoo_cells.lstm.lstm import LSTM
from zoo_cells.lstm.lstm_original import LSTMOriginal
from zoo_cells.lstm.mc_lstm import MCLSTM
from zoo_cells.lstm.multiplicative_lstm import MultiplicativeLSTM
from zoo_cells.lstm.nas import NAS
from zoo_cells.lstm.peephole_lstm import PeepholeLSTM
from zoo_cells.lstm.ran import RAN
from zoo_cells.lstm.res_lstm import ResLSTM
from zoo_cells.lstm.wmc_lstm import WMCLSTM

import zoo
from zoo.base.initializers import initialize
from zoo.testing import reference

SHUT, OPEN = -60.0, 60.0


def without(params: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: value for name, value in params.items() if name not in names}


def start_of(cell: zoo.Cell, name: str, inputs: int, hidden: int) -> np.ndarray:
    shape = cell.param_shapes(inputs, hidden)[name]
    return initialize(cell.params[name], shape, 0, (0, 0), cell.name, cell)


@pytest.mark.parametrize(
    "cell",
    [LSTMOriginal(), CIFGLSTM(), MultiplicativeLSTM(forget_bias=60.0), IndyLSTM(forget_bias=60.0)],
    ids=str,
)
def test_memory_is_kept_while_the_input_gate_is_shut(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    params["b"][:6] = SHUT
    _, last = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(last["c"], state["c"], atol=1e-12)


def test_lstm1997_is_lstm_without_forget_gate() -> None:
    params, state, x = arrays_of(LSTMOriginal())
    y, last = reference.run_sequence(LSTMOriginal(), params, x, state)
    halved = {name: value * np.repeat([1, 0.5, 1], 6) for name, value in params.items()}
    later = {name: np.insert(value, [6] * 6, 0, axis=-1) for name, value in halved.items()}
    expected, forgets_not = reference.run_sequence(
        LSTM(forget_bias=60.0), later, x, state | {"c": state["c"] / 2}
    )
    np.testing.assert_allclose(y, expected)
    np.testing.assert_allclose(last["c"], 2 * forgets_not["c"])


def test_lstm1997_writes_up_to_two_and_accumulates() -> None:
    params, state, _ = arrays_of(LSTMOriginal())
    params = {name: np.zeros_like(value) for name, value in params.items()}
    params["b"][:] = OPEN
    _, last = reference.run_sequence(LSTMOriginal(), params, np.zeros((7, 2, 4)), state)
    np.testing.assert_allclose(last["c"], state["c"] + 14)


def test_coupled_gates_keep_the_memory_within_one() -> None:
    params, state, x = arrays_of(CIFGLSTM())
    state["c"] = np.tanh(state["c"])
    _, last = reference.run_sequence(CIFGLSTM(), params, 100 * np.repeat(x, 10, axis=0), state)
    assert np.abs(last["c"]).max() <= 1


def test_janet_lets_in_more_than_it_forgets_by_beta() -> None:
    params, state, x = arrays_of(JANET())
    state["h"] = np.tanh(state["h"])
    average, _ = reference.run_sequence(JANET(beta=0.0), params, x, state)
    assert np.abs(average).max() <= 1
    params["Wx"][:, 6:] = params["Wh"][:, 6:] = 0
    params["b"][6:] = OPEN  # the candidate is one
    params["Wx"][:, :6] = params["Wh"][:, :6] = params["b"][:6] = 0  # the gate is one half
    y, _ = reference.run_sequence(JANET(beta=1.0), params, x, state)
    np.testing.assert_allclose(y[0], state["h"] / 2 + 1 / (1 + np.exp(-1)))


def test_janet_starts_with_spans_up_to_the_longest() -> None:
    b = start_of(JANET(t_max=50.0), "b", 4, 1000)
    assert 49 < np.exp(b[:1000]).max() <= 50
    assert 1 <= np.exp(b[:1000]).min() < 2
    np.testing.assert_array_equal(b[1000:], 0)


@given(t_max=st.floats(3, 1000), forget_bias=st.floats(-2, 2))
def test_lstm_starts_with_chrono_biases(t_max: float, forget_bias: float) -> None:
    """The sum that gate f starts with does not depend on the forget bias."""
    cell = LSTM(t_max=t_max, forget_bias=forget_bias)
    i, f, g, o = np.split(start_of(cell, "b", 4, 1000), 4)
    f = f + forget_bias
    np.testing.assert_allclose(i, -f, atol=1e-12)
    times = np.exp(f)  # uniform between 1 and t_max - 1
    assert 1 - 1e-9 <= times.min() < 1 + 0.02 * t_max
    assert 0.98 * (t_max - 1) < times.max() <= (t_max - 1) * (1 + 1e-9)
    assert abs(times.mean() - t_max / 2) < 0.05 * t_max
    assert not g.any()
    assert not o.any()


@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_lstm_starts_with_biases_of_zero_by_default(forget_bias: float) -> None:
    b = start_of(LSTM(forget_bias=forget_bias), "b", 4, 1000)
    assert not b.any()
    assert not np.signbit(b).any()


def test_multiplicative_lstm_input_scales_recurrent_weights() -> None:
    cell = MultiplicativeLSTM(forget_bias=0.5)
    params, state, x = arrays_of(cell)
    x = np.broadcast_to(x[:1, :1], x.shape)  # one symbol all the time
    y, _ = reference.run_sequence(cell, params, x, state)
    fixed = without(params, "Wmx", "Wmh", "Wm")
    fixed["Wh"] = params["Wmh"] @ np.diag(x[0, 0] @ params["Wmx"]) @ params["Wm"]
    expected, _ = reference.run_sequence(LSTM(forget_bias=0.5), fixed, x, state)
    np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize("name", ["Wmh", "Wx", "Wm"])
def test_multiplicative_lstm_starts_orthogonal(name: str) -> None:
    weights = start_of(MultiplicativeLSTM(), name, 4, 6)
    np.testing.assert_allclose(weights @ weights.T, np.eye(len(weights)), atol=1e-12)


def test_additive_network_is_a_weighted_sum_of_its_contents() -> None:
    cell = RAN(activation="identity")
    params, state, x = arrays_of(cell)
    params["Wx"][:, :12] = params["Wh"][:] = 0  # gates that are constant
    y, _ = reference.run_sequence(cell, params, x, state)
    i, f = np.split(1 / (1 + np.exp(-params["b"])), 2)
    expected = f**7 * state["c"] + sum(f ** (6 - t) * i * (x[t] @ params["Wx"][:, 12:]) for t in range(7))
    np.testing.assert_allclose(y[-1], expected)
    squashed, _ = reference.run_sequence(RAN(), params, x, state)
    np.testing.assert_allclose(squashed, np.tanh(y))


def test_one_unit_of_the_nas_cell_multiplies_input_and_state() -> None:
    cell = NAS()
    params, state, x = arrays_of(cell)
    params = {name: np.zeros_like(value) for name, value in params.items()}
    x, h = x[:1], state["h"]
    params["Wh"][:, 18:24] = np.eye(6)
    params["Wx"][:4, 18:22] = np.eye(4)
    _, last = reference.run_sequence(cell, params, x, state)
    product = np.concatenate([x[0] * h[:, :4], np.zeros((2, 2))], axis=1)
    np.testing.assert_allclose(last["c"], np.tanh(state["c"]) * np.tanh(0.5 + np.maximum(product, 0)))


def test_working_memory_of_weight_zero_makes_an_lstm() -> None:
    params, state, x = arrays_of(WMCLSTM())
    y, _ = reference.run_sequence(WMCLSTM(), params | {"Wc": np.zeros((6, 18))}, x, state)
    expected, _ = reference.run_sequence(LSTM(), without(params, "Wc"), x, state)
    np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize(("gate", "moved"), [(0, True), (1, True), (2, False)])
def test_working_memory_shifts_gate_by_at_most_one(gate: int, moved: bool) -> None:
    params, state, x = arrays_of(WMCLSTM())
    params["Wc"] = np.zeros((6, 18))
    params["Wc"][:, 6 * gate : 6 * gate + 6] = 1e6
    state["c"] = np.abs(state["c"])
    _, last = reference.run_sequence(WMCLSTM(), params, x[:1], state)
    shifted = without(params, "Wc")
    place = 6 * (0, 1, 3)[gate]  # of gates i, f, o among i, f, g, o
    shifted["b"] = params["b"].copy()
    shifted["b"][place : place + 6] += 1
    _, expected = reference.run_sequence(LSTM(), shifted, x[:1], state)
    np.testing.assert_allclose(last["c"], expected["c"])
    if moved:
        np.testing.assert_allclose(last["h"], expected["h"])


def test_output_of_a_memory_controller_is_not_fed_back() -> None:
    cell = MCLSTM()
    params, state, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params, x, state)
    for name in ("Wx", "Wv", "b"):
        params[name][..., 18:24] *= -1  # the output gate
    other, same = reference.run_sequence(cell, params, x, state)
    assert np.abs(other - y).max() > 0.1
    np.testing.assert_array_equal([same["v"], same["c"]], [last["v"], last["c"]])


def test_controller_with_output_gate_reads_gives_lstm() -> None:
    params, state, x = arrays_of(LSTM())
    twice = {name: np.concatenate([value, value[..., 18:]], axis=-1) for name, value in params.items()}
    twice["Wv"] = twice.pop("Wh")
    y, _ = reference.run_sequence(MCLSTM(), twice, x, {"v": state["h"], "c": state["c"]})
    expected, _ = reference.run_sequence(LSTM(), params, x, state)
    np.testing.assert_allclose(y, expected)


def test_residual_lstm_without_shortcut_is_peephole_lstm() -> None:
    params, state, x = arrays_of(ResLSTM())
    y, _ = reference.run_sequence(ResLSTM(), params | {"Wp": np.eye(6), "Wr": np.zeros((4, 6))}, x, state)
    expected, _ = reference.run_sequence(PeepholeLSTM(), without(params, "Wp", "Wr"), x, state)
    np.testing.assert_allclose(y, expected)


def test_residual_lstm_adds_input() -> None:
    params, state, x = arrays_of(ResLSTM())
    params["b"][18:], params["Wp"], params["p"][2] = OPEN, np.zeros((6, 6)), 0
    params["Wx"][:], params["Wh"][:] = 0, 0
    y, _ = reference.run_sequence(ResLSTM(), params, x, state)
    np.testing.assert_allclose(y, x @ params["Wr"])


def test_layer_normalisation_hears_no_scale_of_weights() -> None:
    cell = LayerNormLSTM()
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    larger = {"Wx": 1000 * params["Wx"], "Wh": 50 * params["Wh"]}
    scaled, _ = reference.run_sequence(cell, params | larger, x, state)
    np.testing.assert_allclose(scaled, y, atol=1e-3)  # epsilon stands beside the variance


def test_units_of_indylstm_are_independent() -> None:
    cell = IndyLSTM()
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    moved, _ = reference.run_sequence(cell, params, x, state | {"h": state["h"] + np.eye(6)[2]})
    changed = np.abs(moved - y).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(changed, np.arange(6) == 2)


def test_indylstm_is_an_lstm_with_diagonal_matrices() -> None:
    params, state, x = arrays_of(IndyLSTM())
    y, _ = reference.run_sequence(IndyLSTM(forget_bias=1.0), params, x, state)
    full = without(params, "u") | {
        "Wh": np.concatenate([np.diag(u) for u in params["u"].reshape(4, 6)], axis=1)
    }
    expected, _ = reference.run_sequence(LSTM(forget_bias=1.0), full, x, state)
    np.testing.assert_allclose(y, expected)


def test_elstm_cells_have_separate_memory_and_common_output() -> None:
    cell = ELSTM()
    params, state, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params, x, state)
    moved, then = reference.run_sequence(cell, params, x, {"c": state["c"] + np.eye(6)[2]})
    np.testing.assert_array_equal(np.abs(then["c"] - last["c"]).max(axis=0) > 0, np.arange(6) == 2)
    assert (np.abs(moved - y)[0].max(axis=0) > 0).all()


def test_card_of_the_peephole_lstm_states_its_forget_bias() -> None:
    cell = zoo.get_cell("peephole_lstm")
    assert cell.options["forget_bias"] == 0
    assert "the forget gate starts at a bias of 0" in cell.card.deviations
