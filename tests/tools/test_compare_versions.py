"""The comparison of two versions of zoo: its cases, and the directory in which it starts each version."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path

import compare_versions
import numpy as np
import pytest

from zoo.kernels import pure_python


@pytest.mark.parametrize("option", ["bidirectional", "learned_state", "threads"])
def test_stack_with_a_cell_for_each_layer_is_recorded(option):
    runs = dict(compare_versions.cases("lstm,gru"))
    assert all(fnmatch(name, "stack lstm,gru *") for name in runs)
    with pure_python():
        results = runs[f"stack lstm,gru {option}"]()
    assert {"gradient theta 1", "state l0.c", "state l1.h"} <= results.keys()


def test_runs_with_a_cell_for_each_layer_are_cases():
    assert "run cell for each layer" in dict(compare_versions.cases("lstm,*"))
    assert "run both directions" in dict(compare_versions.cases("gru,*"))


def test_commands_import_nothing_from_working_directory(tmp_path, monkeypatch):
    (tmp_path / "zoo.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for arguments in (["-c", "import zoo"], ["-m", "zoo", "cells"]):
        assert compare_versions.clocked([sys.executable, *arguments], {}) > 0


def test_cold_start_reports_kernel_size(tmp_path, monkeypatch):
    sizes = iter([5, 7])

    def clocked(command, variables):
        Path(variables["ZOO_CACHE_DIR"], "x.kernel").write_bytes(bytes(next(sizes)))
        return 1.5

    monkeypatch.setattr(compare_versions, "clocked", clocked)
    rows = [compare_versions.cold_start(python, "vanilla") for python in ("old", "new")]
    assert np.array_equal(rows, [(1.5, 5), (1.5, 7)])
