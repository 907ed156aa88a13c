"""A killed comparison resumes to the same scores. See also `tools/crash_test.py`."""

from __future__ import annotations

import sys

import pytest
from crash_tests.comparisons import LONG, ComparisonProcesses
from crash_tests.equality import resumptions

import zoo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_killed_workers_and_leaders_change_no_result(tmp_path):
    scenario, survivor = ComparisonProcesses({**LONG, "seeds": 1}), tmp_path / "killed"
    scenario.prepare(tmp_path)
    kills = [(12, "worker"), (12, "leader"), (3, "Ctrl-C")]
    assert scenario.run_with_kills_at(survivor, kills) == ["worker", "leader", "Ctrl-C"]
    scenario.compare(survivor)
    assert resumptions(survivor) > 0, "nothing was half done when it was killed"
    assert zoo.Comparison(survivor).failures == []
