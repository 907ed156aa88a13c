"""Predicted labels on the page of a run: confusion matrix, calibration, scores, and hidden units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.classification import Predictor
from zoo.classification.evaluation import last_part, predict, step_weights
from zoo.report.activations import Activations, NumericExamples, read_numeric
from zoo.report.blocks import Axis, Chart, PageBlock, Series, TextBlock
from zoo.report.history import number
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
_BINS = 10
_MAX_POINTS = 2000


def label_blocks(run: RunData) -> tuple[PageBlock, ...]:
    """The confusion matrix, the calibration and the scores on the last part of the data that is not empty.

    Raises:
        ZooError: if the data are missing or have changed their channels.
    """
    predictor = run.predictor
    if predictor is None:
        return (TextBlock("There is no checkpoint yet, and so no model that could predict labels."),)
    return tuple(_blocks(predictor))


def _blocks(predictor: Predictor) -> Iterator[PageBlock]:
    facts, spec = predictor.evaluate(), predictor.spec
    part, (scores,) = facts["part"], facts["targets"]
    given, scaled = predictor.open_data()
    numbers = predictor.parts(given)[part]
    predicted, actual = predict(predictor.model, scaled, numbers), spec.codes(given)[numbers]
    data = f"{facts['sequences']:,} sequences, {part} part"
    if scores["confusion"] is not None and len(spec.classes) <= _MAX_CLASSES:
        yield _confusion(scores["confusion"], spec.classes, data)
    yield _scores(scores, part)
    yield TextBlock(scores["summary"])
    if spec.classes:
        yield _calibration(predicted, actual, spec.classes, data)
    else:
        yield _scatter(predicted[:, 0], actual, spec.label, data)


def _calibration(probabilities: Array, actual: Array, classes: Sequence[str], data: str) -> Chart:
    """A reliability diagram, with a 95 % interval of each share (Wilson, 1927)."""
    if len(classes) == 2:
        predicted, happened, of = probabilities[:, 1], actual == 1, repr(classes[1])
        share = f"share of {of}"
    else:
        predicted, of, share = probabilities.max(axis=1), "the predicted class", "share that is right"
        happened = probabilities.argmax(axis=1) == actual
    bins = np.minimum((predicted * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    filled = counts > 0
    count = counts[filled]
    means, shares = (np.bincount(bins, each, _BINS)[filled] / count for each in (predicted, happened))
    squared = 1.96**2 / count
    middle = (shares + squared / 2) / (1 + squared)
    half = np.sqrt(squared * (shares * (1 - shares) + squared / 4)) / (1 + squared)
    error = float((count * np.abs(shares - means)).sum() / count.sum())
    ends = [tuple(map(number, each.tolist())) for each in (means, shares, middle - half, middle + half)]
    return Chart(
        "calibration",
        f"Calibration: {data}",
        Axis(f"predicted probability of {of}", "share", low=0, high=1, switch=False),
        Axis(share, "share", low=0, high=1, switch=False),
        (
            Series("perfect calibration", (0, 1), (0, 1), slot=2, thin=True),
            Series("model", ends[0], ends[1], slot=1, low=ends[2], high=ends[3]),
        ),
        note=f"Predictions in {_BINS} bins of equal width, with 95 % intervals. The model is too cautious "
        f"above the diagonal, and too sure below it. The mean distance (expected calibration error) is "
        f"{error:.1%}.",
    )


def _scatter(predicted: Array, actual: Array, label: str, data: str) -> Chart:
    """Predicted against actual numbers."""
    pairs = [tuple(map(number, each[:_MAX_POINTS].tolist())) for each in (actual, predicted)]
    ends = tuple(map(number, (min(actual.min(), predicted.min()), max(actual.max(), predicted.max()))))
    lines = (
        Series("equal", ends, ends, slot=2, thin=True, marks=False),
        Series("sequence", pairs[0], pairs[1], slot=1, marks=True),
    )
    axes = Axis(f"actual {label}", switch=False), Axis(f"predicted {label}", switch=False)
    note = "A point for each sequence. Predictions are too high above the line, and too low below it."
    return Chart("predicted", f"Predicted and actual {label}: {data}", *axes, lines, note=note)


def sequence_activations(predictor: Predictor, steps: int) -> Activations:
    """Hidden units over sequences of the last part that is not empty, one after another.

    Args:
        predictor: The model.
        steps: Largest number of steps; at least one sequence is shown.
    """
    spec, (given, scaled) = predictor.spec, predictor.open_data()
    parts = predictor.parts(given)
    part = last_part(parts)
    numbers = parts[part]
    numbers = numbers[: max(1, int((np.cumsum(given.lengths[numbers]) <= steps).sum()))]
    batch = scaled.batch(numbers, tuple(predictor.model.stack.inputs))
    lengths, inputs = given.lengths[numbers], batch.pop("inputs")
    batch.pop("lengths", None)
    weights = step_weights(lengths, spec.pooling) if spec.pooling == "last" else None
    classes = np.broadcast_to(spec.codes(given)[numbers], inputs.shape[:2]) if spec.classes else None
    names = (*spec.channels, *(f"{name} missing" for name in spec.masked))
    source = f"{len(numbers)} sequence{'s' * (len(numbers) > 1)}, {part} part"
    return read_numeric(
        predictor.model, NumericExamples(source, names, inputs, lengths, batch, weights, classes)
    )


def _confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], data: str) -> Table:
    """Rows are the true classes; the shade is the share of the row."""
    rows = tuple(
        (
            TableCell(name),
            *(TableCell(count, f"{count:,}", count / max(sum(row), 1)) for count in row),
        )
        for name, row in zip(classes, counts, strict=True)
    )
    columns = (Column("true \\ predicted"), *(Column(name, "integer", heat=True) for name in classes))
    note = (
        "Rows are the true classes, columns the predicted ones. The shade is the share of the row, so a good "
        "model has a dark diagonal."
    )
    return Table("confusion", f"Confusion matrix: {data}", columns, rows, note)


def _scores(scores: Mapping[str, Any], part: str) -> Table:
    metrics = [name for name in _METRICS if name in scores["metrics"]["model"]]
    rows = tuple(
        (TableCell(name), *(_cell(values[metric]) for metric in metrics))
        for name, values in scores["metrics"].items()
    )
    columns = (Column("prediction"), *(Column(_METRICS[name], "number") for name in metrics))
    better = "Higher" if "accuracy" in metrics else "Lower"
    note = f"{better} is better. Brackets hold 95 % intervals, if there are enough sequences."
    return Table("scores", f"Scores of {scores['target']}, {part} part", columns, rows, note)


def _cell(estimate: Mapping[str, Any]) -> TableCell:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return TableCell(value, f"{value:.4g}" if low is None else f"{value:.4g} [{low:.4g}, {high:.4g}]")
