"""The parts of labelled sequences, and the scores of a model and of the baselines."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base.data_kinds import PARTS
from zoo.classification.baselines import (
    logistic_regression,
    majority_class,
    ridge_regression,
    softmax,
    summary_features,
    training_mean,
)
from zoo.classification.metrics import LabelScores, class_scores, number_scores
from zoo.classification.spec import ScaledSequences, SequenceSpec
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.split import parse_split, split_groups, split_items
from zoo.data.table import DataColumn
from zoo.errors import DataError
from zoo.model import AnyModel

_MAX_BATCH = 256
_MAX_STEPS = 2**17
"""Steps of all sequences of a batch in an evaluation, which bounds its memory."""


def split_sequences(
    codes: Array, split: str, seed: int, stratify: bool, groups: DataColumn | None = None
) -> dict[str, Array]:
    """Numbers of the sequences of the training, validation and test parts.

    Each class is divided by the same shares, in an order that the seed decides. A part with a share above
    zero gets a sequence of each class if there are enough: first training, then test, then validation. With
    groups, the groups are divided instead, whatever their sizes and classes.

    Args:
        codes: The labels, `(N,)`.
        split: The shares, as ``"70,15,15"``.
        seed: Seed of the order.
        stratify: Whether labels are classes; else all sequences are divided at once.
        groups: The group of each sequence, all of whose sequences lie in one part; None for none.
    """
    shares = parse_split(split)
    if groups is None:
        return split_items(codes, shares, seed, stratify)
    return split_groups(groups.values, shares, seed)


def balanced_weights(codes: Array, classes: int) -> list[float]:
    """Weights for which all classes have the same sum, with a mean of 1 over all; 1 for absent classes."""
    counts = np.bincount(codes, minlength=classes)
    mean = len(codes) / np.count_nonzero(counts)
    weights: list[float] = np.where(counts > 0, mean / np.maximum(counts, 1), 1.0).tolist()
    return weights


def last_part(parts: dict[str, Array]) -> str:
    """The test part, or the validation or training part if it is empty."""
    return next(name for name in reversed(PARTS) if len(parts[name]))


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
    """The share of each step in the prediction of its sequence, `(T, B)`."""
    steps = np.arange(int(sizes.max()))[:, None]
    if pooling == "last":
        return np.asarray(steps == sizes - 1, np.float64)
    return np.asarray((steps < sizes) / sizes)


def pooled(outputs: Array, sizes: Array, spec: SequenceSpec) -> Array:
    """One prediction for each sequence from the outputs `(T, B, V)`: probabilities, or scaled numbers."""
    values = outputs.astype(np.float64)
    if spec.pooling == "last":
        last = values[sizes - 1, np.arange(len(sizes))]
        return softmax(last) if spec.classes else last
    each = softmax(values) if spec.classes else values
    return np.asarray((each * step_weights(sizes, "mean")[..., None]).sum(axis=0))


def predict(model: AnyModel, scaled: ScaledSequences, numbers: Array) -> Array:
    """Probabilities of the classes `(n, K)`, or numbers `(n, 1)` in the units of the labels."""
    spec = scaled.spec
    predictions = np.empty((len(scaled.offsets) - 1, spec.output_size))
    names = tuple(model.stack.inputs)
    for rows in evaluation_batches(scaled.offsets, numbers):
        arguments = scaled.batch(rows, names)
        sizes = np.diff(scaled.offsets)[rows]
        weights = step_weights(sizes, spec.pooling)
        outputs, _ = model.outputs(arguments.pop("inputs"), weights, **arguments)
        predictions[rows] = pooled(outputs, sizes, spec)
    chosen = predictions[numbers]
    return chosen if spec.classes else chosen * spec.label_scale + spec.label_mean


def score_model(
    model: AnyModel,
    given: LabelledSequences,
    scaled: ScaledSequences,
    parts: dict[str, Array],
    part: str,
    main: str = "accuracy",
) -> dict[str, Any]:
    """The scores of a model and of the baselines on a part, as plain JSON values.

    Args:
        model: The model.
        given: The sequences.
        scaled: The same, scaled.
        parts: Numbers of the sequences of each part. Baselines are fitted to the training part.
        part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        main: The score for the comparison of classes.

    Raises:
        DataError: if the part is empty.
    """
    numbers = np.arange(len(given)) if part == "all" else parts[part]
    if not len(numbers):
        raise DataError(f"{given.name} has no sequences in its {part} part; choose another part.")
    scores = _compare(given, scaled.spec, parts["train"], numbers, predict(model, scaled, numbers), main)
    return {"part": part, "sequences": len(numbers), "targets": [scores.to_json()]}


def _compare(
    given: LabelledSequences, spec: SequenceSpec, train: Array, numbers: Array, model: Array, main: str
) -> LabelScores:
    actual, features = spec.codes(given), summary_features(given.values, given.offsets)
    groups = None if given.groups is None else given.groups.values[numbers]
    if not spec.classes:
        predictions = {
            "mean of training": training_mean(actual, train),
            "ridge regression": ridge_regression(features, actual, train),
        }
        chosen = {name: values[numbers] for name, values in predictions.items()}
        return number_scores(spec.label, actual[numbers], {"model": model[:, 0], **chosen}, groups)
    classes = len(spec.classes)
    probabilities = {
        "majority class": majority_class(actual, train, classes),
        "logistic regression": logistic_regression(features, actual, train, classes),
    }
    chosen = {name: values[numbers] for name, values in probabilities.items()}
    return class_scores(spec.label, actual[numbers], {"model": model, **chosen}, main, groups)
