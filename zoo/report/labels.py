"""Predicted labels on the page of a run: confusion matrix, labels over time, calibration, and activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base.metric import higher_is_better, metric_columns, metric_headings, metric_text
from zoo.classification import Predictor
from zoo.classification.evaluation import KnownLabels, known_labels, predict, step_weights
from zoo.classification.scaling import window_rows
from zoo.classification.sequence_parts import divide
from zoo.classification.spec import SequenceSpec
from zoo.report.activations import Activations, NumericExamples, read_numeric
from zoo.report.blocks import Axis, Chart, PageBlock, Series, TextBlock
from zoo.report.history import number
from zoo.report.run_data import RunData
from zoo.tables import Column, Table, TableEntry

_MAX_CLASSES = 30
_BINS = 10
_MAX_POINTS = 2000

_SHOWN_SEQUENCES = 4
_SHOWN_STEPS = 1000
"""Sequences of which the labels are shown over time, and the first steps of each."""


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
    parts = divide(given, spec)
    numbers = parts.numbers(part)
    predictions, labels = predict(predictor.model, scaled, numbers), known_labels(given, scaled, numbers)
    predicted, actual = predictions[labels.is_known], labels.codes
    data = f"{counted(facts['sequences'], 'sequence')}, {part} part"
    if spec.is_stepwise:
        data = f"{counted(facts['steps'], 'step')} of {data}"
    if scores["confusion"] is not None and len(spec.classes) <= _MAX_CLASSES:
        yield _confusion(scores["confusion"], spec.classes, data)
    yield _scores(scores, part)
    yield TextBlock(scores["summary"])
    if "note" in facts:
        yield TextBlock(f"Note: {facts['note']}.")
    if spec.is_stepwise:
        ids = [given.ids[0 if parts.is_cut else number] for number in numbers[:_SHOWN_SEQUENCES]]
        yield _over_time(spec, ids, scaled.lengths[numbers], predictions, labels)
    if spec.classes:
        yield _calibration(predicted, actual, spec, data)
    else:
        yield _scatter(predicted[:, 0], actual, spec, data)


def _over_time(
    spec: SequenceSpec, ids: Sequence[str], lengths: Array, predicted: Array, labels: KnownLabels
) -> Chart:
    """The true and the predicted label of each step of the first sequences."""
    series, first = list[Series](), 0
    values = predicted.argmax(axis=1) if spec.classes else predicted[:, 0]
    true_labels = np.full(len(values), np.nan)
    true_labels[labels.is_known] = labels.codes
    for name, length in zip(ids, lengths, strict=False):
        rows = slice(first, first + min(int(length), _SHOWN_STEPS))
        steps = tuple(range(rows.stop - rows.start))
        for label, each, slot in (("true", true_labels[rows], 2), ("predicted", values[rows], 1)):
            shown = tuple(map(number, np.asarray(each, np.float64).tolist()))
            marks = bool(spec.classes) and label == "predicted"  # an error is a mark off the line
            series.append(Series(label, steps, shown, slot=slot, marks=marks, group=name))
        first += int(length)
    return Chart(
        "labels-over-time",
        f"{spec.label} over time",
        Axis("step", "integer", switch=False),
        Axis(spec.label, switch=False, names=spec.classes if len(spec.classes) <= _MAX_CLASSES else ()),
        tuple(series),
        note=f"The labels of at most {_SHOWN_STEPS:,} steps of a sequence. A gap is a step without a label.",
        choose="sequence" if len(ids) > 1 else "",
        wide=True,
    )


def _calibration(probabilities: Array, actual: Array, spec: SequenceSpec, data: str) -> Chart:
    """A reliability diagram, with a 95 % interval of each share (Wilson, 1927).

    Steps of a sequence are not independent, so their shares have no such interval.
    """
    classes = spec.classes
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
    low, high = ((), ()) if spec.is_stepwise else ends[2:]
    intervals = "" if spec.is_stepwise else ", with 95 % intervals"
    return Chart(
        "calibration",
        f"Calibration: {data}",
        Axis(f"predicted probability of {of}", "share", low=0, high=1, switch=False),
        Axis(share, "share", low=0, high=1, switch=False),
        (
            Series("perfect calibration", (0, 1), (0, 1), slot=2, thin=True),
            Series("model", ends[0], ends[1], slot=1, low=low, high=high),
        ),
        note=f"Predictions in {_BINS} bins of equal width{intervals}. The model is too cautious "
        f"above the diagonal, and too sure below it. The mean distance (expected calibration error) is "
        f"{error:.1%}.",
    )


def _scatter(predicted: Array, actual: Array, spec: SequenceSpec, data: str) -> Chart:
    """Predicted against actual numbers."""
    label, unit = spec.label, "step" if spec.is_stepwise else "sequence"
    chosen = slice(None, None, -(-len(actual) // _MAX_POINTS))
    pairs = [tuple(map(number, each[chosen].tolist())) for each in (actual, predicted)]
    ends = tuple(map(number, (min(actual.min(), predicted.min()), max(actual.max(), predicted.max()))))
    lines = (
        Series("equal", ends, ends, slot=2, thin=True, marks=False),
        Series(unit, pairs[0], pairs[1], slot=1, marks=True),
    )
    axes = Axis(f"actual {label}", switch=False), Axis(f"predicted {label}", switch=False)
    note = f"A point for each {unit}. Predictions are too high above the line, and too low below it."
    return Chart("predicted", f"Predicted and actual {label}: {data}", *axes, lines, note=note)


def sequence_activations(predictor: Predictor, steps: int) -> Activations:
    """Hidden units over sequences of the last part that is not empty, one after another.

    Args:
        predictor: The model.
        steps: Largest number of steps; at least one sequence is shown.
    """
    spec, (given, scaled) = predictor.spec, predictor.open_data()
    parts = divide(given, spec)
    numbers = parts.numbers(parts.last)
    numbers = numbers[: max(1, int((np.cumsum(scaled.lengths[numbers]) <= steps).sum()))]
    starts, lengths = scaled.offsets[numbers], scaled.lengths[numbers]
    if spec.is_stepwise:  # one sequence may be long
        lengths = np.minimum(lengths, steps)
    batch = scaled.windows(starts, lengths, tuple(predictor.model.stack.inputs))
    inputs, codes = batch.pop("inputs"), spec.codes(given)
    batch.pop("lengths", None)
    weights = step_weights(lengths, spec.pooling) if spec.pooling == "last" else None
    classes = (
        np.broadcast_to(codes[numbers], inputs.shape[:2]) if spec.classes and not spec.is_stepwise else None
    )
    if spec.is_stepwise:
        is_step, rows = window_rows(starts, lengths)
        weights = (is_step & spec.has_label(codes)[rows]).astype(np.float64)
        classes = np.where(weights > 0, codes[rows], 0) if spec.classes else None
    names = (*spec.channels, *(f"{name} missing" for name in spec.masked))
    source = f"{counted(len(numbers), 'sequence')}, {parts.last} part"
    return read_numeric(
        predictor.model, NumericExamples(source, names, inputs, lengths, batch, weights, classes)
    )


def _confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], data: str) -> Table:
    """Rows are the true classes; the shade is the share of the row."""
    rows = tuple(
        (
            TableEntry(name),
            *(TableEntry(count, f"{count:,}", count / max(sum(row), 1)) for count in row),
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
    metrics = metric_columns(scores["metrics"]["model"])
    rows = tuple(
        (TableEntry(name), *(_entry(values[metric]) for metric in metrics))
        for name, values in scores["metrics"].items()
    )
    headings = metric_headings(metrics, scores.get("positive"))
    columns = (Column("prediction"), *(Column(heading, "number") for heading in headings))
    errors = [metric_text(name) for name in metrics if not higher_is_better(name)]
    better = (
        "Lower is better."
        if len(errors) == len(metrics)
        else f"Higher is better, except for the {' and the '.join(errors)}."
    )
    note = f"{better} Brackets hold 95 % intervals, if there are enough sequences."
    return Table("scores", f"Scores of {scores['target']}, {part} part", columns, rows, note)


def _entry(estimate: Mapping[str, Any]) -> TableEntry:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return TableEntry(value, f"{value:.4g}" if low is None else f"{value:.4g} [{low:.4g}, {high:.4g}]")
