"""Makes cells/<case>.npz for gated and classic cells: references in PyTorch, with all gradients, in float64.

    python tests/golden/make_cells_gated.py

needs PyTorch (the extra ``peers``). Each reference says what it follows.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from making import BATCH, IN, STEPS, H, Shapes, back, gradients, named, tensor, write


@dataclass(frozen=True)
class Case:
    """A cell's shapes for ``IN`` features and ``H`` hidden units, and the options they go with.

    Args:
        params: Shapes of the parameters.
        states: Shapes of the states.
        options: Every option of the cell.
        counters: States that count steps.
        reference: Module of the reference, where the case is not named after it.
    """

    params: Shapes
    states: Shapes
    options: dict[str, Any] = field(default_factory=dict)
    counters: tuple[str, ...] = ()
    reference: str = ""


GATES: Shapes = {"Wx": (IN, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
INDRNN: Shapes = {"Wx": (IN, H), "u": (H,), "b": (H,)}
ONE: Shapes = {"h": (H,)}
TWO: Shapes = {"h": (H,), "c": (H,)}
CASES = {
    "lstm": Case(GATES, TWO, {"forget_bias": 1.0}),
    "lstm_projected": Case(
        {"Wx": (IN, 4 * H), "Wh": (3, 4 * H), "b": (4 * H,), "Wp": (H, 3)},
        {"h": (3,), "c": (H,)},
        {"proj": 3, "forget_bias": 0.5},
    ),
    "peephole_lstm": Case(GATES | {"p": (3, H)}, TWO, {"forget_bias": 1.0}),
    "gru": Case({"Wx": (IN, 3 * H), "Wh": (H, 3 * H), "b": (3 * H,), "bn": (H,)}, ONE),
    "gru_reset_before": Case({"Wx": (IN, 3 * H), "Wh": (H, 2 * H), "Wn": (H, H), "b": (3 * H,)}, ONE),
    "mgu": Case({"Wx": (IN, 2 * H), "Wh": (H, H), "Wn": (H, H), "b": (2 * H,)}, ONE),
    "indrnn": Case(INDRNN, ONE, {"activation": "relu"}),
    "indrnn_tanh": Case(INDRNN, ONE, {"activation": "tanh"}, reference="indrnn"),
    "antisymmetric": Case({"Wx": (IN, H), "U": (H, H), "b": (H,)}, ONE, {"eps": 0.3, "gamma": 0.1}),
    "rhn": Case(
        {"Wx": (IN, 2 * H), "R": (3, H, 2 * H), "b": (3, 2 * H)}, ONE, {"depth": 3, "transform_bias": -1.0}
    ),
    "clockwork": Case(
        {"Wx": (IN, H), "Wh": (3, 2, 3, 2), "b": (H,)}, ONE | {"n": (1,)}, {"groups": 3}, counters=("n",)
    ),
    "intersection_rnn": Case(
        {"Wp": (IN, H), "bp": (H,), "Wx": (H, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)},
        ONE,
        {"forget_bias": 1.0},
    ),
}


def draw(rng: np.random.Generator, case: Case) -> tuple[dict[str, Any], dict[str, Any], torch.Tensor]:
    """Random parameters, states and input; a counter starts at another step in every row."""
    params = {name: tensor(0.7 * rng.normal(size=shape)) for name, shape in case.params.items()}
    state = {name: tensor(0.7 * rng.normal(size=(BATCH, *shape))) for name, shape in case.states.items()}
    state |= {name: torch.tensor([[0], [1], [6]]) for name in case.counters}
    return params, state, tensor(rng.normal(size=(STEPS, BATCH, IN)))


def golden(seed: int, name: str, case: Case) -> dict[str, np.ndarray]:
    """Inputs, outputs and gradients of one case."""
    rng = np.random.default_rng([20, seed])
    params, state, x = draw(rng, case)
    reference = importlib.import_module(f"references.{case.reference or name}")
    y, last = reference.run(case.options, params, x, state)
    real = [each for each in case.states if each not in case.counters]
    dy, dlast = back(rng, y, {each: last[each] for each in real})
    groups = {
        "params": params,
        "dparams": gradients(params),
        "state": state,
        "last": last,
        "dlast": dlast,
        "dstate": gradients({each: state[each] for each in real}),
    }
    return named({"x": x, "y": y, "dy": dy, "dx": x.grad}, groups)


if __name__ == "__main__":
    write(CASES, golden)
