"""Records of runs of a comparison."""

from typing import Any

from zoo.comparison.records import RunRecord


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
