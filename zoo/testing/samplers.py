"""The laws of a sampler: each ``check_x(sampler)`` raises AssertionError if its docstring does not hold.

Logits are multiples of 1/8, so adding a constant is exact and no law fails because of rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from random import Random
from typing import Any
from unittest import SkipTest

import numpy as np
from hypothesis import strategies as st

from zoo.array_types import Vector
from zoo.base import Sampler
from zoo.errors import UsageError
from zoo.kernels.jit import pure_python
from zoo.kernels.random import uniform
from zoo.testing.assertions import is_close, require, require_docs, skip_unless_compiled, try_examples

Text = str | Callable[[], str]
# Whether the law holds, what was found, and what was expected.
LawResult = tuple[bool | np.bool_, Text, Text]

_MAX_UNIFORM = 1.0 - 2.0**-53  # the largest uniform number
_MAX_LOGIT = float(np.finfo(np.float32).max)
_DRAWS = 2000


def _vectors(low: int, high: int, unique: bool = False) -> st.SearchStrategy[Vector]:
    """Logits of 1 to 20 tokens, in eighths."""
    eighths = st.lists(st.integers(low, high), min_size=1, max_size=20, unique=unique)
    return eighths.map(lambda numbers: np.array(numbers) / 8.0)


def _drop_low(logits: Vector) -> Vector:
    """Drop the logits below -8, but keep at least the largest."""
    return np.where((logits < -8.0) & (logits < logits.max()), -np.inf, logits)


_distinct = _vectors(-160, 160, unique=True)
_tied = _vectors(-8, 8)
_with_dropped = _vectors(-160, 160).map(_drop_low)
_logits = _distinct | _tied | _with_dropped
_extreme = _vectors(-2, 2).map(lambda logits: np.sign(logits) * np.where(abs(logits) > 0.2, _MAX_LOGIT, 1e4))
_uniforms = st.integers(0, 2**53 - 1).map(lambda n: n * 2.0**-53)


def _law(*inputs: st.SearchStrategy[Any]) -> Callable[[Callable[..., LawResult]], Callable[[Sampler], None]]:
    """Decorator that tries a law on 50 examples, each a value of every input."""

    def decorate(law: Callable[..., LawResult]) -> Callable[[Sampler], None]:
        @functools.wraps(law)
        def check(sampler: Sampler) -> None:
            try_examples(lambda *values: require(sampler, *law(sampler, *values)), *inputs, count=50)

        return check

    return decorate


def _kept(sampler: Sampler, logits: Vector) -> Vector:
    return np.flatnonzero(sampler.apply(logits.copy()) > -np.inf)


@_law(_logits)
def check_output_like_input(sampler: Sampler, logits: Vector) -> LawResult:
    """Float64 logits of shape (V,) give float64 logits of shape (V,)."""
    out = sampler.apply(logits.copy())
    alike = isinstance(out, np.ndarray) and out.dtype == np.float64 and out.shape == logits.shape
    actual = f"{getattr(out, 'dtype', type(out))} of shape {np.shape(out)}"
    return alike, lambda: f"{actual}", lambda: f"float64 of shape {logits.shape}"


def check_card(sampler: Sampler) -> None:
    """The sampler has a docstring, a complete card, and a help text for each option."""
    require_docs(sampler, sampler.declared_options, variant=False)


@_law(_logits)
def check_input_unchanged(sampler: Sampler, logits: Vector) -> LawResult:
    """The sampler does not write to its argument."""
    passed = logits.copy()
    sampler.apply(passed)
    same = np.array_equal(passed, logits)
    return same, lambda: f"the input {logits} changed to {passed}", "it unchanged"


@_law(_logits)
def check_deterministic(sampler: Sampler, logits: Vector) -> LawResult:
    """Equal logits give bitwise equal results."""
    first, second = sampler.apply(logits.copy()), sampler.apply(logits.copy())
    same = first.tobytes() == second.tobytes()
    return same, lambda: f"{first} and then {second} from {logits}", "one result"


@_law(_logits | _extreme)
def check_one_symbol_stays(sampler: Sampler, logits: Vector) -> LawResult:
    """At least one symbol is kept, and no logit becomes NaN or +inf."""
    out = sampler.apply(logits.copy())
    holds = np.isfinite(out.max())
    return holds, lambda: f"{out} from {logits}", "a finite logit, the others finite or -inf"


@_law(_logits, st.integers(-8000, 8000).map(lambda n: n / 8))
def check_constant_ignored(sampler: Sampler, logits: Vector, constant: float) -> LawResult:
    """Adding a constant to all logits does not change which symbols are kept."""
    kept, moved = _kept(sampler, logits), _kept(sampler, logits + constant)
    same = np.array_equal(kept, moved)
    return (
        same,
        lambda: f"{moved} kept of {logits} + {constant}",
        lambda: f"{kept}, as without {constant}",
    )


@_law(_with_dropped)
def check_dropped_stays_dropped(sampler: Sampler, logits: Vector) -> LawResult:
    """A symbol with the logit -inf stays dropped."""
    kept = _kept(sampler, logits)
    holds = np.all(logits[kept] > -np.inf)
    return holds, lambda: f"symbols {kept} kept of {logits}", "-inf to stay -inf"


@_law(_logits)
def check_order_preserved(sampler: Sampler, logits: Vector) -> LawResult:
    """Among kept symbols, a higher logit never gives a lower probability."""
    out, kept = sampler.apply(logits.copy()), _kept(sampler, logits)
    rising = kept[np.lexsort((out[kept], logits[kept]))]  # equal logits in the order of the results
    holds = np.all(out[rising][1:] >= out[rising][:-1])
    return holds, lambda: f"{out} from {logits}", "kept symbols in the order of their logits"


@_law(_distinct, st.randoms(use_true_random=False))
def check_permutation(sampler: Sampler, logits: Vector, random: Random) -> LawResult:
    """Permuting distinct logits permutes the result: the index of a symbol has no effect."""
    permutation = np.array(random.sample(range(logits.size), logits.size))
    moved, wanted = sampler.apply(logits[permutation]), sampler.apply(logits.copy())[permutation]
    same = is_close(moved, wanted, 1e-12)
    return same, lambda: f"{moved} from {logits[permutation]}", lambda: f"{wanted}, as in another order"


@_law(_logits | _extreme)
def check_probabilities_sum_to_one(sampler: Sampler, logits: Vector) -> LawResult:
    """Probabilities are finite, not negative and sum to one, for logits up to the largest float32."""
    try:
        probabilities = sampler.probabilities(logits)
    except UsageError as error:
        return False, f"an error for {logits} ({error})", "probabilities that sum to one"
    holds = np.all(probabilities >= 0.0) and abs(probabilities.sum() - 1.0) < 1e-12
    return holds, lambda: f"{probabilities} from {logits}", "probabilities that sum to one"


@_law(_logits, _uniforms)
def check_draws_kept_symbols(sampler: Sampler, logits: Vector, u: float) -> LawResult:
    """Sampling returns only symbols that the sampler keeps, for all uniform numbers from 0 to 1 - 2**-53."""
    kept = _kept(sampler, logits)
    edges = np.cumsum(sampler.probabilities(logits))
    near_edges = np.concatenate((edges, np.nextafter(edges, 0.0), np.nextafter(edges, 1.0)))
    numbers = (0.0, u, _MAX_UNIFORM, *near_edges[near_edges < 1.0].tolist())
    drawn = {number: sampler(logits, number) for number in numbers}
    strange = {number: symbol for number, symbol in drawn.items() if symbol not in kept}
    return not strange, lambda: f"draws {strange} (u: symbol) from {logits}", lambda: f"one of {kept}"


def check_distribution(sampler: Sampler) -> None:
    """Draws follow the softmax of the kept logits, by a chi-square test."""
    logits = np.array([0.5, 2.0, -1.5, 1.5, -2.0, 1.0, 0.0, 1.5, -0.5, -1.0])
    scores = sampler.apply(logits.copy())
    weights = np.exp(scores - scores.max())
    expected = _DRAWS * weights / weights.sum()
    drawn = [sampler(logits, uniform(17, count)) for count in range(_DRAWS)]
    counts = np.bincount(drawn, minlength=logits.size)
    holds = counts.size == logits.size and _chi_square_fits(counts, expected)
    wanted = np.round(expected, 1)
    require(sampler, holds, lambda: f"{counts} of {_DRAWS} draws from {logits}", lambda: f"about {wanted}")


def _chi_square_fits(counts: Vector, expected: Vector) -> bool:
    """Chi-square test of counts; a correct sampler fails once in three million."""
    if counts[expected == 0.0].any():
        return False
    likely = expected >= 5.0  # the others are pooled, since the test is invalid for small numbers
    pooled = np.append(counts[likely], counts[~likely].sum())
    wanted = np.append(expected[likely], expected[~likely].sum())
    terms = (pooled - wanted)[wanted > 0.0] ** 2 / wanted[wanted > 0.0]
    freedom = max(terms.size - 1, 1)
    # The cube root of chi-square over its freedom is nearly normal (Wilson & Hilferty, 1931): 5 deviations.
    spread = 2.0 / (9.0 * freedom)
    return bool(terms.sum() <= freedom * (1.0 - spread + 5.0 * spread**0.5) ** 3)


@_law(st.sampled_from([np.nan, np.inf]), _logits, st.integers(0, 19))
def check_nan_raises(sampler: Sampler, bad: float, finite: Vector, index: int) -> LawResult:
    """Logits with NaN or +inf, as from a diverged model, raise a UsageError."""
    logits = np.where(np.arange(finite.size) == index % finite.size, bad, finite)
    try:
        drawn = sampler(logits, 0.5)
    except UsageError:
        return True, "", ""
    return False, lambda: f"symbol {drawn} drawn from {logits}", "a UsageError"


@_law(st.floats(-_MAX_LOGIT, _MAX_LOGIT), _uniforms)
def check_single_symbol(sampler: Sampler, logit: float, u: float) -> LawResult:
    """A single symbol has probability one."""
    (probability,) = sampler.probabilities(np.array([logit]))
    drawn = sampler(np.array([logit]), u)
    certain = probability == 1.0 and drawn == 0
    return certain, lambda: f"probability {probability}, draw {drawn} of [{logit}]", "1.0, 0"


@_law(_logits)
def check_jit_equals_python(sampler: Sampler, logits: Vector) -> LawResult:
    """The compiled kernel agrees with its source run as plain Python, up to rounding."""
    skip_unless_compiled(sampler, "transform")
    jitted = sampler.apply(logits.copy())
    with pure_python():
        plain = sampler.apply(logits.copy())
    same = is_close(jitted, plain, 1e-12)
    return same, lambda: f"{jitted} compiled, from {logits}", lambda: f"{plain}, as in plain Python"


@_law(_logits)
def check_reference(sampler: Sampler, logits: Vector) -> LawResult:
    """The kernel agrees with the class's ``reference``, its definition in plain NumPy."""
    reference = getattr(type(sampler), "reference", None)
    if reference is None:
        raise SkipTest("the class has no reference(logits, *options)")
    actual, wanted = sampler.apply(logits.copy()), reference(logits.copy(), *sampler.options.values())
    same = is_close(actual, wanted, 1e-12)
    return same, lambda: f"{actual} from {logits}", lambda: f"{wanted}, as its reference"


def check_compiles_once(sampler: Sampler) -> None:
    """After the first call, further calls compile nothing, for any number of symbols."""
    skip_unless_compiled(sampler, "transform")
    kernel = sampler.kernel("transform")
    sampler.apply(np.zeros(3))
    once = list(getattr(kernel, "signatures", ()))
    for size in (1, 3, 8):
        sampler.apply(np.arange(float(size)))
    now = list(getattr(kernel, "signatures", ()))
    require(sampler, now == once, lambda: f"the signatures {now} compiled", lambda: f"no more than {once}")


SAMPLER_CHECKS: tuple[Callable[[Sampler], None], ...] = (
    *(check_output_like_input, check_card, check_input_unchanged, check_deterministic),
    *(check_one_symbol_stays, check_constant_ignored, check_dropped_stays_dropped),
    *(check_order_preserved, check_permutation, check_probabilities_sum_to_one),
    *(check_draws_kept_symbols, check_distribution, check_nan_raises, check_single_symbol),
    *(check_jit_equals_python, check_reference, check_compiles_once),
)
"""All laws; the others depend on the first."""
