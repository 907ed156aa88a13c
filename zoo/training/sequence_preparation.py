"""Prepare labelled sequences for training: read, divide, check and scale them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base.loss import Loss
from zoo.base.names import did_you_mean
from zoo.classification.evaluation import balanced_weights
from zoo.classification.predictor import main_score
from zoo.classification.scaling import ScaledSequences, with_units
from zoo.classification.sequence_parts import divide
from zoo.classification.spec import SequenceSpec
from zoo.data.labelled_sequences import STEPWISE, LabelledSequences
from zoo.data.sequence_reader import SequenceRoles, read_sequences
from zoo.data.table import DataColumn
from zoo.errors import UsageError
from zoo.forecasting.spec import quantile_levels
from zoo.forecasting.target_losses import check_any_target
from zoo.registry import named_loss
from zoo.training.config import DEFAULT_CLASS_LOSS, Config
from zoo.training.defaults import KIND_DEFAULTS, STEPWISE_SEQ, run_steps, with_intervals
from zoo.training.labelled_dataset import LabelledDataset
from zoo.training.sequence_checks import check_labels, check_metric
from zoo.training.sequence_windows import SequenceWindows

_DEFAULTS = KIND_DEFAULTS["sequences"]

MAX_CLASSES_OF_NUMBERS = 20
"""Labels with more different numbers are numbers and not classes, unless the loss is of classes."""


def prepare_sequences(
    config: Config, data: Any = None, categories: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Config, LabelledDataset]:
    """Read and split labelled sequences; also returns the configuration with every size resolved.

    Args:
        config: The configuration.
        data: The sequences, if they are in memory.
        categories: Values of columns of texts in a trained model, which set their order.

    Raises:
        DataError: if the data cannot be read, do not fit the configuration, or have too few sequences.
        UsageError: if a setting does not fit.
    """
    pooling = _pooling(config)
    given = _read(config, data, categories, pooling)
    loss = _loss(config, given)
    spec = _unscaled_spec(given, config, loss, pooling)
    check_metric(config.metric, spec.classes)
    codes = spec.codes(given)
    has_label = spec.has_label(codes)
    parts = divide(given, spec)
    items = {part: spec.items(numbers, parts.offsets) for part, numbers in parts.by_name().items()}
    labelled = {part: each[has_label[each]] for part, each in items.items()}
    check_labels(given, spec, parts, codes, labelled, config.metric)
    spec.category_inputs(config.embedding, given.name)  # raises an error without a category
    labels = codes[labelled["train"]]
    if config.class_weights is not None:
        loss = _with_class_weights(loss, config, spec, labels)
    spec = with_units(spec, given, parts, labels, is_embedded=config.embedding is not None)
    scaled = ScaledSequences.make(given, spec, config.dtype, parts.offsets)
    batch, windows, seq = config.batch or _DEFAULTS.batch, None, None
    if spec.is_stepwise:
        seq = config.seq or min(STEPWISE_SEQ, int(scaled.lengths[parts.train].max()))
        carries = not config.bidirectional
        sizes = seq, batch, config.seed
        windows = SequenceWindows(parts.offsets, parts.train, *sizes, carries=carries, has_label=has_label)
    dataset = LabelledDataset(
        given,
        scaled,
        _targets(codes, has_label, spec, config.dtype),
        _weights(given, has_label),
        parts,
        loss,
        min(batch, len(parts.train)) if windows is None else windows.streams,
        config.seed,
        main_score(spec.classes, config.class_weights, config.metric),
        chooses_by_score=config.metric is not None,
        windows=windows,
    )
    steps = run_steps(config, "sequences", dataset.steps_per_epoch)
    resolved = replace(
        with_intervals(config, "sequences", steps),
        kind="sequences",
        split=spec.split,
        label=given.label,
        input=spec.columns,
        time=given.time,
        pooling=pooling,
        loss=config.loss or loss.name,
        batch=batch,
        seq=seq,
    )
    return resolved, dataset


def _pooling(config: Config) -> str:
    """The pooling: as given, or the last step.

    It is the mean for a bidirectional model: its backward layer has read one step after the last step.
    """
    pooling = config.pooling or ("mean" if config.bidirectional else "last")
    if config.seq is not None and pooling != STEPWISE:
        raise UsageError(
            f"seq is {config.seq}, and `pooling` is {pooling!r}; sequences with one label are read as a "
            f"whole, so leave it out."
        )
    return pooling


def _read(
    config: Config, data: Any, categories: Mapping[str, tuple[str, ...]], pooling: str
) -> LabelledSequences:
    if data is None and len(config.data) != 1:
        raise UsageError(f"data are {len(config.data)} sources; expected one file. Join the files first.")
    roles = SequenceRoles(
        config.label,
        config.input,
        config.series,
        config.time,
        config.group,
        config.weight,
        known_categories=categories,
        per_step=pooling == STEPWISE,
    )
    return read_sequences(config.data[0] if data is None else data, roles, config.missing)


def _with_class_weights(loss: Loss, config: Config, spec: SequenceSpec, labels: Array) -> Loss:
    """The loss with the given weights of the classes, or weights that balance those of the training part."""
    given = config.class_weights
    if not spec.classes:
        raise UsageError(f"class_weights is {given!r}, and the labels are numbers; leave it out.")
    if not isinstance(given, Mapping):
        return loss.with_options(class_weights=balanced_weights(labels, len(spec.classes)))
    for name in given:
        if name not in spec.classes:
            known = ", ".join(map(repr, spec.classes[:20]))
            raise UsageError(
                f"class_weights has the class {name!r}; expected some of {known}."
                f"{did_you_mean(name, spec.classes)}"
            )
    return loss.with_options(class_weights=[given.get(name, 1.0) for name in spec.classes])


def _targets(codes: Array, has_label: Array, spec: SequenceSpec, dtype: str) -> Array:
    """Classes `(n,)`, or numbers in the units of the model `(n, 1)`; 0 for a missing label."""
    present = np.where(has_label, codes, 0)
    if spec.classes:
        return present
    return ((present - spec.label_mean) / spec.label_scale)[:, None].astype(dtype)


def _weights(given: LabelledSequences, has_label: Array) -> Array:
    """The weight of each sequence or step in the loss, 0 without a label."""
    weights = np.ones(len(given)) if given.weights is None else given.weights
    if len(weights) != len(has_label):
        weights = np.repeat(weights, given.lengths)
    return np.where(has_label, weights, 0.0)


def _loss(config: Config, given: LabelledSequences) -> Loss:
    """The loss: as given, or cross-entropy for classes and the squared error for numbers."""
    assert given.labels is not None
    default = DEFAULT_CLASS_LOSS if _are_classes(given.labels) else "squared_error"
    loss = named_loss(config.loss or default, config.loss_options)
    if loss.target == "probability" or quantile_levels(loss):
        raise UsageError(
            f"loss is {loss.name!r}, which does not fit labels of sequences; choose 'cross_entropy', "
            f"'squared_error', 'absolute_error', 'huber' or 'quantile'."
        )
    if loss.target == "value":
        check_any_target(loss, "numeric labels")
    if loss.target == "value" and given.labels.kind != "number":
        raise UsageError(
            f"loss is {loss.name!r}, a loss of numbers, but a label is "
            f"{given.labels.text(int(given.labels.missing().argmin()))!r}; choose "
            f"'cross_entropy'."
        )
    return loss


def _are_classes(labels: DataColumn) -> bool:
    """Whether labels are classes: texts, or few different whole numbers."""
    if labels.kind != "number":
        return True
    different = np.unique(labels.values[~labels.missing()])
    return len(different) <= MAX_CLASSES_OF_NUMBERS and bool((different == np.round(different)).all())


def _classes(labels: DataColumn) -> tuple[str, ...]:
    """The classes in order: of numbers, or of the alphabet."""
    column = labels.as_category()
    if labels.kind == "number":
        return column.categories
    return tuple(sorted(column.categories[code] for code in np.unique(column.values[column.values >= 0])))


def _columns(given: LabelledSequences) -> tuple[str, ...]:
    """The columns of the channels: a column of texts has several channels."""
    source = {f"{name}={text}": name for name, texts in given.categories.items() for text in texts}
    return tuple(dict.fromkeys(source.get(channel, channel) for channel in given.channels))


def _unscaled_spec(given: LabelledSequences, config: Config, loss: Loss, pooling: str) -> SequenceSpec:
    """The inputs and outputs, without units."""
    assert given.labels is not None  # `read_sequences` checks it
    masked = tuple(given.channels[number] for number in np.flatnonzero(given.has_missing))
    ones = (1.0,) * len(given.channels)
    return SequenceSpec(
        label=given.label,
        classes=_classes(given.labels) if loss.target == "class" else (),
        series=config.series,
        time=given.time,
        columns=config.input or _columns(given),
        channels=given.channels,
        categories=given.categories,
        masked=masked,
        missing=config.missing,
        pooling=pooling,
        mean=ones,
        scale=ones,
        label_mean=0.0,
        label_scale=1.0,
        split=config.split or _DEFAULTS.split,
        seed=config.seed if config.split_seed is None else config.split_seed,
        group=config.group,
        time_unit=given.time_unit,
        channel_count=given.channel_count,
        time_kind=given.time_kind,
    )
