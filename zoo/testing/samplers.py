"""The laws of a sampler: each ``check_x(sampler)`` raises AssertionError if its docstring does not hold.

Logits are multiples of 1/8, so adding a constant is exact and no law fails because of rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any
from unittest import SkipTest

import numpy as np
from hypothesis import strategies as st

from zoo.base import Sampler
from zoo.errors import UsageError
from zoo.kernels.jit import pure_python
from zoo.kernels.random import uniform
from zoo.testing.assertions import is_close, require, require_docs, try_examples

Vector = np.ndarray[Any, Any]
Text = str | Callable[[], str]
# Whether the law holds, what was found, and what was expected.
Verdict = tuple[bool | np.bool_, Text, Text]

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


def _for_all(sampler: Sampler, law: Callable[..., Verdict], *inputs: st.SearchStrategy[Any]) -> None:
    """Try the law on 50 examples."""
    try_examples(lambda *values: require(sampler, *law(*values)), *inputs, count=50)


def _kept(sampler: Sampler, logits: Vector) -> Vector:
    """The tokens that are not dropped."""
    return np.flatnonzero(sampler.apply(logits.copy()) > -np.inf)


def check_output_like_input(sampler: Sampler) -> None:
    """Float64 logits of shape (V,) give float64 logits of shape (V,)."""

    def law(logits: Vector) -> Verdict:
        out = sampler.apply(logits.copy())
        alike = isinstance(out, np.ndarray) and out.dtype == np.float64 and out.shape == logits.shape
        actual = f"{getattr(out, 'dtype', type(out))} of shape {np.shape(out)}"
        return alike, lambda: f"{actual}", lambda: f"float64 of shape {logits.shape}"

    _for_all(sampler, law, _logits)


def check_card(sampler: Sampler) -> None:
    """The sampler has a docstring, a complete card, and a help text for each option."""
    require_docs(sampler, sampler.declared_options, variant=False)


def check_input_unchanged(sampler: Sampler) -> None:
    """The sampler does not write to its argument."""

    def law(logits: Vector) -> Verdict:
        passed = logits.copy()
        sampler.apply(passed)
        same = np.array_equal(passed, logits)
        return same, lambda: f"the input {logits} changed to {passed}", "it unchanged"

    _for_all(sampler, law, _logits)


def check_deterministic(sampler: Sampler) -> None:
    """Equal logits give bitwise equal results."""

    def law(logits: Vector) -> Verdict:
        first, second = sampler.apply(logits.copy()), sampler.apply(logits.copy())
        same = first.tobytes() == second.tobytes()
        return same, lambda: f"{first} and then {second} from {logits}", "one result"

    _for_all(sampler, law, _logits)


def check_one_symbol_stays(sampler: Sampler) -> None:
    """At least one symbol is kept, and no logit becomes NaN or +inf."""

    def law(logits: Vector) -> Verdict:
        out = sampler.apply(logits.copy())
        holds = np.isfinite(out.max())
        return holds, lambda: f"{out} from {logits}", "a finite logit, the others finite or -inf"

    _for_all(sampler, law, _logits | _extreme)


def check_constant_ignored(sampler: Sampler) -> None:
    """Adding a constant to all logits does not change which symbols are kept."""

    def law(logits: Vector, constant: float) -> Verdict:
        kept, moved = _kept(sampler, logits), _kept(sampler, logits + constant)
        same = np.array_equal(kept, moved)
        return (
            same,
            lambda: f"{moved} kept of {logits} + {constant}",
            lambda: f"{kept}, as without {constant}",
        )

    _for_all(sampler, law, _logits, st.integers(-8000, 8000).map(lambda n: n / 8))


def check_dropped_stays_dropped(sampler: Sampler) -> None:
    """A symbol with the logit -inf stays dropped."""

    def law(logits: Vector) -> Verdict:
        kept = _kept(sampler, logits)
        holds = np.all(logits[kept] > -np.inf)
        return holds, lambda: f"symbols {kept} kept of {logits}", "-inf to stay -inf"

    _for_all(sampler, law, _with_dropped)


def check_order_preserved(sampler: Sampler) -> None:
    """Among kept symbols, a higher logit never gives a lower probability."""

    def law(logits: Vector) -> Verdict:
        out, kept = sampler.apply(logits.copy()), _kept(sampler, logits)
        rising = kept[np.lexsort((out[kept], logits[kept]))]  # equal logits in the order of the results
        holds = np.all(out[rising][1:] >= out[rising][:-1])
        return holds, lambda: f"{out} from {logits}", "kept symbols in the order of their logits"

    _for_all(sampler, law, _logits)


def check_permutation(sampler: Sampler) -> None:
    """Permuting distinct logits permutes the result: the index of a symbol has no effect."""

    def law(logits: Vector, random: Random) -> Verdict:
        permutation = np.array(random.sample(range(logits.size), logits.size))
        moved, wanted = sampler.apply(logits[permutation]), sampler.apply(logits.copy())[permutation]
        same = is_close(moved, wanted, 1e-12)
        return same, lambda: f"{moved} from {logits[permutation]}", lambda: f"{wanted}, as in another order"

    _for_all(sampler, law, _distinct, st.randoms(use_true_random=False))


def check_probabilities_sum_to_one(sampler: Sampler) -> None:
    """Probabilities are finite, not negative and sum to one, for logits up to the largest float32."""

    def law(logits: Vector) -> Verdict:
        try:
            probabilities = sampler.probabilities(logits)
        except UsageError as error:
            return False, f"an error for {logits} ({error})", "probabilities that sum to one"
        holds = np.all(probabilities >= 0.0) and abs(probabilities.sum() - 1.0) < 1e-12
        return holds, lambda: f"{probabilities} from {logits}", "probabilities that sum to one"

    _for_all(sampler, law, _logits | _extreme)


def check_draws_kept_symbols(sampler: Sampler) -> None:
    """Sampling returns only symbols that the sampler keeps, for all uniform numbers from 0 to 1 - 2**-53."""

    def law(logits: Vector, u: float) -> Verdict:
        kept = _kept(sampler, logits)
        edges = np.cumsum(sampler.probabilities(logits))
        near_edges = np.concatenate((edges, np.nextafter(edges, 0.0), np.nextafter(edges, 1.0)))
        numbers = (0.0, u, _MAX_UNIFORM, *near_edges[near_edges < 1.0].tolist())
        drawn = {number: sampler(logits, number) for number in numbers}
        strange = {number: symbol for number, symbol in drawn.items() if symbol not in kept}
        return not strange, lambda: f"draws {strange} (u: symbol) from {logits}", lambda: f"one of {kept}"

    _for_all(sampler, law, _logits, _uniforms)


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


def check_nan_raises(sampler: Sampler) -> None:
    """Logits with NaN or +inf, as from a diverged model, raise a UsageError."""

    def law(bad: float, place: int) -> Verdict:
        logits = np.where(np.arange(3) == place, bad, [1.0, 0.0, -1.0])
        try:
            drawn = sampler(logits, 0.5)
        except UsageError:
            return True, "", ""
        return False, lambda: f"symbol {drawn} drawn from {logits}", "a UsageError"

    _for_all(sampler, law, st.sampled_from([np.nan, np.inf]), st.integers(0, 2))


def check_single_symbol(sampler: Sampler) -> None:
    """A single symbol has probability one."""

    def law(logit: float, u: float) -> Verdict:
        (probability,) = sampler.probabilities(np.array([logit]))
        drawn = sampler(np.array([logit]), u)
        certain = probability == 1.0 and drawn == 0
        return certain, lambda: f"probability {probability}, draw {drawn} of [{logit}]", "1.0, 0"

    _for_all(sampler, law, st.sampled_from([0.0, 7.5, 1e4, -1e4, _MAX_LOGIT, -_MAX_LOGIT]), _uniforms)


def check_jit_equals_python(sampler: Sampler) -> None:
    """The compiled kernel agrees with its source run as plain Python, up to rounding."""

    def law(logits: Vector) -> Verdict:
        jitted = sampler.apply(logits.copy())
        with pure_python():
            plain = sampler.apply(logits.copy())
        same = is_close(jitted, plain, 1e-12)
        return same, lambda: f"{jitted} compiled, from {logits}", lambda: f"{plain}, as in plain Python"

    _for_all(sampler, law, _logits)


def check_reference(sampler: Sampler) -> None:
    """The kernel agrees with the class's ``reference``, its definition in plain NumPy."""
    reference = getattr(type(sampler), "reference", None)
    if reference is None:
        raise SkipTest("the class has no reference(logits, *options)")

    def law(logits: Vector) -> Verdict:
        actual, wanted = sampler.apply(logits.copy()), reference(logits.copy(), *sampler.options.values())
        same = is_close(actual, wanted, 1e-12)
        return same, lambda: f"{actual} from {logits}", lambda: f"{wanted}, as its reference"

    _for_all(sampler, law, _logits)


def check_compiles_once(sampler: Sampler) -> None:
    """After the first call, further calls compile nothing, for any number of symbols."""
    kernel = sampler.kernel("transform")
    sampler.apply(np.zeros(3))
    once = list(getattr(kernel, "signatures", ()))
    for size in (1, 3, 8):
        sampler.apply(np.arange(float(size)))
    now = list(getattr(kernel, "signatures", ()))
    require(sampler, now == once, lambda: f"the signatures {now} compiled", lambda: f"no more than {once}")


SAMPLER_CHECKS: tuple[Callable[[Sampler], None], ...] = (
    check_output_like_input,
    check_card,
    check_input_unchanged,
    check_deterministic,
    check_one_symbol_stays,
    check_constant_ignored,
    check_dropped_stays_dropped,
    check_order_preserved,
    check_permutation,
    check_probabilities_sum_to_one,
    check_draws_kept_symbols,
    check_distribution,
    check_nan_raises,
    check_single_symbol,
    check_jit_equals_python,
    check_reference,
    check_compiles_once,
)
"""All laws; the others depend on the first."""
