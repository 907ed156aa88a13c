"""Predictions for labelled sequences, and the scores of a model and of the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.base.metric import metric_text
from zoo.classification.baselines import (
    logistic_regression,
    majority_class,
    ridge_regression,
    softmax,
    step_features,
    summary_features,
    training_mean,
)
from zoo.classification.metrics import LabelScores, class_scores, number_scores
from zoo.classification.scaling import ScaledSequences
from zoo.classification.sequence_parts import SequenceParts
from zoo.classification.spec import SequenceSpec
from zoo.data.growing_array import allocate
from zoo.data.labelled_sequences import STEPWISE, LabelledSequences
from zoo.errors import DataError
from zoo.model import AnyModel

_MAX_BATCH = 256
_MAX_STEPS = 2**17
"""Steps of all sequences of a batch in an evaluation, which bounds its memory."""

_MAX_FITTED_STEPS = 10_000
"""Largest number of steps to which a baseline is fitted; the steps are evenly spaced.

With 10 channels and 5 classes, the logistic regression takes about 2 s.
"""

_BLOCKS = 20
"""Blocks of a single sequence whose steps are evaluated, for an interval."""


def balanced_weights(codes: Array, classes: int) -> list[float]:
    """Weights for which all classes have the same sum, with a mean of 1 over all; 1 for absent classes."""
    counts = np.bincount(codes, minlength=classes)
    mean = len(codes) / np.count_nonzero(counts)
    weights: list[float] = np.where(counts > 0, mean / np.maximum(counts, 1), 1.0).tolist()
    return weights


def evaluation_batches(offsets: Array, numbers: Array) -> list[Array]:
    """Batches of sequences of similar lengths."""
    sizes = np.diff(offsets)[numbers]
    order = numbers[np.argsort(-sizes, kind="stable")]
    batches, first = list[Array](), 0
    while first < len(order):
        longest = int(offsets[order[first] + 1] - offsets[order[first]])
        count = max(1, min(_MAX_BATCH, _MAX_STEPS // longest))
        batches.append(order[first : first + count])
        first += count
    return batches


def step_weights(sizes: Array, pooling: str) -> Array:
    """The share of each step in the prediction of its sequence, `(T, B)`; 1 for a prediction at each step."""
    steps = np.arange(int(sizes.max()))[:, None]
    if pooling == "last":
        return np.asarray(steps == sizes - 1, np.float64)
    is_step = np.asarray(steps < sizes, np.float64)
    return is_step if pooling == STEPWISE else is_step / sizes


def pooled(outputs: Array, sizes: Array, spec: SequenceSpec) -> Array:
    """The predictions from the outputs `(T, B, V)`: probabilities, or scaled numbers.

    Returns:
        One prediction for each sequence, `(B, V)`; or if each step has a label, one for each step of the
        first sequence, then of the second, and so on.
    """
    values = outputs.astype(np.float64)
    if spec.pooling == "last":
        last = values[sizes - 1, np.arange(len(sizes))]
        return softmax(last) if spec.classes else last
    if spec.is_stepwise:
        values = values.swapaxes(0, 1)[np.arange(len(outputs)) < sizes[:, None]]
        return softmax(values) if spec.classes else values
    each = softmax(values) if spec.classes else values
    return np.asarray((each * step_weights(sizes, "mean")[..., None]).sum(axis=0))


def predict(model: AnyModel, scaled: ScaledSequences, numbers: Array) -> Array:
    """Probabilities of the classes `(n, K)`, or numbers `(n, 1)` in the units of the labels.

    A prediction for each of the sequences, or for each of their steps: see :meth:`ScaledSequences.items`.
    """
    spec, items = scaled.spec, scaled.items(numbers)
    count = int(scaled.offsets[-1]) if spec.is_stepwise else len(scaled.offsets) - 1
    index = np.empty(count, np.int64)  # of the prediction of each label
    index[items] = np.arange(len(items))
    predictions = allocate((len(items), spec.output_size), np.float64)
    names = tuple(model.stack.inputs)
    for rows in evaluation_batches(scaled.offsets, numbers):
        arguments = scaled.batch(rows, names)
        sizes = scaled.lengths[rows]
        weights = step_weights(sizes, spec.pooling)
        outputs, _ = model.outputs(arguments.pop("inputs"), weights, **arguments)
        predictions[index[scaled.items(rows)]] = pooled(outputs, sizes, spec)
    return predictions if spec.classes else predictions * spec.label_scale + spec.label_mean


class KnownLabels(NamedTuple):
    """The labels of some sequences or steps that are known.

    Attributes:
        items: Their indices among the labels of all sequences, `(m,)`.
        codes: Numbers of classes, or numbers, `(m,)`.
        is_known: Whether each prediction for the sequences has a label, `(n,)`.
    """

    items: Array
    codes: Array
    is_known: Array


def known_labels(given: LabelledSequences, scaled: ScaledSequences, numbers: Array) -> KnownLabels:
    """The labels of some sequences; predictions for these sequences are in the order of `is_known`."""
    items, codes = scaled.items(numbers), scaled.spec.codes(given)
    is_known = scaled.spec.has_label(codes)[items]
    return KnownLabels(items[is_known], codes[items[is_known]], is_known)


def compare_models(
    models: Mapping[str, AnyModel],
    given: LabelledSequences,
    scaled: ScaledSequences,
    numbers: Array,
    main: str,
) -> LabelScores | None:
    """The scores of classifiers for the same labels, with the interval of their difference.

    Args:
        models: ``"model"`` and the models to compare it with.
        given: The sequences.
        scaled: The same, scaled.
        numbers: Numbers of the sequences to predict.
        main: The score of the difference.

    Returns:
        The scores; None if no label is known.
    """
    labels = known_labels(given, scaled, numbers)
    if not len(labels.codes):
        return None
    predicted = {name: predict(model, scaled, numbers)[labels.is_known] for name, model in models.items()}
    groups, _ = _resampled(given, scaled, numbers)
    groups = groups if groups is None else groups[labels.is_known]
    return class_scores(scaled.spec.label, labels.codes, predicted, main, groups)


def score_model(
    model: AnyModel,
    given: LabelledSequences,
    scaled: ScaledSequences,
    parts: SequenceParts,
    part: str,
    main: str = "accuracy",
) -> dict[str, Any]:
    """The scores of a model and of the baselines on a part, as plain JSON values.

    Args:
        model: The model.
        given: The sequences.
        scaled: The same, scaled.
        parts: Their parts. Baselines are fitted to the training part.
        part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        main: The score for the comparison of classes.

    Raises:
        DataError: if the part is empty, or has no labels.
    """
    numbers = parts.numbers(part)
    if not len(numbers):
        raise DataError(f"{given.name} has no sequences in its {part} part; choose another part.")
    return {"part": part, **score_sequences(model, given, scaled, parts.train, numbers, main)}


def score_sequences(
    model: AnyModel,
    given: LabelledSequences,
    scaled: ScaledSequences,
    fitted: Array,
    scored: Array,
    main: str,
) -> dict[str, Any]:
    """The scores of a model and of the baselines on some sequences, as plain JSON values.

    Args:
        model: The model.
        given: The sequences.
        scaled: The same, scaled.
        fitted: Numbers of the sequences to which baselines are fitted.
        scored: Numbers of the sequences to predict.
        main: The score for the comparison of classes.

    Raises:
        DataError: if they have no labels.
    """
    scores, groups = _compare(given, scaled, fitted, scored, model, main)
    count = len(np.unique(_sequence_numbers(given, scaled, scored)))
    facts: dict[str, Any] = {"sequences": count, "targets": [scores.to_json()]}
    if scaled.spec.is_stepwise:
        facts["steps"] = scores.count
    notes = list[str]()
    if scores.main != main:
        notes.append(
            f"the labels are of one class, so there is no {metric_text(main)}, and {scores.main} is compared"
        )
    elif absent := _absent_classes(scores, scaled.spec):
        noun = "labelled step" if scaled.spec.is_stepwise else "sequence"
        notes.append(f"no {noun} has the class {absent}, so the scores do not include its recall")
    if scores.resampled == "blocks" and scores.has_intervals:
        notes.append(
            f"the intervals come from {groups} blocks of the steps of one sequence, so they do not hold for "
            f"other sequences"
        )
    if notes:
        facts["note"] = "; ".join(notes)
    return facts


def _absent_classes(scores: LabelScores, spec: SequenceSpec) -> str:
    """The classes of training that no scored label has, for a sentence."""
    if scores.confusion is None:
        return ""
    counts = scores.confusion.sum(axis=1).tolist()
    names = [repr(name) for name, count in zip(spec.classes, counts, strict=True) if not count]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _sequence_numbers(given: LabelledSequences, scaled: ScaledSequences, numbers: Array) -> Array:
    """The sequence of each of some numbers; the parts into which a sequence is cut belong to one."""
    return np.asarray(np.searchsorted(given.offsets, scaled.offsets[numbers], side="right") - 1)


def _compare(
    given: LabelledSequences,
    scaled: ScaledSequences,
    train: Array,
    numbers: Array,
    model: AnyModel,
    main: str,
) -> tuple[LabelScores, int]:
    """The scores of a model and of the baselines on some sequences, and the number of resampled groups."""
    spec, (scored, actual, is_scored) = scaled.spec, known_labels(given, scaled, numbers)
    if not len(scored):
        raise DataError(f"{given.name} has no labels in the part to evaluate; choose another part.")
    predicted, fitted = predict(model, scaled, numbers)[is_scored], known_labels(given, scaled, train).items
    baselines = _baselines(given, scaled, spec.codes(given), fitted, scored, model.config.bidirectional)
    groups, noun = _resampled(given, scaled, numbers)
    groups = groups if groups is None else groups[is_scored]
    count = len(scored) if groups is None else len(np.unique(groups))
    if not spec.classes:
        scores = number_scores(spec.label, actual, {"model": predicted[:, 0], **baselines}, main, groups)
    else:
        scores = class_scores(spec.label, actual, {"model": predicted, **baselines}, main, groups)
        scores = replace(scores, positive=spec.classes[1] if len(spec.classes) == 2 else "")
    return (scores if noun is None else replace(scores, resampled=noun, is_stepwise=True)), count


def _baselines(
    given: LabelledSequences,
    scaled: ScaledSequences,
    codes: Array,
    fitted: Array,
    scored: Array,
    both_directions: bool,
) -> dict[str, Array]:
    """The predictions of the baselines for some labels, fitted to others."""
    spec = scaled.spec
    if spec.is_stepwise:
        chosen = fitted[np.linspace(0, len(fitted) - 1, min(len(fitted), _MAX_FITTED_STEPS)).astype(np.int64)]
        rows = np.concatenate([chosen, scored])
        features = step_features(given.values, scaled.offsets, rows, both_directions)
    else:
        chosen, rows = fitted, np.concatenate([fitted, scored])
        features = summary_features(given.values, given.offsets)[rows]
    train, actual = np.arange(len(chosen)), codes[rows]
    if not spec.classes:
        return {
            "mean of training": training_mean(codes, fitted)[: len(scored)],
            "ridge regression": ridge_regression(features, actual, train)[len(chosen) :],
        }
    classes = len(spec.classes)
    return {
        "majority class": majority_class(codes, fitted, classes)[: len(scored)],
        "logistic regression": logistic_regression(features, actual, train, classes)[len(chosen) :],
    }


def _resampled(
    given: LabelledSequences, scaled: ScaledSequences, numbers: Array
) -> tuple[Array | None, str | None]:
    """The group of each label of some sequences, and the name of the groups; None for independent labels.

    Steps of a sequence are not independent, so sequences or their groups are resampled. Of a single sequence,
    blocks of successive steps are.
    """
    groups = None if given.groups is None else given.groups.values[numbers]
    if not scaled.spec.is_stepwise:
        return groups, None
    sizes, sequences = scaled.lengths[numbers], _sequence_numbers(given, scaled, numbers)
    if groups is not None:
        return np.repeat(groups, sizes), "groups"
    if (sequences == sequences[0]).all():
        steps = int(sizes.sum())
        return np.arange(steps) * min(_BLOCKS, steps) // steps, "blocks"
    return np.repeat(sequences, sizes), "sequences"
