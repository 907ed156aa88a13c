"""The gated cells with fewest gates and weights: what each is known for."""

from __future__ import annotations

import numpy as np
import pytest
from golden_values import arrays_of
from zoo_cells.classic.vanilla import Vanilla
from zoo_cells.gated.atr import ATR
from zoo_cells.gated.cfn import CFN
from zoo_cells.gated.light_ru import LightRU
from zoo_cells.gated.ligru import LiGRU
from zoo_cells.gated.mgu import MGU
from zoo_cells.gated.mgu1 import MGU1
from zoo_cells.gated.mgu2 import MGU2
from zoo_cells.gated.mgu3 import MGU3
from zoo_cells.gated.minimal_rnn import MinimalRNN
from zoo_cells.gated.sgrn import SGRN
from zoo_cells.gated.star import STAR
from zoo_cells.gated.ugrnn import UGRNN

import zoo
from zoo.testing import reference

ZERO = np.zeros((6, 6))


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize(
    ("cell", "start", "bias"),
    [
        (MGU1(), 0, -60),
        (MGU3(), 0, -60),
        (LiGRU(), 0, 60),
        (UGRNN(), 0, 60),
        (LightRU(), 0, -60),
        (MinimalRNN(), 6, 60),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_gate_keeps_the_state(cell: zoo.Cell, start: int, bias: float) -> None:
    params, state, x = arrays_of(cell)
    params["b"][start : start + 6] = bias
    y, _ = reference.run_sequence(cell, params, x, state)
    np.testing.assert_allclose(y, np.broadcast_to(state["h"], y.shape), atol=1e-12)


@pytest.mark.parametrize("cell", [MGU1(), MGU2(), MGU3()], ids=lambda cell: cell.name)
def test_minimal_gate_variants_are_special_cases(cell: zoo.Cell) -> None:
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    b = params["b"] if len(params["b"]) == 12 else np.concatenate([np.zeros(6), params["b"]])
    whole = {"b": b, "Wh": params.get("Wh", ZERO), "Wn": params["Wn"]}
    whole["Wx"] = np.concatenate([np.zeros((4, 6)), params["Wx"]], axis=1)
    expected, _ = reference.run_sequence(MGU(), whole, x, state)
    np.testing.assert_allclose(y, expected)


def test_closed_update_gate_gives_vanilla_network() -> None:
    cell = UGRNN(forget_bias=-1000.0)
    params, state, x = arrays_of(cell)
    y, _ = reference.run_sequence(cell, params, x, state)
    plain = {"Wxh": params["Wx"][:, 6:], "Whh": params["Wh"][:, 6:], "bh": params["b"][6:]}
    expected, _ = reference.run_sequence(Vanilla(), plain, x, state)
    np.testing.assert_allclose(y, expected)


def test_light_gates_let_states_grow_upwards_only() -> None:
    params, state, x = arrays_of(LiGRU())
    params["b"][:6] = -60  # the candidate at every step
    y, _ = reference.run_sequence(LiGRU(), params, x, state)
    assert y.min() == 0
    assert y.max() > 1


@pytest.mark.parametrize(
    ("cell", "gate", "bias", "written"),
    [(LightRU(), slice(None), 60, slice(6, 12)), (MinimalRNN(), slice(6, 12), -60, slice(None))],
    ids=["light_ru", "minimal_rnn"],
)
def test_candidate_is_independent_of_state(cell: zoo.Cell, gate: slice, bias: float, written: slice) -> None:
    params, state, x = arrays_of(cell)
    params["b"][gate] = bias
    y, _ = reference.run_sequence(cell, params, x, state)
    shift = params["b"][:6] if isinstance(cell, MinimalRNN) else 0
    np.testing.assert_allclose(y, np.tanh(x @ params["Wx"][:, written] + shift), atol=1e-12)


def test_without_input_a_chaos_free_network_relaxes_to_zero() -> None:
    params, state, _ = arrays_of(CFN())
    params = {name: 3 * value for name, value in params.items()}  # others would be chaotic
    y, _ = reference.run_sequence(CFN(), params, np.zeros((300, 2, 4)), state)
    sizes = np.abs(np.concatenate([state["h"][None], y]))
    assert (sizes[1:] <= sizes[:-1]).all()
    # Kept by a gate of one, tanh alone brings a state down to sqrt(3 / 2t) after t steps.
    assert sizes[-1].max() < np.sqrt(3 / 600)


def test_chaos_free_states_stay_within_two() -> None:
    params, state, x = arrays_of(CFN())
    y, _ = reference.run_sequence(CFN(), params, 1e3 * x, state)
    assert 1 < np.abs(y).max() <= 2


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (0, lambda p, h: sigmoid(p) * (p + h)),  # the two gates are one
        (60, lambda p, h: p),
        (-60, lambda p, h: h),
    ],
    ids=["silent", "raised", "lowered"],
)
def test_history_separates_both_gates(history: float, expected: object) -> None:
    params, state, x = arrays_of(ATR())
    params |= {"Wh": ZERO}
    params["b"][6:] = history
    y, _ = reference.run_sequence(ATR(), params, x[:1], state)
    p = x[0] @ params["Wx"] + params["b"][:6]
    assert callable(expected)
    np.testing.assert_allclose(y[0], expected(p, state["h"]), atol=1e-12)


@pytest.mark.parametrize(("cell", "kept"), [(SGRN(), 60), (STAR(), -60)], ids=["sgrn", "star"])
def test_squashed_state_decays_when_kept(cell: zoo.Cell, kept: float) -> None:
    params, state, x = arrays_of(cell)
    params["b"][:6] = kept
    y, _ = reference.run_sequence(cell, params, x, state)
    h = state["h"]
    for row in y:
        h = np.tanh(h)
        np.testing.assert_allclose(row, h, atol=1e-12)


def test_simple_gate_candidate_has_no_bias() -> None:
    params, state, x = arrays_of(SGRN())
    params["b"][:] = -60
    y, _ = reference.run_sequence(SGRN(), params, x, state)
    np.testing.assert_allclose(y, np.tanh(x @ params["Wx"]), atol=1e-12)


@pytest.mark.parametrize(("inputs", "hidden"), [(4, 6), (6, 4)])
def test_new_stackable_cell_is_renewed_within_t_max_steps(inputs: int, hidden: int) -> None:
    params = zoo.Recurrent(STAR(t_max=100), inputs, hidden, dtype="float64").params
    rates, shifts = np.split(params["l0.b"], 2)
    assert (rates <= 0).all()
    assert (rates >= -np.log(100)).all()
    assert (shifts == 0).all()
    for part in np.split(params["l0.Wx"], 2, axis=1):
        gram = part @ part.T if inputs < hidden else part.T @ part
        np.testing.assert_allclose(gram, np.eye(min(inputs, hidden)), atol=1e-12)


def test_new_chaos_free_network_starts_keeping_state() -> None:
    forget, write = np.split(np.asarray(zoo.Recurrent(CFN, 4, 6).params["l0.b"]), 2)
    np.testing.assert_allclose(sigmoid(forget), 0.731, atol=1e-3)
    np.testing.assert_allclose(sigmoid(write), 0.269, atol=1e-3)
