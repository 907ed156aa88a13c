"""Further gated cells, bistable, found by search, simplified or typed: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import Arrays, arrays_of
from zoo_cells.gated.brc import BRC
from zoo_cells.gated.dsgu import DSGU
from zoo_cells.gated.fastgrnn import FastGRNN
from zoo_cells.gated.gru_reset_before import GRUResetBefore
from zoo_cells.gated.miru1 import MiRU1
from zoo_cells.gated.miru2 import MiRU2
from zoo_cells.gated.mut1 import MUT1
from zoo_cells.gated.mut2 import MUT2
from zoo_cells.gated.mut3 import MUT3
from zoo_cells.gated.nbrc import NBRC
from zoo_cells.gated.sgu import SGU
from zoo_cells.gated.t_gru import TGRU
from zoo_cells.gated.t_rnn import TRNN
from zoo_cells.lstm.t_lstm import TLSTM

import zoo
from zoo.testing import reference


def outputs(cell: zoo.Cell, params: Arrays, x: np.ndarray, state: Arrays) -> np.ndarray:
    return reference.run_sequence(cell, params, x, state)[0]


@pytest.mark.parametrize(
    ("cell", "gate", "shut_at"),
    [
        (BRC(), 1, 60),
        (NBRC(), 1, 60),
        (MUT1(), 0, -60),
        (MUT2(), 0, -60),
        (MUT3(), 0, -60),
        (SGU(), 1, -60),
        (DSGU(), 1, -60),
        (TRNN(), 0, 60),
    ],
    ids=str,
)
def test_gate_keeps_the_state(cell: zoo.Cell, gate: int, shut_at: float) -> None:
    params, state, x = arrays_of(cell)
    params["b"][6 * gate : 6 * gate + 6] = shut_at
    y = outputs(cell, params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-12)


@pytest.mark.parametrize(("feedback", "remembers"), [(0.5, False), (1.5, True)])
def test_bistable_unit_remembers_sign_of_input(feedback: float, remembers: bool) -> None:
    cell = BRC()
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(4, 6).items()}
    params["b"][:6] = np.arctanh(feedback - 1)
    x = np.zeros((500, 2, 4))
    up, down = (outputs(cell, params, x, {"h": np.full((2, 6), push)})[-1] for push in (0.1, -0.1))
    np.testing.assert_allclose(up, -down)
    np.testing.assert_allclose(up, np.tanh(feedback * up), atol=1e-9)  # a state that stays
    assert (up > 0.5).all() == remembers
    assert (up < 1e-9).all() != remembers


def test_bistable_units_are_independent() -> None:
    params, state, x = arrays_of(BRC())
    y = outputs(BRC(), params, x, state)
    moved = outputs(BRC(), params, x, {"h": state["h"] + np.eye(6)[2]})
    np.testing.assert_array_equal(np.abs(moved - y).max(axis=(0, 1)) > 0, np.arange(6) == 2)


def test_diagonal_neuromodulation_gives_bistable_cell() -> None:
    params, state, x = arrays_of(BRC())
    expected = outputs(BRC(), params, x, state)
    params["Wh"] = np.concatenate([np.diag(row) for row in params.pop("w")], axis=1)
    np.testing.assert_allclose(outputs(NBRC(), params, x, state), expected)


def test_open_gate_still_adds_candidate() -> None:
    cell = FastGRNN()
    params, state, x = arrays_of(cell)
    params["b"][:6] = 60  # z = 1, where other cells keep the state
    params["b"][6:] = 60  # the candidate is one
    params["scale"][:] = [7.0, 0.0]  # and counts half; zeta does not matter
    y, last = reference.run_sequence(cell, params, x[:1], state)
    np.testing.assert_allclose(y[0], state["h"] + 0.5)
    np.testing.assert_array_equal(last["h"], y[0])


def test_gate_and_candidate_of_a_fastgrnn_share_their_matrices() -> None:
    assert FastGRNN().parameter_count(4, 6) == 4 * 6 + 6 * 6 + 2 * 6 + 2


def test_mut2_is_rearranged_gru() -> None:
    params, state, x = arrays_of(MUT2())
    y = outputs(MUT2(), params, x, state)
    gru = {"Wn": params["Wn"]}
    for name in ("Wx", "Wh", "b"):
        z, r, *n = np.split(params[name], params[name].shape[-1] // 6, axis=-1)
        gru[name] = np.concatenate([r, -z, *n], axis=-1)  # keeping is not replacing
    np.testing.assert_allclose(y, outputs(GRUResetBefore(), gru, x, state))


def test_update_gate_of_mut1_ignores_state() -> None:
    params, state, x = arrays_of(MUT1())
    params["Wn"][:] = 0  # so is the candidate, then
    shift = outputs(MUT1(), params, x[:1], {"h": state["h"] + 1}) - outputs(MUT1(), params, x[:1], state)
    z = 1 / (1 + np.exp(-(x[:1] @ params["Wx"][:, :6] + params["b"][:6])))
    np.testing.assert_allclose(shift, 1 - z)


def test_mutants_match_paper_with_identity_projection() -> None:
    # MUT1's candidate has tanh(x), MUT2's reset gate x itself.
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(1, 1, 6)), rng.normal(size=(1, 6))
    for cell, part in ((MUT1(), 2), (MUT2(), 1)):
        params = {name: rng.normal(size=shape) for name, shape in cell.param_shapes(6, 6).items()}
        params["Wx"][:, 6 * part : 6 * part + 6] = np.eye(6)
        xz, xr, xn = np.split(x[0] @ params["Wx"], 3, axis=1)
        bz, br, bn = np.split(params["b"], 3)
        hz, hr = (0, h @ params["Wh"]) if part == 2 else np.split(h @ params["Wh"], 2, axis=1)
        z, r = 1 / (1 + np.exp(-(xz + hz + bz))), 1 / (1 + np.exp(-((xr if part == 2 else x[0]) + hr + br)))
        n = np.tanh((np.tanh(x[0]) if part == 2 else xn) + (r * h) @ params["Wn"] + bn)
        np.testing.assert_allclose(outputs(cell, params, x, {"h": h})[0], z * n + (1 - z) * h)


def test_update_gate_of_mut3_saturates_large_states() -> None:
    params, state, x = arrays_of(MUT3())
    params["Wh"][:], params["Wn"][:] = 0, 0
    signs = np.sign(state["h"])
    # h' - (1 - z) h = z n, and neither z nor n hears how large a state is.
    large, larger = ((outputs(MUT3(), params, x[:1], {"h": size * signs})) for size in (1e3, 2e3))
    kept = (larger - large) / (1e3 * signs)
    assert ((kept > 0) & (kept < 1)).all()
    z = 1 / (1 + np.exp(-((x[:1] @ params["Wx"] + params["b"])[..., :6] + signs @ params["Wz"])))
    np.testing.assert_allclose(kept, 1 - z, atol=1e-12)


@pytest.mark.parametrize(("cell", "candidate"), [(SGU(), np.log(2)), (DSGU(), 0.5)], ids=str)
def test_simple_gated_unit_starts_from_zero_state(cell: zoo.Cell, candidate: float) -> None:
    params, _, x = arrays_of(cell)
    params["b"][6:] = 60  # the update gate is fully open, not nearly
    y = outputs(cell, params, x[:1], {"h": np.zeros((2, 6))})
    np.testing.assert_allclose(y, candidate)


@pytest.mark.parametrize(("cell", "highest"), [(SGU(), np.inf), (DSGU(), 1.0)], ids=str)
def test_ranges_of_simple_gated_units(cell: zoo.Cell, highest: float) -> None:
    params, _, _ = arrays_of(cell)
    x = 10 * np.random.default_rng(1).normal(size=(100, 2, 4))
    y = outputs(cell, params, x, {"h": np.zeros((2, 6))})
    assert (y >= 0).all()
    assert (y <= highest).all()
    assert y.max() > 0.9


def test_minion_with_open_reset_gate_is_minion2() -> None:
    params, state, x = arrays_of(MiRU1())
    params["b"][:6] = 60
    second = {"Wx": params["Wx"][:, 6:], "Wh": params["Wn"], "b": params["b"][6:]}
    expected = outputs(MiRU2(reset=1.0, keep=0.3), second, x, state)
    np.testing.assert_allclose(outputs(MiRU1(keep=0.3), params, x, state), expected)


def test_minion_without_coefficients_is_vanilla() -> None:
    params, state, x = arrays_of(MiRU2())
    y = outputs(MiRU2(keep=0.0, reset=1.0), params, x[:1], state)
    np.testing.assert_allclose(y[0], np.tanh(x[0] @ params["Wx"] + state["h"] @ params["Wh"] + params["b"]))
    deaf = MiRU2(keep=0.0, reset=0.0)
    np.testing.assert_array_equal(
        outputs(deaf, params, x, state), outputs(deaf, params, x, {"h": np.zeros((2, 6))})
    )


@pytest.mark.parametrize("cell", [TRNN(), TGRU(), TLSTM()], ids=str)
def test_typed_units_are_independent(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    main = next(iter(state))
    y = outputs(cell, params, x, state)
    moved = outputs(cell, params, x, state | {main: state[main] + np.eye(6)[2]})
    np.testing.assert_array_equal(np.abs(moved - y).max(axis=(0, 1)) > 0, np.arange(6) == 2)


def test_typed_network_averages() -> None:
    params, _, x = arrays_of(TRNN())
    params["Wx"][:, 6:], params["b"][:] = 0, np.log(3)  # f = 3 / 4
    y = outputs(TRNN(), params, x, {"h": np.zeros((2, 6))})
    weights = 0.25 * 0.75 ** np.arange(7)[::-1]
    np.testing.assert_allclose(y[-1], np.einsum("t,tbi->bi", weights, x) @ params["Wx"][:, :6])


@pytest.mark.parametrize("cell", [TGRU(), TLSTM()], ids=str)
def test_typed_gates_remember_one_input(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    _, last = reference.run_sequence(cell, params, x, state)
    np.testing.assert_array_equal(last["past"], x[-1])
    # Where the gate f is shut, nothing older than the step before is left.
    params["Wx"][:, 6:12], params["Wp"][:, 6:12], params["b"][6:12] = 0, 0, -60
    x[2] += 1
    changed = outputs(cell, params, x, state)
    x[2] -= 1
    moved = np.abs(changed - outputs(cell, params, x, state)).max(axis=(1, 2)) > 1e-9
    np.testing.assert_array_equal(np.flatnonzero(moved), [2, 3])


def test_output_gate_of_a_typed_lstm_shows_the_new_cell() -> None:
    params, state, x = arrays_of(TLSTM())
    y, last = reference.run_sequence(TLSTM(), params, x[:1], state)
    o = (x[0] @ params["Wx"] + state["past"] @ params["Wp"] + params["b"])[:, 12:]
    np.testing.assert_allclose(y[0], last["c"] * np.tanh(o))
