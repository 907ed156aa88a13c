"""Cells with matrices for memories, and their kin: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import Arrays, arrays_of
from zoo_cells.linear.delta_net import DeltaNet
from zoo_cells.linear.gated_delta_net import GatedDeltaNet
from zoo_cells.linear.gla import GLA
from zoo_cells.linear.mamba import Mamba, rates
from zoo_cells.linear.matrix_lstm import MatrixLSTM
from zoo_cells.linear.retnet import RetNet, angles, decays
from zoo_cells.linear.rwkv4 import RWKV4, bonuses, decay_speeds, mix_fractions, values_only

import zoo
from zoo.testing import reference

RNG = np.random.default_rng(0)


def zeros_of(cell: zoo.Cell) -> Arrays:
    """States before the first step, of two rows."""
    return {name: np.zeros((2, *shape)) for name, shape in cell.state_shapes(4, 6).items()}


def fixed(heads: int) -> Arrays:
    """The buffers of a RetNet with six hidden units."""
    return {"gamma": decays(RNG, (heads,)), "theta": angles(RNG, (6 // heads // 2,))}


# ---- Mamba --------------------------------------------------------------------------------------------


def test_mamba_forgets_at_whole_rates() -> None:
    np.testing.assert_allclose(np.exp(rates(RNG, (2, 5))), [[1, 2, 3, 4, 5]] * 2)


def test_short_step_of_mamba_ignores_input() -> None:
    cell = Mamba(expand=1, order=3, rank=2)
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params | {"bd": np.full(6, -1e4)}, x, state)
    np.testing.assert_array_equal(last["h"], state["h"])
    _, last = reference.run_sequence(cell, params | {"bd": np.full(6, 1e4)}, x, state)
    _, last_from_other = reference.run_sequence(
        cell, params | {"bd": np.full(6, 1e4)}, x, state | {"h": state["h"] + 1}
    )
    np.testing.assert_array_equal(last["h"], last_from_other["h"])  # a long one forgets what was there


def test_mamba_sees_as_many_inputs_as_the_convolution_is_wide() -> None:
    cell = Mamba(width=3)
    params, state, x = arrays_of(cell)
    params |= {"bd": np.full(12, 1e4)}  # nothing is kept but by the convolution
    y, last = reference.run_sequence(cell, params, x, state)
    z, _ = reference.run_sequence(cell, params, x + np.eye(7)[2][:, None, None], state)
    np.testing.assert_array_equal((y != z).any(axis=(1, 2)), [False, False, True, True, True, False, False])
    np.testing.assert_allclose(last["past"].swapaxes(0, 1), x[-2:] @ params["Wx"][:, :12])


# ---- RetNet -------------------------------------------------------------------------------------------


def test_retnet_heads_have_separate_decay() -> None:
    np.testing.assert_allclose(decays(RNG, (3,)), [31 / 32, 63 / 64, 127 / 128])
    cell = RetNet(heads=3)
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params | fixed(3), 0 * x, state)
    before, after = (np.hypot(s["S"][:, 0], s["S"][:, 1]) for s in (state, last))
    np.testing.assert_allclose(after, before * (decays(RNG, (3,)) ** 7)[:, None, None])


def test_retnet_output_scale_matches_card() -> None:
    """At the initial values, on one-hot rows. The official code divides the memory by a root, so its keys."""
    rnn = zoo.Recurrent("retnet", 65, 128, dtype="float64", seed=1, threads=1)
    arrays = {name.removeprefix("l0."): value for name, value in {**rnn.params, **rnn.buffers}.items()}
    x = np.eye(65)[np.random.default_rng(0).integers(0, 65, (64, 4))]
    ratios, scale = {}, np.zeros(4)
    for t in range(64):
        scale = scale * arrays["gamma"] + 1
        if t in (8, 32, 63):
            _, before = reference.run_sequence(rnn.cell, arrays, x[:t], {"S": np.zeros((4, 2, 4, 16, 32))})
            divided = {**arrays, "Wx": arrays["Wx"].copy()}
            divided["Wx"][:, 128:256] /= np.repeat(np.sqrt(scale), 32)
            state = {"S": before["S"] / np.sqrt(scale)[:, None, None]}
            official, _ = reference.run_sequence(rnn.cell, divided, x[t : t + 1], state)
            own, _ = reference.run_sequence(rnn.cell, arrays, x[t : t + 1], before)
            ratios[t] = np.abs(own).mean() / np.abs(official).mean()
    assert ratios == pytest.approx({8: 2.9, 32: 5.2, 63: 6.8}, abs=0.15)
    assert "2.9, 5.2 and 6.8 times the official one at steps 8, 32 and 63" in rnn.cell.card.deviations


def test_retnet_attends_by_distance() -> None:
    """The sum that the recurrence stands for, keys and queries turned by their places, as in the paper."""
    cell = RetNet(heads=1)
    params, _, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params | fixed(1), x, zeros_of(cell))
    q, k, v, g = np.split(x @ params["Wx"], 4, axis=-1)
    turn = np.exp(1j * np.arange(7)[:, None, None] * fixed(1)["theta"])
    q, k = ((part[..., 0::2] + 1j * part[..., 1::2]) * turn for part in (q, k))
    scores = np.einsum("tbd,sbd->bts", q, k.conj()).real / np.sqrt(6)
    distance = np.arange(7)[:, None] - np.arange(7)
    o = np.einsum("bts,sbd->tbd", np.where(distance < 0, 0, scores * (31 / 32.0) ** distance), v)
    o /= np.sqrt(np.mean(o**2, axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(y, (g / (1 + np.exp(-g)) * o) @ params["Wo"])


# ---- Gated linear attention ---------------------------------------------------------------------------


def test_open_gates_of_gla_keep_everything_and_shut_ones_nothing() -> None:
    cell = GLA(heads=3)
    params, state, x = arrays_of(cell)
    k, v = (x @ params["Wx"])[..., 3:6], (x @ params["Wx"])[..., 6:12].reshape(7, 2, 3, 1, 2)
    written = k.reshape(7, 2, 3, 1, 1) * v
    _, last = reference.run_sequence(cell, params | {"b": np.full(3, 1e4)}, x, state)
    np.testing.assert_allclose(last["S"], state["S"] + written.sum(axis=0))
    _, last = reference.run_sequence(cell, params | {"b": np.full(3, -1e5)}, x, state)
    np.testing.assert_allclose(last["S"], written[-1])


# ---- Gated DeltaNet -----------------------------------------------------------------------------------


def test_gated_delta_net_without_forgetting_is_delta_net() -> None:
    cell = GatedDeltaNet(heads=2)
    params, state, x = arrays_of(cell)
    y, last = reference.run_sequence(cell, params | {"ba": np.full(2, -1e4)}, x, state)
    known = {name: params[name] for name in ("Wx", "Wb")}
    expected, expected_last = reference.run_sequence(DeltaNet(heads=2), known, x, state)
    np.testing.assert_allclose(y, expected)
    np.testing.assert_allclose(last["S"], expected_last["S"])


def test_gated_delta_net_can_clear_memory() -> None:
    cell = GatedDeltaNet()
    params, state, x = arrays_of(cell)
    params |= {"ba": np.full(1, 1e4)}
    y, _ = reference.run_sequence(cell, params, x, state)
    empty, _ = reference.run_sequence(cell, params, x, zeros_of(cell))
    np.testing.assert_array_equal(y, empty)


# ---- RWKV-4 -------------------------------------------------------------------------------------------


def test_rwkv4_starts_as_the_first_layer_of_the_official_model() -> None:
    np.testing.assert_allclose(decay_speeds(RNG, (3,)), [-5, -5 + 8 * 0.5**0.7, 3])
    np.testing.assert_allclose(np.exp(bonuses(RNG, (3,))), 0.3 * np.exp([0, 0.5, -0.5]))
    np.testing.assert_allclose(mix_fractions(RNG, (3, 4)) ** [[2], [1], [1]], [[0, 0.25, 0.5, 0.75]] * 3)
    assert np.isfinite(decay_speeds(RNG, (1,))).all()


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 6, 4), (3, 5, 5)])
def test_rwkv4_starts_with_values_at_right_angles(shape: tuple[int, int, int]) -> None:
    receptance, key, value = values_only(RNG, shape)
    assert not receptance.any()
    assert not key.any()
    few = min(shape[1:])
    product = value @ value.T if few == shape[1] else value.T @ value
    np.testing.assert_allclose(product, max(shape[2] / shape[1], 1) * np.eye(few), atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e3, -1e3])
def test_rwkv4_is_decaying_weighted_average(shift: float) -> None:
    """The sum of the paper. Keys larger by a thousand change nothing, and overflow nothing."""
    cell = RWKV4()
    params, _, x = arrays_of(cell)
    params |= {"mix": np.ones((3, 4))}
    x[..., 0] = 1
    params["Wx"][1, 0] += shift
    y, last = reference.run_sequence(cell, params, x, zeros_of(cell))
    r, k, v = (x @ params["Wx"][part] for part in range(3))
    ages = 6 - np.arange(7)[:, None, None]  # of the present input zero, which gets the bonus and no fading
    logs = k - shift + np.where(ages == 0, params["u"], -(ages - 1) * np.exp(params["w"]))
    average = np.sum(np.exp(logs) * v, axis=0) / np.sum(np.exp(logs), axis=0)
    np.testing.assert_allclose(y[-1], (average / (1 + np.exp(-r[-1]))) @ params["Wo"])
    np.testing.assert_array_equal(last["past"], x[-1])
    assert (last["n"] >= 1).all()


# ---- mLSTM --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 300.0, -300.0])
def test_mlstm_stabiliser_changes_no_output(shift: float) -> None:
    """Gates shifted by 300 would overflow or vanish in float32; as plain exponentials they fit float64."""
    cell = MatrixLSTM(heads=1)
    params, _, x = arrays_of(cell)
    params["bg"] += [shift, 0]
    y, last = reference.run_sequence(cell, params, x, zeros_of(cell))
    q, k, v, o = np.split(x @ params["Wx"] + params["b"], 4, axis=-1)
    i, f = np.split(x @ params["Wg"] + params["bg"], 2, axis=-1)
    i, f = np.exp(i), 1 / (1 + np.exp(-f))
    memory, total = np.zeros((2, 6, 6)), np.zeros((2, 6))
    for t in range(7):
        memory = f[t][..., None] * memory + i[t][..., None] * k[t][..., None] * v[t][:, None] / np.sqrt(6)
        total = f[t] * total + i[t] * k[t] / np.sqrt(6)
        read = np.einsum("bd,bdm->bm", q[t], memory)
        # The cell adds 1e-6 below the fraction, after all is divided by exp(m): hence the tolerance.
        h = read / np.maximum(np.abs(np.sum(q[t] * total, axis=-1)), 1)[:, None]
        np.testing.assert_allclose(y[t], h / (1 + np.exp(-o[t])), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(last["C"][:, 0] * np.exp(last["m"])[..., None], memory)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mlstm_with_closed_gates_stays_finite(dtype: type) -> None:
    cell = MatrixLSTM(heads=2)
    params, _, x = arrays_of(cell)
    params["bg"] -= 1e4
    rnn = zoo.Recurrent(cell, 4, 6, dtype=np.dtype(dtype).name)
    rnn.fill({f"l0.{name}": value for name, value in params.items()})
    with zoo.kernels.pure_python():
        y, _ = rnn.forward(x.astype(dtype))
        dx, _ = rnn.backward(np.ones_like(y))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    assert all(np.isfinite(value).all() for value in rnn.grads.values())


# ---- all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", [RetNet(heads=2), GLA(heads=2), GatedDeltaNet(heads=4), MatrixLSTM(heads=4)], ids=lambda c: c.name
)
def test_heads_must_divide_the_hidden_units(cell: zoo.Cell) -> None:
    with pytest.raises(zoo.UsageError, match=r"H=6 is not divisible by ([a-z]+=)?4"):
        cell.state_shapes(4, 6)
