"""Random step programs: derived passes against the NumPy run, and gradients against differences.

``ZOO_FUZZ_PROGRAMS=500``, an environment variable, says how many programs Numba compiles, at some seconds
each, and as many run in the interpreter: a full run. Unless it is set, those are 4 and 200. A few programs
begin with a chain of up to 300 operations; in a full run they are half as many. Others, 60 or as many as in
a full run, consist of products, sums, joins and views.
"""

from __future__ import annotations

import os

import numpy as np
import step_asserts as checks
from hypothesis import given, note
from hypothesis import strategies as st
from random_steps import SIZES, Program
from random_trials import SINGLE, away_from_kinks, examples
from step_strategies import PRODUCT_RULES, programs

no_files = checks.no_files

COMPILED = int(os.environ.get("ZOO_FUZZ_PROGRAMS", "4"))
INTERPRETED = max(200, COMPILED)
PRODUCTS = max(60, COMPILED)
LONG, LONGEST = max(4, COMPILED // 2), 300
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


@examples(PRODUCTS)
@given(program=programs(4, 10, rules=PRODUCT_RULES), **trials)
def test_passes_of_products_too(
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
@given(program=programs(8, 16), kind=st.sampled_from(["dense", "float32", "tokens"]), **trials)
def test_compiled_passes_equal_the_interpreted_ones(
    program: Program, sizes: dict[str, int], steps: int, batch: int, seed: int, kind: str
) -> None:
    note(program.source())
    case = away_from_kinks(program, sizes, steps, batch, seed)
    checks.check(case)
    x = case.tokens if kind == "tokens" else case.x
    dtype, tolerance = ("float32", SINGLE) if kind == "float32" else ("float64", 1e-9)
    result = case.both_passes(x, dtype)
    with checks.interpreted(case):
        checks.assert_same(result, case.both_passes(x), f"compiled, {kind}", tolerance)
    arrays = [result[0][0], *result[0][1], *result[1][1], *result[1][2]]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}
