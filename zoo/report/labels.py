"""Predicted labels on the page of a run: the confusion matrix and the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.classification import Predictor
from zoo.report.blocks import Block, Text
from zoo.report.run_data import RunData
from zoo.tables import Column, Table, TableCell

_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "mae": "MAE",
    "rmse": "RMSE",
}

_MAX_CLASSES = 30


def label_blocks(run: RunData) -> tuple[Block, ...]:
    """The confusion matrix and the scores on the last part of the data that is not empty.

    Raises:
        ZooError: If the data are missing or have changed their channels.
    """
    if run.checkpoint is None:
        return (Text("There is no checkpoint yet, and so no model that could predict labels."),)
    predictor = Predictor.from_checkpoint(run.checkpoint, str(run.directory.path), run.cell_class)
    return tuple(_blocks(predictor.evaluate(), predictor.spec.classes))


def _blocks(facts: Mapping[str, Any], classes: Sequence[str]) -> Iterator[Block]:
    part, (scores,) = facts["part"], facts["targets"]
    if scores["confusion"] is not None and len(classes) <= _MAX_CLASSES:
        yield _confusion(scores["confusion"], classes, f"{facts['sequences']:,} sequences, {part} part")
    yield _scores(scores, part)
    yield Text(scores["summary"])


def _confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], data: str) -> Table:
    """Rows are the true classes; the shade is the share of the row."""
    rows = tuple(
        (
            TableCell(name),
            *(TableCell(count, f"{count:,}", count / max(sum(row), 1)) for count in row),
        )
        for name, row in zip(classes, counts, strict=True)
    )
    columns = (Column("true class"), *(Column(name, "integer", heat=True) for name in classes))
    note = "Rows are the true classes, columns the predicted ones. The shade is the share of the row."
    return Table("confusion", f"Confusion matrix: {data}", columns, rows, note)


def _scores(scores: Mapping[str, Any], part: str) -> Table:
    metrics = [name for name in _METRICS if name in scores["metrics"]["model"]]
    rows = tuple(
        (TableCell(name), *(_cell(values[metric]) for metric in metrics))
        for name, values in scores["metrics"].items()
    )
    columns = (Column("prediction"), *(Column(_METRICS[name], "number") for name in metrics))
    note = "Brackets hold 95 % intervals, if there are enough sequences."
    return Table("scores", f"Scores of {scores['target']}, {part} part", columns, rows, note)


def _cell(estimate: Mapping[str, Any]) -> TableCell:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return TableCell(value, f"{value:.4g}" if low is None else f"{value:.4g} [{low:.4g}, {high:.4g}]")
