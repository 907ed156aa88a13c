"""Random step programs: derived passes against the NumPy run, and gradients against differences.

``ZOO_FUZZ_PROGRAMS=500``, an environment variable, says how many programs Numba compiles, at some seconds
each, and as many run in the interpreter: a full run. Unless it is set, those are 4 and 200. A few programs
begin with a chain of up to 300 operations; in a full run they are half as many.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import step_checks as checks
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st
from step_drawing import programs
from step_programs import SIZES, SMALL, Program, watched

from zoo.compiler.reference import run_sequence

no_files = checks.no_files

COMPILED = int(os.environ.get("ZOO_FUZZ_PROGRAMS", "4"))
INTERPRETED = max(200, COMPILED)
LONG, LONGEST = max(4, COMPILED // 2), 300
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
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


trials = {
    "sizes": st.sampled_from(SIZES[:3]),
    "steps": st.integers(1, 3),
    "batch": st.integers(1, 2),
    "seed": st.integers(0, 99),
}


@examples(INTERPRETED)
@given(program=programs(), **trials)
def test_derived_passes_equal_the_step_and_its_differences(
    program: Program, sizes: dict[str, int], steps: int, batch: int, seed: int
) -> None:
    note(program.source())
    checks.check(away_from_kinks(program, sizes, steps, batch, seed))


@examples(LONG)
@given(program=programs(1, 6, LONGEST), **trials)
def test_long_chains_too(program: Program, sizes: dict[str, int], steps: int, batch: int, seed: int) -> None:
    note(program.source())
    checks.check(away_from_kinks(program, sizes, steps, batch, seed), tokens=False)


@examples(COMPILED)
@given(program=programs(12, 24), kind=st.sampled_from(["dense", "float32", "tokens"]), **trials)
def test_compiled_passes_equal_the_interpreted_ones(
    program: Program, sizes: dict[str, int], steps: int, batch: int, seed: int, kind: str
) -> None:
    note(program.source())
    case = away_from_kinks(program, sizes, steps, batch, seed)
    checks.check(case)
    x = case.tokens if kind == "tokens" else case.x
    dtype, tolerance = ("float32", SINGLE) if kind == "float32" else ("float64", 1e-9)
    found = case.both_passes(x, dtype)
    with checks.interpreted(case):
        checks.assert_same(found, case.both_passes(x), f"compiled, {kind}", tolerance)
    arrays = [found[0][0], *found[0][1], *found[1][1], *found[1][2]]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}
