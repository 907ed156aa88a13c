"""Schemas of the records in ``results.json``: each field with the kind of its value."""

from __future__ import annotations

_GOAL = {"metric": "str", "higher_is_better": "bool", "threshold": "float | None", "baseline": "float | None"}

RUN_SCHEMA = {
    "task": "str",
    "cell": "str",
    "seed": "int | None",
    "lr": "float | None",
    "hidden": "int | None",
    "steps": "int | None",
    "parameters": "int",
    "score": "bounded_float | None",
    "loss": "bounded_float | None",
    "valid_score": "float | None",
    **_GOAL,
    "solved": "bool",
    "seconds": "bounded_float",
    "steps_to_threshold": "int | None",
    "seconds_to_threshold": "bounded_float | None",
    "symbols_per_s": "bounded_float | None",
    "status": "str",
    "error": "str",
    "path": "str",
}
"""Fields of a run; None for values that a failed run does not have."""

SUMMARY_SCHEMA = {
    "task": "str",
    "cell": "str",
    "parameters": "int",
    "hidden": "int",
    "lr": "float | None",
    "steps": "int | None",
    "metric": "str",
    **dict.fromkeys(("mean", "spread", "low", "high", "best", "worst"), "bounded_float | None"),
    "rank": "bounded_float",
    **dict.fromkeys(("solved", "seeds", "lost"), "int"),
    **dict.fromkeys(
        ("seconds", "steps_to_threshold", "seconds_to_threshold", "symbols_per_s"), "bounded_float | None"
    ),
}
"""Fields of a cell on a task."""

OVERALL_SCHEMA = {
    "cell": "str",
    **dict.fromkeys(("rank", "low", "high"), "bounded_float | None"),
    **dict.fromkeys(("tasks", "solved", "solvable", "runs"), "int"),
    "seconds": "bounded_float",
}
"""Fields of a cell over all tasks."""

TASK_SCHEMA = {"name": "str", "summary": "str", "threshold_source": "str", **_GOAL}
"""Fields of a task without its options."""
