"""The fields of the records and rows in ``results.json``, with the kinds of their values."""

from __future__ import annotations

_GOAL = {"metric": "str", "higher_is_better": "bool", "threshold": "float | None", "baseline": "float | None"}

RUN = {
    "task": "str",
    "cell": "str",
    "seed": "int | None",
    "lr": "float | None",
    "hidden": "int | None",
    "steps": "int | None",
    "parameters": "int",
    "score": "measure | None",
    "loss": "measure | None",
    "valid_score": "float | None",
    **_GOAL,
    "solved": "bool",
    "seconds": "measure",
    "steps_to_threshold": "int | None",
    "seconds_to_threshold": "measure | None",
    "symbols_per_s": "measure | None",
    "status": "str",
    "error": "str",
    "path": "str",
}
"""Of a run; what one that failed never had is None."""

SUMMARY = {
    "task": "str",
    "cell": "str",
    "parameters": "int",
    "hidden": "int",
    "lr": "float | None",
    "steps": "int | None",
    "metric": "str",
    **dict.fromkeys(("mean", "spread", "low", "high", "best", "worst"), "measure | None"),
    "rank": "measure",
    **dict.fromkeys(("solved", "seeds", "lost"), "int"),
    **dict.fromkeys(
        ("seconds", "steps_to_threshold", "seconds_to_threshold", "symbols_per_s"), "measure | None"
    ),
}
"""Of a cell on a task."""

OVERALL = {
    "cell": "str",
    **dict.fromkeys(("rank", "low", "high"), "measure | None"),
    **dict.fromkeys(("tasks", "solved", "solvable", "runs"), "int"),
    "seconds": "measure",
}
"""Of a cell on all tasks."""

TASK = {"name": "str", "summary": "str", "threshold_source": "str", **_GOAL}
"""Of a task, besides its options."""
