"""Figures of the results: the best models, and the learning curves of a cell among those of all others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from cell_results import Measured, Results, TaskFacts, tasks
from evaluate_cells import SETTINGS, Point
from svg_charts import Axis, Canvas, Plot

PROGRAM = "tools/make_results.py"
SHOWN = 20
"""Models in the figure: more rows do not fit on a screen."""
MIN_OTHERS = 3
"""Fewer curves have no range."""
RANGE_EVERY = 200
"""Updates between the points of a range: with every validation, a file would have 18 kB instead of 15 kB."""
_SHORT = {"associative recall": "recall", "selective copying": "sel. copy"}
_STEPS = Axis("", 0, SETTINGS["steps"], (0, SETTINGS["steps"] // 2, SETTINGS["steps"]))
# The same range on all pages, so that you can compare them. Values outside are drawn at the edge.
_SCORES = {
    "squared_error": Axis("", 1e-5, 0.5, (1e-4, 1e-2), log=True),
    "nats": Axis("", 1.2, 3.4, (1.5, 2, 2.5, 3)),
}
_ACCURACY = Axis("", 0, 1.02, (0, 0.5, 1))


# The best models

_ROW, _TOP, _LABELS, _RANKS, _COLUMN = 24, 60, 160, 92, 68


def draw_best(results: Results) -> str:
    """Mean ranks with intervals, and scores as bars from the baseline to the best score of a task."""
    rows, columns = results.ranking[:SHOWN], list(tasks().values())
    height = _TOP + _ROW * max(len(rows), 1) + 34
    count = f"the {len(rows)} models with the best mean ranks" if rows else "no model yet"
    canvas = Canvas(760, height, f"Mean ranks and scores on six tasks and a text of {count}", PROGRAM)
    most = max([2, *(math.ceil(row.high or 0) for row in rows)])
    left = _LABELS + 14
    canvas.text((left, 18), "mean rank", "small")
    canvas.text((left, 34), "95 % interval", "note small")
    for value in (1, most):
        x = _rank_position(value, most)
        canvas.path([(x, _TOP - 6), (x, _TOP + _ROW * len(rows) - 4)], "grid")
        canvas.text((x, _TOP - 12), f"{value}", "note small", "middle")
    for column, facts in enumerate(columns):
        x = _column(column)
        canvas.text((x, 18), _SHORT.get(facts.title, facts.title), "small")
        canvas.text((x, 34), facts.unit.rpartition(" ")[2], "note small")
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number + 9
        canvas.text((_LABELS, y), row.cell, "small", "end")
        if row.rank is not None and row.low is not None and row.high is not None:
            low, rank, high = (_rank_position(value, most) for value in (row.low, row.rank, row.high))
            canvas.path([(low, y), (high, y)], "curve stroke-0")
            canvas.rectangle((rank - 3.5, y - 3.5), 7, 7, "fill-0", radius=4)
        for column, facts in enumerate(columns):
            _draw_bar(canvas, results, facts, row.cell, (_column(column), y - 9))
    if not rows:
        canvas.text((left, _TOP + 9), "No model has been measured on all tasks yet.", "note")
    _draw_legend(canvas, height - 18)
    return canvas.svg()


def _column(number: int) -> float:
    return _LABELS + 14 + _RANKS + 16 + _COLUMN * number - 4


def _rank_position(rank: float, most: int) -> float:
    return _LABELS + 18 + (_RANKS - 8) * (rank - 1) / max(1, most - 1)


def _draw_bar(
    canvas: Canvas, results: Results, facts: TaskFacts, model: str, corner: tuple[float, float]
) -> None:
    (_, best), own = results.ranked(facts.name)[0], results.at(*results.models[model], facts.name)
    if own is None or own.mean is None or best.mean is None:
        return
    goal = 1.0 if facts.higher_is_better else best.mean  # errors and losses have no best value of their own
    share = (own.mean - facts.baseline) / (goal - facts.baseline) if goal != facts.baseline else 0.0
    width, reached = _COLUMN - 8, facts.is_reached(own.mean)
    canvas.rectangle(corner, width, 18, "grid")
    canvas.rectangle(corner, width * min(max(share, 0.0), 1.0), 18, f"band fill-{2 if reached else 0}")
    canvas.text((corner[0] + 5, corner[1] + 9), facts.format(own.mean), "small title" if reached else "small")


def _draw_legend(canvas: Canvas, y: float) -> None:
    x = _LABELS + 14
    canvas.rectangle((x, y - 7), 22, 14, "band fill-2")
    canvas.text((x + 29, y), "threshold reached, in bold", "note small")
    canvas.rectangle((x + 190, y - 7), 22, 14, "band fill-0")
    canvas.text((x + 219, y), "share of the way from no memory to the best score", "note small")


# Learning curves of a cell


def draw_cell(results: Results, cell: str) -> str:
    """Validation scores of a cell, bare and in its block, and the range of all other cells, task by task."""
    title = f"Validation scores of {cell} by updates, and the range of other models, on six tasks and a text"
    canvas = Canvas(760, 344, title, PROGRAM)
    blocks = [block for name, block in results.models.values() if name == cell]
    for number, facts in enumerate(tasks().values()):
        corner = (44 + 182 * (number % 4), 34 + 164 * (number // 4))
        _draw_panel(canvas, results, cell, blocks, facts, corner)
    x, y = 44 + 182 * 3, 34 + 164
    for row, block in enumerate(blocks):
        canvas.path([(x, y + 19 * row), (x + 22, y + 19 * row)], _line(row))
        canvas.text(
            (x + 29, y + 19 * row), f"{cell}, {block}" if block == "bare" else f"{cell}, in {block}", "small"
        )
    y += 19 * len(blocks)
    canvas.rectangle((x, y - 6), 22, 12, "band fill-5")
    canvas.text((x + 29, y), "80 % of other models", "small")
    canvas.path([(x, y + 19), (x + 22, y + 19)], "axis")
    canvas.text((x + 29, y + 19), "their median", "small")
    canvas.path([(x, y + 38), (x + 22, y + 38)], "axis dashed")
    canvas.text((x + 29, y + 38), "solved", "small")
    return canvas.svg()


def _line(row: int) -> str:
    return f"curve stroke-{row}" + " dashed" * (row == 1)


def _draw_panel(
    canvas: Canvas,
    results: Results,
    cell: str,
    blocks: Sequence[str],
    facts: TaskFacts,
    corner: tuple[float, float],
) -> None:
    score = _SCORES.get(facts.metric, _ACCURACY)
    plot = Plot(canvas, corner, 138, 104, _STEPS, score)
    canvas.text((corner[0], corner[1] - 14), f"{facts.title} ({facts.unit})", "small")
    others = [
        each
        for pair, each in results.measured.items()
        if pair.task == facts.name and pair.cell != cell and each.points
    ]
    if len(others) >= MIN_OTHERS:
        steps, low, median, high = range_of(others)
        plot.band(steps, low, high, 5)
        canvas.path([plot.at(x, y) for x, y in zip(steps, median, strict=True)], "axis")
    if facts.threshold is not None:
        canvas.path([plot.at(0, facts.threshold), plot.at(_STEPS.high, facts.threshold)], "axis dashed")
    for row, block in enumerate(blocks):
        own = results.at(cell, block, facts.name)
        if own is not None and own.points:
            points = [plot.at(point.step, value_of(point)) for point in own.points]
            canvas.path(points, _line(row))


def value_of(point: Point) -> float:
    """The score of a validation; the loss where the task has no score."""
    return point.loss if point.score is None else point.score


def range_of(measured: Sequence[Measured]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Updates at which at least ``MIN_OTHERS`` have a validation, and the quantiles 0.1, 0.5 and 0.9."""
    values: dict[int, list[float]] = {}
    for each in measured:
        for point in each.points:
            if point.step % RANGE_EVERY == 0:
                values.setdefault(point.step, []).append(value_of(point))
    steps = sorted(step for step, own in values.items() if len(own) >= MIN_OTHERS)
    quantiles = [np.quantile(values[step], (0.1, 0.5, 0.9)).tolist() for step in steps]
    low, median, high = ([each[column] for each in quantiles] for column in range(3))
    return steps, low, median, high
