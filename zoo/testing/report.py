"""Run a list of checks and report the outcome of each law."""

from __future__ import annotations

import contextlib
import inspect
import json
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unittest import SkipTest

from zoo.arguments import short_repr
from zoo.base.component import first_paragraph, printed_docstring
from zoo.base.names import did_you_mean
from zoo.errors import UsageError

Status = Literal["passed", "failed", "skipped", "expected failure", "not checked"]
Check = Callable[[Any], None]


class CheckWarning(UserWarning):
    """A warning of a check whose law holds. Reports list it."""


class GradientWarning(CheckWarning):
    """Names gradients that are deliberately not the derivative."""


class StateWarning(CheckWarning):
    """A likely mistake with a state: it never changes, is never read, or gets the value of another state."""


STATUS_WORDS: Mapping[Status, str] = {
    "passed": "holds",
    "failed": "BROKEN",
    "skipped": "skipped",
    "expected failure": "expected",
    "not checked": "not checked",
}
"""The word for each status in the lines of a report."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one law.

    Args:
        check: Name of the check function.
        law: The law, the first paragraph of its docstring.
        status: Whether it holds.
        message: The error: component, found, expected, and the usual cause.
        seconds: Duration of the check.
        warning: Limits of the check, for example gradients that it cannot compare, and possible mistakes.
    """

    check: str
    law: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    warning: str = ""

    def __str__(self) -> str:
        line = f"  {STATUS_WORDS[self.status]:7} {self.check:30}{self.law}"
        return "\n".join([line, *(f"{'':10}{text}" for text in self.message.splitlines())])


@dataclass(frozen=True)
class Report:
    """The outcomes of all laws of one component.

    Args:
        component: The name of the component in errors, ``cell 'vanilla'``.
        outcomes: One outcome per law, in the order of the checks.
    """

    component: str
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether every applicable law was checked, and none is broken."""
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
        parts = [f"{len(self.outcomes)} law{'s' * (len(self.outcomes) != 1)}"]
        parts += [f"{counts['passed']} hold{'s' * (counts['passed'] == 1)}"]
        parts += [f"{counts['failed']} broken"] if counts["failed"] else []
        parts += [f"{counts['expected failure']} broken as expected"] if counts["expected failure"] else []
        parts += [f"{counts['not checked']} not checked"] if counts["not checked"] else []
        parts += [f"{counts['skipped']} skipped"] if counts["skipped"] else []
        count = len(self.warnings)
        parts += [f"{count} warning{'s' if count > 1 else ''}"] if count else []
        seconds = sum(outcome.seconds for outcome in self.outcomes)
        return f"{self.component}: {', '.join(parts)} ({seconds:.1f} s)"

    def __str__(self) -> str:
        warned = [f"  warning {text}" for text in self.warnings]
        return "\n".join([*map(str, self.outcomes), *warned, self.summary()])

    def to_json(self) -> str:
        """The report as one JSON object."""
        outcomes = [asdict(outcome) for outcome in self.outcomes]
        facts = {"component": self.component, "ok": self.ok, "warnings": self.warnings, "outcomes": outcomes}
        return json.dumps(facts)


def name_of(check: Check) -> str:
    """The name of a check in expected failures and reports."""
    return str(getattr(check, "__name__", check))


def law_of(check: Check) -> str:
    """The law of a check: the first paragraph of its docstring."""
    return printed_docstring(first_paragraph(check))


def run_checks(
    component: Any,
    checks: Sequence[Check],
    expected_failures: Mapping[str, str] | None = None,
    *,
    on_fail: Literal["raise", "collect"] = "raise",
    callback: Callable[[Outcome], None] | None = None,
) -> Report:
    """Run checks on a component, in order; if the first fails, skip the others, which depend on it.

    Args:
        component: The argument of the checks; its ``label()`` names it.
        checks: The check functions.
        expected_failures: Reason for each check that is known to fail, by name. If it passes, that is a
            failure: the reason is out of date.
        on_fail: Raise at the first broken law, or collect all outcomes.
        callback: Called with each outcome.

    Raises:
        AssertionError: if a law is broken and ``on_fail`` is ``"raise"``.
        UsageError: if an expected failure names no check, or ``on_fail`` is something else.
    """
    if on_fail not in ("raise", "collect"):
        raise UsageError(f"on_fail is {short_repr(on_fail)}; expected 'raise' or 'collect'.")
    expected = check_expected_failures(expected_failures or {}, checks)
    outcomes: list[Outcome] = []
    first_checks: dict[str, str] = {}
    """The first check with each message of a failure, which is reported once."""
    for check in checks:
        error: Exception | None = None
        if outcomes and outcomes[0].status == "failed":
            reason = f"not tried, since {outcomes[0].check} failed"
            outcome = Outcome(name_of(check), law_of(check), "skipped", reason)
        else:
            outcome, error = _run_check(component, check, expected.get(name_of(check)))
        if outcome.status == "failed":
            first = first_checks.setdefault(outcome.message, outcome.check)
            is_new = first == outcome.check
            message = (
                f"{outcome.message}{_kernel_line(component, check, error)}" if is_new else f"as in {first}"
            )
            outcome = replace(outcome, message=message)
        outcomes.append(outcome)
        if callback is not None:
            callback(outcome)
        if outcome.status == "failed" and on_fail == "raise":
            raise AssertionError(f"{outcome.check}: {outcome.message}") from error
    return Report(component.label(), tuple(outcomes))


def check_expected_failures(
    expected_failures: Mapping[str, str], checks: Iterable[Check]
) -> Mapping[str, str]:
    """Check that each expected failure names a check, and return them.

    Raises:
        UsageError: if one does not.
    """
    names = [name_of(check) for check in checks]
    for name in expected_failures:
        if name not in names:
            raise UsageError(
                f"expected_failures names {name!r}, which is not a check.{did_you_mean(name, names)}"
            )
    return expected_failures


def _run_check(component: Any, check: Check, reason: str | None) -> tuple[Outcome, Exception | None]:
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckWarning)
        status, message, error = _status(component, check)
    warning = _check_warning(caught)
    if reason is not None and status == "failed":
        status, message = "expected failure", f"{reason}\n{message}"
    elif reason is not None and status == "passed":
        status, message = (
            "failed",
            f"{component.label()}: found that the law holds, expected a failure ({reason}).",
        )
    seconds = time.perf_counter() - start
    return Outcome(name_of(check), law_of(check), status, message, seconds, warning), error


def _kernel_line(component: Any, check: Check, error: Exception | None) -> str:
    """The line of an index out of bounds in a kernel, after a space; empty for other errors.

    An error of compiled code has no line, so the check runs again as plain Python.
    """
    if not isinstance(error, IndexError):
        return ""
    from zoo.kernels import pure_python

    try:
        with pure_python():
            check(component)
    except IndexError as repeated:
        with contextlib.suppress(TypeError, OSError):  # a class without a file
            file = inspect.getfile(type(component))
            for frame in reversed(traceback.extract_tb(repeated.__traceback__)):
                if frame.filename == file:
                    return f" ({Path(file).name}:{frame.lineno}, in {frame.name}: {frame.line})"
    except Exception:  # plain Python may fail in another way, without the line
        return ""
    return ""


def _check_warning(caught: list[warnings.WarningMessage]) -> str:
    """The warnings of a check, empty if there is none; issue the other warnings again."""
    messages = [str(each.message) for each in caught if issubclass(each.category, CheckWarning)]
    for each in caught:
        if not issubclass(each.category, CheckWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return " ".join(dict.fromkeys(messages))


def _status(component: Any, check: Check) -> tuple[Status, str, Exception | None]:
    try:
        check(component)
    except SkipTest as skip:
        return "skipped", str(skip), None
    except AssertionError as error:
        return "failed", str(error), error
    except Exception as error:  # any exception breaks the law, and stops no other check
        exception = _compile_error(error) or f"{type(error).__name__}: {error}".rstrip(": ")
        return "failed", f"{component.label()}: found an exception, expected none. {exception}", error
    return "passed", "", None


def _compile_error(error: Exception) -> str:
    """The kernel of a plugin or a file that Numba cannot compile, and the reason; empty for other errors."""
    if not type(error).__module__.startswith("numba."):
        return ""
    from zoo.registry import foreign_failure

    return foreign_failure(error)
