"""What became of each law, and trying a list of them. Knows nothing of cells, pytest or Hypothesis."""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from unittest import SkipTest

from zoo.base.component import first_paragraph
from zoo.base.names import did_you_mean
from zoo.errors import UsageError

Status = Literal["passed", "failed", "skipped", "expected failure", "not checked"]
Check = Callable[[Any], None]


class GradientWarning(UserWarning):
    """Gradients of a member that are on purpose not its derivative, by name."""


_STATUS_WORDS = {"passed": "holds", "failed": "BROKEN", "skipped": "skipped", "expected failure": "excused"}


@dataclass(frozen=True)
class Outcome:
    """What became of one law.

    Args:
        check: Name of the check function.
        law: The law itself, the first line of its docstring.
        status: Whether it holds.
        message: Why not: who, what was found, what was expected, what it usually means.
        seconds: How long the check took.
        warning: Limits of the check, for example gradients that it cannot compare.
    """

    check: str
    law: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    warning: str = ""

    def __str__(self) -> str:
        line = f"  {_STATUS_WORDS.get(self.status, self.status):8}{self.check:30}{self.law}"
        return "\n".join([line, *(f"{'':10}{text}" for text in self.message.splitlines())])


@dataclass(frozen=True)
class Report:
    """What became of every law that was tried on one member.

    Args:
        member: The member as errors name it, ``cell 'vanilla'``.
        outcomes: One outcome a law, in the order of the checks.
    """

    member: str
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether every law was checked, as far as it applies, and none is broken."""
        return not any(outcome.status in ("failed", "not checked") for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The broken laws."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def warnings(self) -> tuple[str, ...]:
        """All distinct warnings."""
        return tuple(dict.fromkeys(each.warning for each in self.outcomes if each.warning))

    def summary(self) -> str:
        """One line: ``cell 'vanilla': 27 laws, 27 hold (3.2 s)``."""
        counts = Counter(outcome.status for outcome in self.outcomes)
        parts = [f"{len(self.outcomes)} laws", f"{counts['passed']} hold"]
        parts += [f"{counts['failed']} broken"] if counts["failed"] else []
        parts += [f"{counts['expected failure']} broken as expected"] if counts["expected failure"] else []
        parts += [f"{counts['not checked']} not checked"] if counts["not checked"] else []
        parts += [f"{counts['skipped']} skipped"] if counts["skipped"] else []
        count = len(self.warnings)
        parts += [f"{count} warning{'s' if count > 1 else ''}"] if count else []
        seconds = sum(outcome.seconds for outcome in self.outcomes)
        return f"{self.member}: {', '.join(parts)} ({seconds:.1f} s)"

    def __str__(self) -> str:
        warned = [f"  warning {text}" for text in self.warnings]
        return "\n".join([*map(str, self.outcomes), *warned, self.summary()])

    def to_json(self) -> str:
        """The report as one JSON object."""
        outcomes = [asdict(outcome) for outcome in self.outcomes]
        facts = {"member": self.member, "ok": self.ok, "warnings": self.warnings, "outcomes": outcomes}
        return json.dumps(facts)


def name_of(check: Check) -> str:
    """The name by which expected failures and reports know a check."""
    return str(getattr(check, "__name__", check))


def law_of(check: Check) -> str:
    """The law a check stands for: the first paragraph of its docstring."""
    return first_paragraph(check)


def run_checks(
    member: Any,
    checks: Sequence[Check],
    expected_failures: Mapping[str, str] | None = None,
    *,
    on_fail: Literal["raise", "collect"] = "raise",
    callback: Callable[[Outcome], None] | None = None,
) -> Report:
    """Try laws on a member, in order; if the first is broken, the others are skipped, since they rest on it.

    Args:
        member: What the checks take; its ``label()`` names it.
        checks: The check functions.
        expected_failures: Name of a check to the reason why it is known to fail. One that passes all the same
            is a failure: the reason is out of date.
        on_fail: Raise at the first broken law, or go on and collect.
        callback: Called with each outcome as it is known.

    Raises:
        AssertionError: if a law is broken and ``on_fail`` is ``"raise"``.
        UsageError: if an expected failure names no check.
    """
    expected = check_expected_failures(expected_failures or {}, checks)
    outcomes: list[Outcome] = []
    for check in checks:
        error: Exception | None = None
        if outcomes and outcomes[0].status == "failed":
            outcome = _skipped(check, outcomes[0])
        else:
            outcome, error = _run_check(member, check, expected.get(name_of(check)))
        outcomes.append(outcome)
        if callback is not None:
            callback(outcome)
        if outcome.status == "failed" and on_fail == "raise":
            raise AssertionError(f"{outcome.check}: {outcome.message}") from error
    return Report(member.label(), tuple(outcomes))


def check_expected_failures(excuses: Mapping[str, str], checks: Iterable[Check]) -> Mapping[str, str]:
    """The expected failures themselves, if each names a check.

    Raises:
        UsageError: if one does not.
    """
    names = [name_of(check) for check in checks]
    for name in excuses:
        if name not in names:
            raise UsageError(
                f"expected_failures names {name!r}, which is no check.{did_you_mean(name, names)}"
            )
    return excuses


def _run_check(member: Any, check: Check, excuse: str | None) -> tuple[Outcome, Exception | None]:
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GradientWarning)
        status, message, error = _verdict(member, check)
    warning = _gradient_warning(caught)
    if excuse is not None and status == "failed":
        status, message = "expected failure", f"{excuse}\n{message}"
    elif excuse is not None and status == "passed":
        status, message = (
            "failed",
            f"{member.label()}: found that the law holds, expected a failure ({excuse}).",
        )
    seconds = time.perf_counter() - start
    return Outcome(name_of(check), law_of(check), status, message, seconds, warning), error


def _gradient_warning(caught: list[warnings.WarningMessage]) -> str:
    """The warning about gradients, if there is one; other warnings go where they would have gone."""
    ours = [str(each.message) for each in caught if issubclass(each.category, GradientWarning)]
    for each in caught:
        if not issubclass(each.category, GradientWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return ours[0] if ours else ""


def _verdict(member: Any, check: Check) -> tuple[Status, str, Exception | None]:
    try:
        check(member)
    except SkipTest as reason:
        return "skipped", str(reason), None
    except AssertionError as error:
        return "failed", str(error), error
    except (
        Exception
    ) as error:  # whatever somebody else's kernel raises breaks the law, and stops no other check
        found = f"{type(error).__name__}: {error}".rstrip(": ")
        return "failed", f"{member.label()}: found an exception, expected none. {found}", error
    return "passed", "", None


def _skipped(check: Check, first: Outcome) -> Outcome:
    return Outcome(name_of(check), law_of(check), "skipped", f"not tried, since {first.check} failed")
