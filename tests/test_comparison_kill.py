"""A comparison that is killed goes on to the same scores, whoever is killed; see also `tools/kill.py`."""

from __future__ import annotations

import sys

import pytest
from kills.comparisons import InProcesses
from kills.equality import resumptions

import zoo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_killed_workers_and_leaders_change_nothing(tmp_path):
    scenario, survivor = InProcesses(), tmp_path / "killed"
    scenario.prepare(tmp_path)
    kills = [(12, "worker"), (12, "leader"), (3, "Ctrl-C")]
    assert scenario.attack_at(survivor, kills) == ["worker", "leader", "Ctrl-C"]
    scenario.compare(survivor)
    assert resumptions(survivor) > 0, "nothing was half done when it was killed"
    assert zoo.Comparison(survivor).failures == []
