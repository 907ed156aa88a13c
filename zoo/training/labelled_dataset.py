"""``LabelledDataset``: train on sequences with one label each or at each step, split by sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
    divide,
    evaluation_batches,
    last_part,
    pooled,
    score_model,
    step_weights,
)
from zoo.classification.metrics import (
    CLASS_METRICS,
    HIGHER_IS_BETTER,
    NUMBER_METRICS,
    metric_value,
)
from zoo.classification.predictor import main_score
from zoo.classification.spec import ScaledSequences, SequenceSpec, window_rows
from zoo.data import parse_split
from zoo.data.column_notes import increasing_note, sentinel_notes
from zoo.data.growing_array import allocate, sequence_chunks
from zoo.data.labelled_sequences import STEPWISE, LabelledSequences
from zoo.data.panel import step_text
from zoo.data.sequence_reader import SequenceRoles, read_sequences
from zoo.data.table import DataColumn
from zoo.data.time_kind import uneven_share
from zoo.errors import DataError, UsageError
from zoo.field_repr import one_line_repr
from zoo.forecasting.spec import quantile_levels
from zoo.forecasting.target_losses import named_loss
from zoo.layers.time_chunks import sort_by_length
from zoo.model import AnyModel, SequenceModel
from zoo.training.array_dataset import epoch_order
from zoo.training.config import DEFAULT_CLASS_LOSS, Config
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult
from zoo.training.defaults import KIND_DEFAULTS, STEPWISE_SEQ, run_steps, with_intervals
from zoo.training.sequence_windows import SequenceWindows

_DEFAULTS = KIND_DEFAULTS["sequences"]

_MAX_PROBE_STEPS = 1000
"""Steps of the sequences of diagnostics, which store the gates of each step."""

MAX_CLASSES_OF_NUMBERS = 20
"""Labels with more different numbers are numbers and not classes, unless the loss is of classes."""


@one_line_repr
@dataclass(frozen=True, eq=False)
class LabelledDataset:
    """Sequences with labels for training, validation and test. A sequence lies in one part.

    Attributes:
        given: The sequences.
        scaled: The same, in the units of the model.
        targets: The class of each sequence, `(n,)`, or its scaled label, `(n, 1)`; if each step has a label,
            of each step. A missing label is 0.
        weights: The weight of each of them in the loss, `(n,)`, 0 for a missing label.
        parts: Numbers of the sequences of each part.
        loss: The loss.
        batch_size: Sequences of a batch; the last batch of an epoch may have fewer. Of windows, the streams.
        seed: Seed of the order of sequences.
        main: The score that is compared with the baselines.
        chooses_by_score: Whether the model with the best such score is the best, and not the one with the
            lowest loss.
        windows: The windows of training; None if whole sequences are read.
    """

    given: LabelledSequences
    scaled: ScaledSequences
    targets: Array
    weights: Array
    parts: dict[str, Array]
    loss: Loss
    batch_size: int
    seed: int
    main: str
    chooses_by_score: bool = False
    windows: SequenceWindows | None = None
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
        if self.windows is not None:
            return self.windows.updates
        return -(-len(self.parts["train"]) // self.batch_size)

    def metadata(self) -> dict[str, Any]:
        """The sequences with their digest, their lengths and labels, and the units of their channels."""
        return dict(self._metadata)

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        spec, lengths = self.scaled.spec, self.given.lengths
        labels = self.targets[self.weights > 0]
        counts = np.bincount(labels, minlength=len(spec.classes)).tolist() if spec.classes else None
        return {
            "name": self.given.name,
            "sha256": self.given.sha256,
            "sequences": len(self.given),
            "largest_dt": None if self.scaled.dt is None else float(self.scaled.dt.max()),
            "lengths": [int(lengths.min()), int(np.median(lengths)), int(lengths.max())],
            "classes": None if counts is None else dict(zip(spec.classes, counts, strict=True)),
            "parts": [len(numbers) for numbers in self.parts.values()],
            "steps": self._step_counts(),
            "groups": self._group_counts(),
            "step": step_text(self.given.time_unit, self.given.time_kind == "date"),
            "uneven": 0.0 if self.given.dt is None else round(uneven_share(self.given.dt), 4),
            "left_out": list(self.given.left_out),
            "column_notes": list(self._column_notes()),
            "inputs": spec.input_size,
            "spec": spec.to_json(),
        }

    def _column_notes(self) -> Iterator[str]:
        """Sentences about columns that probably mean something else."""
        given = self.given
        yield from sentinel_notes(given.channels, given.values)
        if self._is_cut and given.time is None:  # in several sequences a number of the row begins anew
            for name, values in zip(given.channels, given.values.T, strict=True):
                yield from increasing_note(name, values, given.offsets)

    @property
    def _is_cut(self) -> bool:
        """Whether a single sequence is cut by time."""
        return self.scaled.spec.is_stepwise and len(self.given) == 1

    def _group_counts(self) -> list[int] | None:
        groups = self.given.groups
        return None if groups is None else [len(np.unique(groups.values[n])) for n in self.parts.values()]

    def _step_counts(self) -> dict[str, Any] | None:
        """The steps of the parts, and the steps with labels; None if whole sequences have labels."""
        if not self.scaled.spec.is_stepwise:
            return None
        lengths = self.scaled.lengths
        return {
            "parts": [int(lengths[numbers].sum()) for numbers in self.parts.values()],
            "labelled": int((self.weights > 0).sum()),
            "is_cut": self._is_cut,
            "streams": self.batch_size,
        }

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
        self, model: AnyModel, step: int, carried_states: State | None, noise: NoiseKey
    ) -> TrainStepResult:
        """Loss and gradient on the batch of a step; every epoch has another order."""
        if self.windows is not None:
            return self._window_loss_and_grad(self.windows, model, step, carried_states, noise)
        epoch, index = divmod(step, self.steps_per_epoch)
        order = self.parts["train"][epoch_order(len(self.parts["train"]), self.seed, epoch)]
        numbers = order[index * self.batch_size : (index + 1) * self.batch_size]
        loss, _ = model.loss_and_grad(**self._arguments(model, numbers), noise=noise)
        return TrainStepResult(loss, {}, int(self.given.lengths[numbers].sum()))

    def _window_loss_and_grad(
        self,
        windows: SequenceWindows,
        model: AnyModel,
        step: int,
        carried_states: State | None,
        noise: NoiseKey,
    ) -> TrainStepResult:
        """Truncated BPTT: states are carried from one window of a sequence to the next, without a gradient.

        A bidirectional model reads each window on its own, since its reverse layers begin at the end.
        """
        starts, sizes, continues = windows.batch(step)
        is_carried = windows.may_continue and not model.config.bidirectional
        state = None
        if is_carried and carried_states is not None and continues.any():
            initial = model.stack.initial_states(None, model.params, len(sizes), model.dtype, model.kind)
            state = {
                name: np.where(continues.reshape(-1, *[1] * (value.ndim - 1)), carried_states[name], value)
                for name, value in initial.items()
            }
        arguments = self._window_arguments(model, starts, sizes)
        has_label = bool(arguments["weights"].any())
        if not has_label:  # the states after the window are needed all the same
            arguments["weights"] = np.ones_like(arguments["weights"])
        loss, final = self._carried_loss_and_grad(model, arguments, state, continues, noise)
        if not has_label:
            loss, model.grad[:] = 0.0, 0.0
        states = self._all_rows(model, final, arguments.get("lengths")) if is_carried else {}
        return TrainStepResult(loss, states, int(sizes.sum()))

    def _carried_loss_and_grad(
        self,
        model: AnyModel,
        arguments: Mapping[str, Any],
        state: State | None,
        continues: Array,
        noise: NoiseKey,
    ) -> tuple[float, State]:
        """Loss, gradient and final states; learned initial states get the gradient of rows that begin."""
        if state is None or not model.stack.learned or continues.all():
            return model.loss_and_grad(**arguments, state=state, noise=noise)
        loss, final, dinitial = model.loss_and_state_grad(**arguments, state=state, noise=noise)
        dinitial = self._all_rows(model, dinitial, arguments.get("lengths"))
        for parameter, name in model.stack.learned.items():
            model.grads[parameter] += dinitial[name][~continues].sum(axis=0)
        return loss, final

    def _all_rows(self, model: AnyModel, states: State, lengths: Array | None) -> dict[str, Array]:
        """States with the rows of all ranks: with other lengths, another rank may compute the next window."""
        order = None if lengths is None else sort_by_length(lengths)
        gather = model.process_group.all_gather_rows
        return {name: gather(value[None], order)[0] for name, value in states.items()}

    def _window_arguments(self, model: AnyModel, starts: Array, sizes: Array) -> dict[str, Any]:
        """Arguments of ``model.loss_and_grad`` for windows of sequences with a label at each step."""
        is_step, rows = window_rows(starts, sizes)
        inputs = self.scaled.windows(starts, sizes, tuple(model.stack.inputs))
        return {**inputs, "targets": self.targets[rows], "weights": self.weights[rows] * is_step}

    def _arguments(self, model: AnyModel, numbers: Array) -> dict[str, Any]:
        """Arguments of ``model.loss_and_grad`` for some sequences."""
        if self.scaled.spec.is_stepwise:
            return self._window_arguments(model, self.scaled.offsets[numbers], self.scaled.lengths[numbers])
        arguments = self.scaled.batch(numbers, tuple(model.stack.inputs))
        weights = step_weights(self.given.lengths[numbers], self.scaled.spec.pooling) * self.weights[numbers]
        targets = np.broadcast_to(self.targets[numbers], (len(weights), *self.targets[numbers].shape))
        return {**arguments, "targets": targets, "weights": weights}

    def evaluate(self, model: AnyModel) -> EvalResult:
        """Loss and main score on the validation part, or else the training part."""
        numbers = self.parts["valid"]
        return self._evaluate(model, numbers if len(numbers) else self.parts["train"])

    def _evaluate(self, model: AnyModel, numbers: Array) -> EvalResult:
        spec, class_weights = self.scaled.spec, self.loss.class_weights
        losses, total, predictions, evaluated = 0.0, 0.0, list[Array](), list[Array]()
        for rows in evaluation_batches(self.scaled.offsets, numbers):
            items = self.scaled.items(rows)
            each = self.weights[items]
            if not each.any():
                continue
            loss, outputs, _ = model.evaluate_batch(**self._arguments(model, rows))
            if class_weights is not None:
                each = each * np.array(class_weights)[self.targets[items]]
            of_batch = sum(each.tolist())
            losses, total = losses + loss * of_batch, total + of_batch
            has_label = each > 0
            predictions.append(pooled(outputs, self.scaled.lengths[rows], spec)[has_label])
            evaluated.append(items[has_label])
        predicted, actual = np.concatenate(predictions), self.targets[np.concatenate(evaluated)]
        if not spec.classes:
            predicted, actual = (each[:, 0] * spec.label_scale for each in (predicted, actual))
        value = metric_value(self.main, actual, predicted)
        if not math.isfinite(value):  # the AUROC of one class
            return EvalResult(losses / total)
        metrics = {"score": value, "metric": self.main, "solved": False}
        lower_is_better = -value if HIGHER_IS_BETTER[self.main] else value
        return EvalResult(
            losses / total, metrics, criterion=lower_is_better if self.chooses_by_score else None
        )

    def probe(self) -> ProbeBatch:
        """The last steps of some validation sequences, all with the length of the shortest."""
        numbers = self.parts["valid"] if len(self.parts["valid"]) else self.parts["train"]
        numbers = numbers[: self.batch_size]
        ends, steps = self.scaled.offsets[numbers + 1], int(self.scaled.lengths[numbers].min())
        last = numbers
        if self.scaled.spec.is_stepwise:
            last, steps = ends - 1, min(steps, _MAX_PROBE_STEPS)
        rows = np.arange(-steps, 0)[:, None] + ends
        return ProbeBatch(self.scaled.values[rows], self.targets[last])

    def compile_kernels(self, model: AnyModel) -> None:
        """Evaluate one sequence, or one window."""
        if self.windows is None:
            self._evaluate(model, self.parts["train"][:1])
            return
        starts, sizes, _ = self.windows.batch(0)
        arguments = self._window_arguments(model, starts[:1], sizes[:1])
        model.evaluate_batch(**{**arguments, "weights": np.ones_like(arguments["weights"])})

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
    pooling = config.pooling or _default_pooling(config)
    is_stepwise = pooling == STEPWISE
    if config.seq is not None and not is_stepwise:
        raise UsageError(
            f"seq is {config.seq}, and `pooling` is {pooling!r}; sequences with one label are read as a "
            f"whole, so leave it out."
        )
    roles = SequenceRoles(
        config.label,
        config.input,
        config.series,
        config.time,
        config.group,
        config.weight,
        known_categories=categories,
        per_step=is_stepwise,
    )
    given = read_sequences(config.data[0] if data is None else data, roles, config.missing)
    assert given.labels is not None  # `read_sequences` checks it
    if is_stepwise and given.groups is not None and len(given) == 1:
        raise DataError(
            f"{given.name} has one sequence, which is divided by time and not by groups; leave out `group`, "
            f"or give more sequences."
        )
    loss = _loss(config, given)
    has_classes = loss.target == "class"
    classes = _classes(given.labels) if has_classes else ()
    _check_metric(config.metric, classes)
    split = config.split or _DEFAULTS.split
    columns = config.input or _columns(given)
    unscaled = _unscaled_spec(given, config, columns, classes, split, pooling)
    codes = unscaled.codes(given)
    has_label = unscaled.has_label(codes)
    offsets, parts = divide(given, unscaled)
    if given.groups is not None:
        _check_groups(given, parts, split)
    placed = ScaledSequences(unscaled, given.values, offsets, None)
    items = {part: placed.items(numbers) for part, numbers in parts.items()}
    items = {part: each[has_label[each]] for part, each in items.items()}
    if is_stepwise:
        _check_step_parts(given, split, parts, items)
    labels = codes[items["train"]]
    if has_classes:
        if is_stepwise:
            _check_step_classes(given, classes, split, labels)
        else:
            _check_classes(given, codes, classes, split, labels)
    elif len(labels) < 2 or labels.std() == 0:
        unit = "step" if is_stepwise else "sequence"
        raise DataError(
            f"{given.name}: all labels of the training part ({counted(len(labels), unit)}) are "
            f"equal; there is nothing to learn. Give more sequences."
        )
    if config.metric == "auroc":
        _check_auroc(given, codes, items)
    unscaled.category_inputs(config.embedding, given.name)  # raises an error without a category
    spec = _scaled_spec(unscaled, given, offsets, labels, parts["train"], config.embedding is not None)
    if config.class_weights is not None:
        if not has_classes:
            raise UsageError(
                f"class_weights is {config.class_weights!r}, and the labels are numbers; leave it out."
            )
        loss = loss.with_options(class_weights=balanced_weights(labels, len(classes)))
    scaled = ScaledSequences.make(given, spec, config.dtype, offsets)
    present = np.where(has_label, codes, 0)
    targets = (
        present
        if has_classes
        else ((present - spec.label_mean) / spec.label_scale)[:, None].astype(config.dtype)
    )
    batch = config.batch or _DEFAULTS.batch
    windows, seq = None, None
    if is_stepwise:
        seq = config.seq or min(STEPWISE_SEQ, int(scaled.lengths[parts["train"]].max()))
        windows = SequenceWindows(
            offsets,
            parts["train"],
            seq,
            batch,
            config.seed,
            carries=not config.bidirectional,
            has_label=has_label,
        )
    dataset = LabelledDataset(
        given,
        scaled,
        targets,
        _weights(given, has_label),
        parts,
        loss,
        min(batch, len(parts["train"])) if windows is None else windows.streams,
        config.seed,
        main_score(classes, config.class_weights, config.metric),
        chooses_by_score=config.metric is not None,
        windows=windows,
    )
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
        seq=seq,
    )
    return resolved, dataset


def _weights(given: LabelledSequences, has_label: Array) -> Array:
    """The weight of each sequence or step in the loss, 0 without a label."""
    weights = np.ones(len(given)) if given.weights is None else given.weights
    if len(weights) != len(has_label):
        weights = np.repeat(weights, given.lengths)
    return np.where(has_label, weights, 0.0)


def _check_metric(metric: str | None, classes: tuple[str, ...]) -> None:
    """Raise an error for a score that the labels do not have."""
    known = CLASS_METRICS if classes else NUMBER_METRICS
    if metric is None or (metric in known and not (metric == "auroc" and len(classes) > 2)):
        return
    labels = counted(len(classes), "class", "classes") if classes else "numbers"
    names = [name for name in known if name != "auroc" or len(classes) == 2]
    raise UsageError(
        f"metric is {metric!r}, and the labels are {labels}; expected {', '.join(names[:-1])} or {names[-1]}."
    )


def _check_step_parts(
    given: LabelledSequences, split: str, parts: dict[str, Array], items: dict[str, Array]
) -> None:
    """Raise an error for a part without a sequence, or without a label."""
    for part, share in zip(parts, parse_split(split), strict=True):
        if not share or len(items[part]):
            continue
        if len(given) > 1 and not len(parts[part]):  # groups have been checked
            raise DataError(
                f"{given.name} has {len(given)} sequences, fewer than the parts of the split {split!r}; give "
                f"more sequences, or a split with fewer parts."
            )
        raise DataError(
            f"{given.name}: no step of the {_PART_NAMES[part]} part has a label; give another "
            f"`{'split' if len(given) == 1 else 'split_seed'}`, or more labels."
        )


_PART_NAMES = {"train": "training", "valid": "validation", "test": "test"}


def _check_step_classes(given: LabelledSequences, classes: tuple[str, ...], split: str, train: Array) -> None:
    """Raise an error for one class, and for a class that the training part lacks."""
    if len(classes) < 2:
        raise DataError(f"{given.name}: all labels are {classes[0]!r}; expected two classes or more.")
    in_training = np.bincount(train, minlength=len(classes))
    if in_training.all():
        return
    name = classes[int(in_training.argmin())]
    if len(given) == 1:
        share = parse_split(split)[0]
        raise DataError(
            f"{given.name}: class {name!r} does not occur in the training part, which is the first "
            f"{share:.0%} of the only sequence; give several sequences, or a larger share (`split`)."
        )
    raise DataError(
        f"{given.name}: no sequence of the training part has class {name!r}; set another `split_seed`, or "
        f"give more sequences."
    )


def _check_auroc(given: LabelledSequences, codes: Array, items: dict[str, Array]) -> None:
    """Raise an error for one class in the part that chooses the best model: the AUROC needs two."""
    part = "valid" if len(items["valid"]) else "train"
    present = np.unique(codes[items[part]])
    if len(present) == 1:
        remedy = "`split`" if len(given) == 1 else "`split_seed`"
        raise DataError(
            f"{given.name}: the {_PART_NAMES[part]} part has labels of one class, and the metric is 'auroc', "
            f"which compares two classes; give another {remedy}, or another `metric`."
        )


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
            f"loss is {loss.name!r}, which does not fit labels of sequences; choose 'cross_entropy', "
            f"'squared_error', 'absolute_error', 'huber' or 'quantile'."
        )
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
    in_training = np.bincount(train, minlength=len(classes))
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


def _sum_of_steps(
    values: Array, offsets: Array, is_chosen: Array, function: Callable[[Array], Array]
) -> Array:
    """The sum of a function of the values of some sequences, `(I,)`; NaN counts as zero.

    A sum of chunks would round differently with one channel.
    """
    lengths, width = np.diff(offsets), values.shape[1]
    terms, end = allocate((int(lengths[is_chosen].sum()), width), np.float64), 0
    for chunk in sequence_chunks(offsets, width):
        rows = slice(offsets[chunk.start], offsets[chunk.stop])
        part = function(values[rows][np.repeat(is_chosen[chunk], lengths[chunk])])
        terms[end : end + len(part)] = np.where(np.isnan(part), 0.0, part)
        end += len(part)
    return np.asarray(terms.sum(axis=0))


def _scaled_spec(
    spec: SequenceSpec,
    given: LabelledSequences,
    offsets: Array,
    labels: Array,
    train: Array,
    is_embedded: bool,
) -> SequenceSpec:
    """The spec with the units of the training part; codes of an embedding stay 0 and 1."""
    is_train = np.zeros(len(offsets) - 1, bool)
    is_train[train] = True
    steps = given.values, offsets, is_train
    counts = np.maximum(_sum_of_steps(*steps, lambda values: ~np.isnan(values)), 1)
    mean = _sum_of_steps(*steps, lambda values: values) / counts
    scale = np.sqrt(_sum_of_steps(*steps, lambda values: (values - mean) ** 2) / counts)
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
        units |= {"label_mean": float(labels.mean()), "label_scale": float(labels.std())}
    return replace(spec, **units)
