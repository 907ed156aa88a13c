"""Curves of a run: losses, gradient norms, learning rate and speed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.report.blocks import Axis, Chart, Reference, Series
from zoo.report.format import readable, reference_levels, score_axis
from zoo.report.history import History, number

_BEFORE_ONLY = "The log of this run holds the norm before clipping only."

# Name of the chart, title, axis and the value in the events.
_SINGLE_CURVES = (
    (
        "clipped",
        "Updates clipped",
        Axis("share of updates", "share", low=0, high=1, switch=False),
        "clip_rate",
    ),
    ("learning-rate", "Learning rate", Axis("learning rate"), "lr"),
    ("speed", "Speed", Axis("symbols a second"), "symbols_per_s"),
)


def loss_charts(history: History) -> Iterator[Chart]:
    """Yield the charts of the loss and of the score of a task."""
    part = str(history.last("eval").get("part", "validation"))
    training = Series("training", *history.points("step", "loss"))
    measured = Series(part, *history.points("eval", "loss"), slot=1)
    task = history.last("start", "resume").get("task")
    if isinstance(task, dict):
        metric = str(task.get("metric"))
        scores = Series(part, *history.points("eval", "score"), slot=1)
        axis = score_axis(metric, bool(task.get("higher_is_better")))
        marks = reference_levels(number(task.get("baseline")), number(task.get("threshold")))
        yield from _chart("score", readable(metric).capitalize(), axis, scores, wide=True, references=marks)
    unit = "loss" if isinstance(task, dict) else "loss (nats per symbol)"
    yield from _chart("loss", "Loss", Axis(unit), training, measured, wide=True)


def optimisation_charts(history: History, clip: float) -> Iterator[Chart]:
    """Yield the charts of gradient norms, clipped updates, learning rate and speed.

    Args:
        history: The events.
        clip: Largest norm of the gradient; 0 for no limit.
    """
    before = Series("before clipping", *history.points("step", "grad_norm"))
    after = Series("after clipping", *history.points("step", "clipped_norm"), slot=1)
    more: dict[str, Any] = {
        "references": (Reference("limit", float(clip)),) if clip else (),
        "note": "" if after.x else _BEFORE_ONLY,
    }
    yield from _chart("gradient-norm", "Gradient norm", Axis("norm"), before, after, **more)
    for name, title, axis, value in _SINGLE_CURVES:
        yield from _chart(name, title, axis, Series(title.lower(), *history.points("step", value)))


def _chart(
    name: str, title: str, axis: Axis, *series: Series, wide: bool = False, **more: Any
) -> Iterator[Chart]:
    """A chart over steps, unless it is empty."""
    drawn = tuple(each for each in series if any(y is not None for y in each.y))
    if drawn:
        yield Chart(name, title, Axis("step", "integer", low=0, switch=wide), axis, drawn, wide=wide, **more)
