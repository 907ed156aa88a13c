"""Learning curves: the numbers of a run or of ``fit``'s history as arrays by step."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.arguments import as_directory, counted, short_repr
from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.storage.log import NOT_FINITE
from zoo.training.run import Run

_KINDS = "step", "eval"


def learning_curves(
    run: Run | str | os.PathLike[str] | Iterable[Mapping[str, Any]],
) -> dict[str, dict[str, Array]]:
    """Return the losses and other numbers of training by step, as arrays.

    >>> curves = zoo.learning_curves(run)
    >>> plt.plot(curves["step"]["step"], curves["step"]["loss"])
    >>> pandas.DataFrame(curves["eval"])

    Args:
        run: A run, a run directory, or the history that ``fit`` of a model returns.

    Returns:
        ``"step"`` and ``"eval"``, the events of training and of validation, each with arrays ``(N,)`` by
        name: ``"step"``, the number of updates, and all other numbers of the events, for example ``"loss"``.
        A number that an event lacks is NaN.

    Raises:
        UsageError: if no run is there, or the history is not a list of events, or has none of training or
            validation.
        CheckpointError: if the log of the run is damaged.
    """
    if isinstance(run, (str, os.PathLike)):
        run = Run(as_directory(run, "learning_curves: run"))
    events = run.events() if isinstance(run, Run) else _checked(run)
    rows: dict[Any, list[dict[str, float]]] = {kind: [] for kind in _KINDS}
    for event in events:
        if _is_of_curve(event):
            values = {name: _number(value) for name, value in event.items()}
            rows[event["event"]].append({name: x for name, x in values.items() if x is not None})
    return {kind: _columns(rows[kind]) for kind in _KINDS}


def _checked(history: Any) -> list[Mapping[str, Any]]:
    try:
        events: list[Any] = [None] if isinstance(history, Mapping) else list(history)
    except TypeError:  # also of an array without axes
        events = [None]
    if events and all(isinstance(each, (Run, str, os.PathLike)) for each in events):
        raise UsageError(f"learning_curves: run is a list of {counted(len(events), 'run')}; give one run.")
    for event in events:
        if not isinstance(event, Mapping) or "event" not in event:
            raise UsageError(
                f"learning_curves: run is {short_repr(history)}; expected a zoo.Run, a run directory, or the "
                f"history that `fit` of a model returns."
            )
    if events and not any(map(_is_of_curve, events)):
        raise UsageError(
            f"learning_curves: run has {counted(len(events), 'event')}, none of training or validation; "
            f"expected the history that `fit` of a model returns, with 'event' and 'step'."
        )
    return events


def _is_of_curve(event: Mapping[str, Any]) -> bool:
    """Whether an event belongs to training or validation, and has a number of updates."""
    step = event.get("step")
    return event.get("event") in _KINDS and isinstance(step, numbers.Integral) and not isinstance(step, bool)


def _number(value: object) -> float | None:
    """A number of an event, which the log writes as a string if it is not finite; None for other values."""
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return float(value)


def _columns(rows: list[dict[str, float]]) -> dict[str, Array]:
    names = dict.fromkeys(["step", *(name for row in rows for name in row)])
    columns = {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names}
    return {**columns, "step": columns["step"].astype(np.int64)}
