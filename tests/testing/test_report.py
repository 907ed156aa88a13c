"""Reports, expected failures, and running checks."""

from __future__ import annotations

import json
from typing import get_args
from unittest import SkipTest

import pytest

from zoo.cli.commands.check import _line
from zoo.errors import UsageError
from zoo.testing import Outcome, Report, run_checks
from zoo.testing.report import STATUS_WORDS, Status


class Member:
    """All that a report wants of a component."""

    @staticmethod
    def label():
        return "cell 'x'"


def check_good(component):
    """Good holds."""


def check_bad(component):
    """Bad is never true."""
    raise AssertionError("cell 'x': found 1, expected 2.")


def check_crash(component):
    """No crash."""
    raise IndexError("index 3 is out of bounds")


def check_skip(component):
    """Only elsewhere."""
    raise SkipTest("no compiler")


ALL = (check_good, check_bad, check_crash, check_skip)


def statuses(report):
    return {outcome.check: outcome.status for outcome in report.outcomes}


def test_each_outcome_is_collected_in_order():
    report = run_checks(Member(), ALL, on_fail="collect")
    expected = {
        "check_good": "passed",
        "check_bad": "failed",
        "check_crash": "failed",
        "check_skip": "skipped",
    }
    assert list(statuses(report).items()) == list(expected.items())
    assert not report.ok
    assert [outcome.check for outcome in report.failures] == ["check_bad", "check_crash"]
    line = check_crash.__code__.co_firstlineno + 2
    assert report.outcomes[2].message == (
        "cell 'x': found an exception, expected none. IndexError: index 3 is out of bounds "
        f'(test_report.py:{line}, in check_crash: raise IndexError("index 3 is out of bounds"))'
    )


def test_equal_messages_are_reported_once():
    def check_bad_too(component):
        """As bad."""
        check_bad(component)

    report = run_checks(Member(), [check_good, check_bad, check_bad_too], on_fail="collect")
    assert [each.message for each in report.outcomes] == [
        "",
        "cell 'x': found 1, expected 2.",
        "as in check_bad",
    ]
    assert report.outcomes[1].law == "Bad is never true."
    assert all(outcome.seconds >= 0 for outcome in report.outcomes)


def test_first_broken_law_is_raised_by_default():
    tried = []
    with pytest.raises(AssertionError, match=r"^check_bad: cell 'x': found 1, expected 2\.$"):
        run_checks(Member(), ALL, callback=tried.append)
    assert [outcome.check for outcome in tried] == ["check_good", "check_bad"]
    with pytest.raises(AssertionError, match="IndexError") as caught:
        run_checks(Member(), [check_good, check_crash])
    assert isinstance(caught.value.__cause__, IndexError)


def test_checks_stop_after_first_failure():
    report = run_checks(Member(), [check_bad, check_crash, check_good], on_fail="collect")
    assert statuses(report) == {"check_bad": "failed", "check_crash": "skipped", "check_good": "skipped"}
    assert report.outcomes[2].message == "not tried, since check_bad failed"


def test_expected_failure_is_not_counted():
    excuses = {"check_bad": "a known gap", "check_crash": "another"}
    report = run_checks(Member(), ALL, excuses)
    assert report.ok
    assert statuses(report)["check_bad"] == statuses(report)["check_crash"] == "expected failure"
    assert report.outcomes[1].message == "a known gap\ncell 'x': found 1, expected 2."
    assert statuses(run_checks(Member(), [check_skip], {"check_skip": "why"})) == {"check_skip": "skipped"}


def test_unexpected_success_is_failure():
    report = run_checks(Member(), ALL, {"check_good": "out of date"}, on_fail="collect")
    assert report.outcomes[0].status == "failed"
    assert report.outcomes[0].message == (
        "cell 'x': found that the law holds, expected a failure (out of date)."
    )
    with pytest.raises(AssertionError, match="expected a failure"):
        run_checks(Member(), ALL, {"check_good": "out of date"})


def test_expected_failure_must_name_a_check():
    with pytest.raises(UsageError, match=r"'check_god', which is not a check. Did you mean 'check_good'\?"):
        run_checks(Member(), ALL, {"check_god": "typo"})


@pytest.mark.parametrize("status", get_args(Status))
def test_every_status_has_a_word_and_a_style(status):
    outcome = Outcome("check_x", "A law.", status)
    assert str(outcome).split() == [*STATUS_WORDS[status].split(), "check_x", "A", "law."]
    assert _line(outcome).split() == [*STATUS_WORDS[status].split(), "A", "law.", "check_x"]
    assert {*STATUS_WORDS} == {*get_args(Status)}


def test_report_as_table():
    report = Report(
        "cell 'x'",
        (
            Outcome("check_good", "Good holds.", "passed", "", 1.25),
            Outcome("check_bad", "Bad is never true.", "failed", "found 1\nexpected 2", 0.5),
            Outcome("check_skip", "Only elsewhere.", "skipped", "no compiler"),
            Outcome("check_old", "Known.", "expected failure", "a gap"),
        ),
    )
    assert str(report).splitlines() == [
        "  holds   check_good                    Good holds.",
        "  BROKEN  check_bad                     Bad is never true.",
        "          found 1",
        "          expected 2",
        "  skipped check_skip                    Only elsewhere.",
        "          no compiler",
        "  expected check_old                     Known.",
        "          a gap",
        "cell 'x': 4 laws, 1 holds, 1 broken, 1 broken as expected, 1 skipped (1.8 s)",
    ]
    assert Report("cell 'y'", report.outcomes[:1]).summary() == "cell 'y': 1 law, 1 holds (1.2 s)"


def test_report_is_json():
    report = run_checks(Member(), ALL, on_fail="collect")
    facts = json.loads(report.to_json())
    assert facts["component"] == "cell 'x'"
    assert facts["ok"] is False
    assert Report(facts["component"], tuple(Outcome(**outcome) for outcome in facts["outcomes"])) == report


def test_reports_cannot_be_changed():
    report = run_checks(Member(), [check_good])
    with pytest.raises(AttributeError):
        report.component = "cell 'y'"
    with pytest.raises(AttributeError):
        report.outcomes[0].status = "failed"
