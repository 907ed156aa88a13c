"""Trials of random step programs that stay away from kinks, where differences and derivatives disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
import step_asserts as checks
from hypothesis import HealthCheck, Phase, assume, settings
from random_steps import SMALL, Program, watched

from zoo.testing.reference import run_sequence

# Differences go that far at most.
NEAREST_KINK = 1e-3
SINGLE = 1e-3
RANGES = {"x": (-2.0, 2.0), "dt": (0.5, 1.5)}


def uses_everything(program: Program, sizes: dict[str, int]) -> bool:
    """Whether every parameter and buffer reaches what step returns, by way of NaN.

    A slice may cut off the very part that one went into; step is refused then, and rightly.
    """
    cell, shapes = program.cell(), (sizes["I"], sizes["H"])
    arrays = {**cell.param_shapes(*shapes), **cell.buffer_shapes(*shapes)}
    ones = {name: np.ones(shape) for name, shape in arrays.items()}
    state = {name: np.ones((1, *shape)) for name, shape in cell.state_shapes(*shapes).items()}
    inputs = {name: np.ones((1, 1, *shape)) for name, shape in cell.input_shapes(*shapes).items()}
    x = np.ones((1, 1, sizes["I"]))
    with np.errstate(all="ignore"):
        for name, shape in arrays.items():
            y, last = run_sequence(cell, {**ones, name: np.full(shape, np.nan)}, x, state, inputs)
            if np.isfinite(y).all() and all(np.isfinite(each).all() for each in last.values()):
                return False
    return True


def away_from_kinks(program: Program, sizes: dict[str, int], steps: int, batch: int, seed: int) -> Any:
    """A trial in which no comparison is nearly a tie, if six seeds have one."""
    assume(uses_everything(program, sizes))
    cell, shapes = program.cell(), (sizes["I"], sizes["H"])
    ranges = {**RANGES, **{name: SMALL for name in program.params if name.startswith("S")}}
    for attempt in range(6):
        case = checks.trial(cell, shapes, steps, batch, seed + 1000 * attempt, ranges)
        with watched() as watch:
            case.reference(case.x)
        if watch.nearest > NEAREST_KINK:
            return case
    assume(False)
    raise AssertionError  # never reached


def examples(count: int) -> Any:
    """Settings for so many examples, the same ones every time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
