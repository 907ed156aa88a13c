"""Records of runs of a comparison, and the comparison that holds them."""

import tempfile
from pathlib import Path
from typing import Any

from zoo.comparison.records import RunRecord
from zoo.comparison.results import Comparison, write_results
from zoo.comparison.statistics import overall, summarize


def record(task, cell, seed, score, high=True, **more):
    defaults: dict[str, Any] = {
        "lr": 0.01,
        "hidden": 8,
        "steps": 10,
        "parameters": 100,
        "loss": 1.0,
        "valid_score": None,
        "metric": "accuracy" if high else "squared_error",
        "higher_is_better": high,
        "threshold": 0.95,
        "baseline": None,
        "solved": False,
        "seconds": 2.0,
        "steps_to_threshold": None,
        "seconds_to_threshold": None,
        "symbols_per_s": 100.0,
        "status": "finished",
        "error": "",
        "path": "",
        "size": 100,
    }
    return RunRecord(task=task, cell=cell, seed=seed, score=score, **{**defaults, **more})


RECORDS = [
    record("copying", "gru", 0, 0.5),
    record("copying", "gru", 1, 0.9, solved=True, steps_to_threshold=4, seconds_to_threshold=0.5),
    record("copying", "lem", 0, 1.0, solved=True, steps_to_threshold=2, seconds_to_threshold=0.25),
    record("copying", "lem", 1, 0.8),
    record("adding", "gru", 0, 0.01, high=False),
    record("adding", "gru", 1, 0.03, high=False, seconds=4.0),
    record("adding", "lem", 0, 0.2, high=False),
    record("adding", "lem", 1, 0.1, high=False),
]

TASKS = {
    "copying": {
        "name": "copying",
        "summary": "Say again.",
        "options": {"delay": 2},
        "metric": "accuracy",
        "higher_is_better": True,
        "baseline": 0.125,
        "threshold": 0.99,
        "threshold_source": "Someone 1999.",
    },
    "adding": {
        "name": "adding",
        "summary": "Add.",
        "options": {},
        "metric": "squared_error",
        "higher_is_better": False,
        "baseline": 1 / 6,
        "threshold": None,
        "threshold_source": "",
    },
}
PLAN = {
    "seeds": 2,
    "size": {"params": 100},
    "length": {"steps": 2000},
    "rates": [0.01, 0.1],
    "settings": {"layers": 2, "dtype": "float32", "optimizer": "adam", "clip": 1.0},
}
METADATA = {
    "plan": PLAN,
    "cells": {"lem": {"scope": "mixer"}, "gru": {"scope": "recurrence"}},
    "tasks": TASKS,
    "machine": {"processor": "Chip", "processors": 8, "system": "Linux 1"},
    "date": "2026-01-02 03:04 UTC",
    "versions": {"zoo": "1", "numpy": "2"},
    "jobs": 1,
}


def results(records=RECORDS, sweep=(), targets=(), **changes):
    with tempfile.TemporaryDirectory() as folder:
        metadata = {**METADATA, **changes}
        reference = metadata["plan"].get("reference")
        rows = summarize(records, reference), overall(records, reference), targets
        write_results(Path(folder), metadata, records, sweep, *rows)
        return Comparison(folder)
