"""``LabelledDataset``: train on whole sequences with one label each, split by sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base import Cell
from zoo.base.loss import Loss
from zoo.classification.evaluation import (
    balanced_weights,
    evaluation_batches,
    last_part,
    pooled,
    score_model,
    split_sequences,
    step_weights,
)
from zoo.classification.predictor import main_score
from zoo.classification.spec import ScaledSequences, SequenceSpec, class_texts
from zoo.data import parse_split
from zoo.data.column_notes import sentinel_notes
from zoo.data.growing_array import allocate, sequence_chunks
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.panel import step_text
from zoo.data.sequence_reader import SequenceRoles, read_sequences
from zoo.data.table import DataColumn
from zoo.data.time_kind import uneven_share
from zoo.errors import DataError, UsageError
from zoo.field_repr import one_line_repr
from zoo.forecasting.spec import quantile_levels
from zoo.forecasting.target_losses import named_loss
from zoo.model import AnyModel, SequenceModel
from zoo.training.array_dataset import epoch_order
from zoo.training.config import DEFAULT_CLASS_LOSS, Config
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult
from zoo.training.defaults import KIND_DEFAULTS, run_steps, with_intervals

_DEFAULTS = KIND_DEFAULTS["sequences"]

MAX_CLASSES_OF_NUMBERS = 20
"""Labels with more different numbers are numbers and not classes, unless the loss is of classes."""


@one_line_repr
@dataclass(frozen=True, eq=False)
class LabelledDataset:
    """Sequences with labels for training, validation and test. A sequence lies in one part.

    Attributes:
        given: The sequences.
        scaled: The same, in the units of the model.
        targets: The class of each sequence, `(N,)`, or its scaled label, `(N, 1)`.
        parts: Numbers of the sequences of each part.
        loss: The loss.
        batch_size: Sequences of a batch; the last batch of an epoch may have fewer.
        seed: Seed of the order of sequences.
        main: The score that is compared with the baselines.
    """

    given: LabelledSequences
    scaled: ScaledSequences
    targets: Array
    parts: dict[str, Array]
    loss: Loss
    batch_size: int
    seed: int
    main: str
    kind: ClassVar[str] = "sequences"

    @property
    def name(self) -> str:
        """The name of the file, without its ending."""
        return self.given.name.partition(".")[0]

    @property
    def eval_split_name(self) -> str:
        """``"validation"``, or ``"training"`` without a validation part."""
        return "validation" if len(self.parts["valid"]) else "training"

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.parts["train"]) // self.batch_size)

    def metadata(self) -> dict[str, Any]:
        """The sequences with their digest, their lengths and labels, and the units of their channels."""
        return dict(self._metadata)

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        spec, lengths = self.scaled.spec, self.given.lengths
        counts = np.bincount(self.targets).tolist() if spec.classes else None
        return {
            "name": self.given.name,
            "sha256": self.given.sha256,
            "sequences": len(self.given),
            "largest_dt": None if self.scaled.dt is None else float(self.scaled.dt.max()),
            "lengths": [int(lengths.min()), int(np.median(lengths)), int(lengths.max())],
            "classes": None if counts is None else dict(zip(spec.classes, counts, strict=True)),
            "parts": [len(numbers) for numbers in self.parts.values()],
            "groups": self._group_counts(),
            "step": step_text(self.given.time_unit, self.given.time_kind == "date"),
            "uneven": 0.0 if self.given.dt is None else round(uneven_share(self.given.dt), 4),
            "left_out": list(self.given.left_out),
            "column_notes": list(sentinel_notes(self.given.channels, self.given.values)),
            "inputs": spec.input_size,
            "spec": spec.to_json(),
        }

    def _group_counts(self) -> list[int] | None:
        groups = self.given.groups
        return None if groups is None else [len(np.unique(groups.values[n])) for n in self.parts.values()]

    def make_model(self, cell: Cell | list[Cell], config: Config) -> SequenceModel:
        """A sequence model of the sizes of the sequences."""
        spec = self.scaled.spec
        return SequenceModel(
            cell,
            spec.input_size,
            spec.output_size,
            loss=self.loss,
            categories=spec.category_inputs(config.embedding, self.given.name),
            **config.model_arguments(),
        )

    def loss_and_grad(
        self,
        model: AnyModel,
        step: int,
        carried_states: State | None,  # noqa: ARG002 - the protocol's signature
        noise: NoiseKey,
    ) -> TrainStepResult:
        """Loss and gradient on the batch of a step; every epoch has another order."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order = self.parts["train"][epoch_order(len(self.parts["train"]), self.seed, epoch)]
        numbers = order[index * self.batch_size : (index + 1) * self.batch_size]
        loss, _ = model.loss_and_grad(**self._arguments(model, numbers), noise=noise)
        return TrainStepResult(loss, {}, int(self.given.lengths[numbers].sum()))

    def _arguments(self, model: AnyModel, numbers: Array) -> dict[str, Any]:
        """Arguments of ``model.loss_and_grad`` for some sequences."""
        arguments = self.scaled.batch(numbers, tuple(model.stack.inputs))
        weights = step_weights(self.given.lengths[numbers], self.scaled.spec.pooling)
        if self.given.weights is not None:
            weights = weights * self.given.weights[numbers]
        targets = np.broadcast_to(self.targets[numbers], (len(weights), *self.targets[numbers].shape))
        return {**arguments, "targets": targets, "weights": weights}

    def evaluate(self, model: AnyModel) -> EvalResult:
        """Loss and main score on the validation part, or else the training part."""
        numbers = self.parts["valid"]
        return self._evaluate(model, numbers if len(numbers) else self.parts["train"])

    def _evaluate(self, model: AnyModel, numbers: Array) -> EvalResult:
        spec, class_weights = self.scaled.spec, self.loss.class_weights
        losses, weights, scores, evaluated = 0.0, 0.0, list[Array](), list[Array]()
        for rows in evaluation_batches(self.scaled.offsets, numbers):
            loss, outputs, _ = model.evaluate_batch(**self._arguments(model, rows))
            each = np.ones(len(rows)) if self.given.weights is None else self.given.weights[rows]
            if class_weights is not None:
                each = each * np.array(class_weights)[self.targets[rows]]
            of_batch = sum(each.tolist())
            losses, weights = losses + loss * of_batch, weights + of_batch
            predicted = pooled(outputs, self.given.lengths[rows], spec)
            if spec.classes:
                scores.append(predicted.argmax(axis=1) == self.targets[rows])
            else:
                scores.append(np.abs(predicted - self.targets[rows])[:, 0] * spec.label_scale)
            evaluated.append(rows)
        each_score, codes = np.concatenate(scores), self.targets[np.concatenate(evaluated)]
        if self.main == "balanced_accuracy":  # the mean of the classes that occur
            each_score = np.array([each_score[codes == code].mean() for code in np.unique(codes)])
        metrics = {"score": float(each_score.mean()), "metric": self.main, "solved": False}
        return EvalResult(losses / weights, metrics)

    def probe(self) -> ProbeBatch:
        """The last steps of some validation sequences, all with the length of the shortest."""
        numbers = self.parts["valid"] if len(self.parts["valid"]) else self.parts["train"]
        numbers = numbers[: self.batch_size]
        ends, steps = self.scaled.offsets[numbers + 1], int(self.given.lengths[numbers].min())
        rows = np.arange(-steps, 0)[:, None] + ends
        return ProbeBatch(self.scaled.values[rows], self.targets[numbers])

    def compile_kernels(self, model: AnyModel) -> None:
        """Evaluate one sequence."""
        self._evaluate(model, self.parts["train"][:1])

    def uniform_loss(self, model: AnyModel) -> float | None:
        """The loss of equal probabilities for all classes; None if labels are numbers."""
        return math.log(model.output_size) if self.scaled.spec.classes else None

    def sample(self, model: AnyModel, length: int, seed: int) -> None:
        """None: sequences of numbers have no symbols."""

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """The number of epochs."""
        return {"epoch": round(step / self.steps_per_epoch, 3)}

    def memoryless_loss(self) -> float | None:
        """Unknown."""
        return None

    def final_entries(self, load_best: Callable[[], AnyModel]) -> Mapping[str, Any]:
        """The scores of the best model and of the baselines on the last part that is not empty.

        Args:
            load_best: Loads the best model.
        """
        part = last_part(self.parts)
        return {"test": score_model(load_best(), self.given, self.scaled, self.parts, part, self.main)}


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
    )
    given = read_sequences(config.data[0] if data is None else data, roles, config.missing)
    assert given.labels is not None  # `read_sequences` checks it
    loss = _loss(config, given)
    has_classes = loss.target == "class"
    classes = _classes(given) if has_classes else ()
    split, pooling = config.split or _DEFAULTS.split, config.pooling or _default_pooling(config)
    columns = config.input or _columns(given)
    unscaled = _unscaled_spec(given, config, columns, classes, split, pooling)
    codes = unscaled.codes(given)
    parts = split_sequences(codes, split, unscaled.seed, has_classes, given.groups)
    if given.groups is not None:
        _check_groups(given, parts, split)
    if has_classes:
        _check_classes(given, codes, classes, split, parts["train"])
    elif len(parts["train"]) < 2 or codes[parts["train"]].std() == 0:
        raise DataError(
            f"{given.name}: all labels of the training part ({counted(len(parts['train']), 'sequence')}) are "
            f"equal; there is nothing to learn. Give more sequences."
        )
    unscaled.category_inputs(config.embedding, given.name)  # raises an error without a category
    spec = _scaled_spec(unscaled, given, codes, parts["train"], config.embedding is not None)
    if config.class_weights is not None:
        if not has_classes:
            raise UsageError(
                f"class_weights is {config.class_weights!r}, and the labels are numbers; leave it out."
            )
        loss = loss.with_options(class_weights=balanced_weights(codes[parts["train"]], len(classes)))
    scaled = ScaledSequences.make(given, spec, config.dtype)
    targets = (
        codes if has_classes else ((codes - spec.label_mean) / spec.label_scale)[:, None].astype(config.dtype)
    )
    batch = config.batch or _DEFAULTS.batch
    main = main_score(classes, config.class_weights)
    batch_size = min(batch, len(parts["train"]))
    dataset = LabelledDataset(given, scaled, targets, parts, loss, batch_size, config.seed, main)
    steps = run_steps(config, "sequences", dataset.steps_per_epoch)
    resolved = replace(
        with_intervals(config, "sequences", steps),
        kind="sequences",
        split=split,
        label=given.label,
        input=columns,
        time=given.time,
        pooling=pooling,
        loss=config.loss or loss.name,
        batch=batch,
    )
    return resolved, dataset


def _default_pooling(config: Config) -> str:
    """The mean for a bidirectional model, whose backward layer has read one step after the last step."""
    return "mean" if config.bidirectional else "last"


def _loss(config: Config, given: LabelledSequences) -> Loss:
    """The loss: as given, or cross-entropy for classes and the squared error for numbers."""
    assert given.labels is not None
    default = DEFAULT_CLASS_LOSS if _are_classes(given.labels) else "squared_error"
    loss = named_loss(config.loss or default, config.loss_options)
    if loss.target == "probability" or quantile_levels(loss):
        raise UsageError(
            f"loss is {loss.name!r}, which does not fit one label for each sequence; choose 'cross_entropy', "
            f"'squared_error', 'absolute_error', 'huber' or 'quantile'."
        )
    if loss.target == "value" and given.labels.kind != "number":
        raise UsageError(
            f"loss is {loss.name!r}, a loss of numbers, but a label is {given.labels.text(0)!r}; choose "
            f"'cross_entropy'."
        )
    return loss


def _are_classes(labels: DataColumn) -> bool:
    """Whether labels are classes: texts, or few different whole numbers."""
    if labels.kind != "number":
        return True
    different = np.unique(labels.values)
    return len(different) <= MAX_CLASSES_OF_NUMBERS and bool((different == np.round(different)).all())


def _classes(given: LabelledSequences) -> tuple[str, ...]:
    """The classes in order: of numbers, or of the alphabet."""
    assert given.labels is not None
    if given.labels.kind == "number":
        return given.labels.as_category().categories
    return tuple(sorted(set(class_texts(given.labels))))


def _check_groups(given: LabelledSequences, parts: dict[str, Array], split: str) -> None:
    """Raise an error for fewer groups than parts."""
    for name, share in zip(parts, parse_split(split), strict=True):
        if share and not len(parts[name]):
            assert given.groups is not None  # the caller checks it
            count = len(np.unique(given.groups.values))
            raise DataError(
                f"{given.name} has {counted(count, 'group')}, fewer than the parts of the split {split!r}; "
                f"give more groups, or a split with fewer parts."
            )


def _check_classes(
    given: LabelledSequences, codes: Array, classes: tuple[str, ...], split: str, train: Array
) -> None:
    """Raise an error for one class, and for a class without a training sequence or with one sequence."""
    if len(classes) < 2:
        raise DataError(
            f"{given.name}: all {len(given):,} sequences have the label {classes[0]!r}; expected two classes "
            f"or more."
        )
    counts = np.bincount(codes, minlength=len(classes))
    in_training = np.bincount(codes[train], minlength=len(classes))
    if given.groups is not None and not in_training.all():
        name = classes[int(in_training.argmin())]
        raise DataError(
            f"{given.name}: no group of the training part has class {name!r}; set another `split_seed`, "
            f"which divides the groups, or give more groups."
        )
    if given.groups is None and parse_split(split)[0] < 1 and counts.min() < 2:
        name = classes[int(counts.argmin())]
        others = f" ({int((counts < 2).sum())} classes have one)" if (counts < 2).sum() > 1 else ""
        of_numbers = (
            " For labels that are numbers and not classes, give `loss='squared_error'`."
            if given.labels is not None and given.labels.kind == "number"
            else ""
        )
        raise DataError(
            f"{given.name}: class {name!r} has one sequence{others}; expected two or more, to train and to "
            f"test. Give more sequences, or leave the class out.{of_numbers}"
        )


def _columns(given: LabelledSequences) -> tuple[str, ...]:
    """The columns of the channels: a column of texts has several channels."""
    source = {f"{name}={text}": name for name, texts in given.categories.items() for text in texts}
    return tuple(dict.fromkeys(source.get(channel, channel) for channel in given.channels))


def _unscaled_spec(
    given: LabelledSequences,
    config: Config,
    columns: tuple[str, ...],
    classes: tuple[str, ...],
    split: str,
    pooling: str,
) -> SequenceSpec:
    masked = tuple(given.channels[number] for number in np.flatnonzero(given.has_missing))
    ones = (1.0,) * len(given.channels)
    return SequenceSpec(
        label=given.label,
        classes=classes,
        series=config.series,
        time=given.time,
        columns=columns,
        channels=given.channels,
        categories=given.categories,
        masked=masked,
        missing=config.missing,
        pooling=pooling,
        mean=ones,
        scale=ones,
        label_mean=0.0,
        label_scale=1.0,
        split=split,
        seed=config.seed if config.split_seed is None else config.split_seed,
        group=config.group,
        time_unit=given.time_unit,
        channel_count=given.channel_count,
        time_kind=given.time_kind,
    )


def _sum_of_steps(given: LabelledSequences, is_chosen: Array, function: Callable[[Array], Array]) -> Array:
    """The sum of a function of the values of some sequences, `(I,)`; NaN counts as zero.

    A sum of chunks would round differently with one channel.
    """
    lengths, width = given.lengths, given.values.shape[1]
    terms, end = allocate((int(lengths[is_chosen].sum()), width), np.float64), 0
    for chunk in sequence_chunks(given.offsets, width):
        rows = slice(given.offsets[chunk.start], given.offsets[chunk.stop])
        part = function(given.values[rows][np.repeat(is_chosen[chunk], lengths[chunk])])
        terms[end : end + len(part)] = np.where(np.isnan(part), 0.0, part)
        end += len(part)
    return np.asarray(terms.sum(axis=0))


def _scaled_spec(
    spec: SequenceSpec, given: LabelledSequences, codes: Array, train: Array, is_embedded: bool
) -> SequenceSpec:
    """The spec with the units of the training part; codes of an embedding stay 0 and 1."""
    is_train = np.zeros(len(given), bool)
    is_train[train] = True
    counts = np.maximum(_sum_of_steps(given, is_train, lambda values: ~np.isnan(values)), 1)
    mean = _sum_of_steps(given, is_train, lambda values: values) / counts
    scale = np.sqrt(_sum_of_steps(given, is_train, lambda values: (values - mean) ** 2) / counts)
    if not (scale > 1e-12 * (np.abs(mean) + 1)).any():
        raise DataError(
            f"{given.name}: all channels are constant in the training part; there is nothing to learn."
        )
    scale = np.where(scale > 1e-12 * (np.abs(mean) + 1), scale, 1.0)
    if is_embedded:
        is_code = np.isin(
            spec.channels, [f"{name}={text}" for name in spec.categories for text in spec.categories[name]]
        )
        mean, scale = np.where(is_code, 0.0, mean), np.where(is_code, 1.0, scale)
    units: dict[str, Any] = {"mean": tuple(mean.tolist()), "scale": tuple(scale.tolist())}
    if not spec.classes:
        labels = codes[train]
        units |= {"label_mean": float(labels.mean()), "label_scale": float(labels.std())}
    return replace(spec, **units)
