"""A comparison that is killed goes on to the same scores, whoever is killed; the kills are random in
``kill_comparison.py``, where more of them can be asked for."""

from __future__ import annotations

import sys

import kill_comparison as harness
import pytest

import zoo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_killed_workers_and_leaders_change_nothing(tmp_path):
    whole = harness.undisturbed(tmp_path)
    kills = [(12, "worker"), (12, "leader"), (3, "Ctrl-C")]
    assert harness.disturbed(tmp_path, kills) == ["worker", "leader", "Ctrl-C"]
    survivor = tmp_path / "killed"
    harness.compare(whole, survivor)
    assert harness.resumptions(survivor) > 0, "nothing was half done when it was killed"
    assert zoo.Comparison(survivor).failures == []
