"""``LabelledDataset``: train on sequences with one label each or at each step, split by sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from zoo.array_types import Array
from zoo.base import Cell
from zoo.base.loss import Loss
from zoo.base.metric import higher_is_better
from zoo.classification.evaluation import evaluation_batches, pooled, score_model, step_weights
from zoo.classification.metrics import metric_value
from zoo.classification.scaling import ScaledSequences, channel_units, window_rows
from zoo.classification.sequence_parts import SequenceParts
from zoo.data.column_notes import increasing_note, sentinel_notes
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.panel import step_text
from zoo.data.time_kind import uneven_share
from zoo.field_repr import one_line_repr
from zoo.layers.time_chunks import sort_by_length
from zoo.model import AnyModel, SequenceModel
from zoo.training.array_dataset import epoch_order
from zoo.training.config import Config
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult
from zoo.training.sequence_windows import SequenceWindows

_MAX_PROBE_STEPS = 1000
"""Steps of the sequences of diagnostics, which store the gates of each step."""


@one_line_repr
@dataclass(frozen=True, eq=False)
class LabelledDataset:
    """Sequences with labels for training, validation and test.

    Attributes:
        given: The sequences.
        scaled: The same, in the units of the model.
        targets: The class of each sequence, `(n,)`, or its scaled label, `(n, 1)`; if each step has a label,
            of each step. A missing label is 0.
        weights: The weight of each of them in the loss, `(n,)`, 0 for a missing label.
        parts: The sequences of each part.
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
    parts: SequenceParts
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
        return "validation" if len(self.parts.valid) else "training"

    @property
    def steps_per_epoch(self) -> int:
        """Training steps of the first epoch, see :attr:`SequenceWindows.steps_per_epoch`."""
        if self.windows is not None:
            return self.windows.steps_per_epoch
        return -(-len(self.parts.train) // self.batch_size)

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
            "parts": self.parts.sizes,
            "steps": self._step_counts(),
            "groups": self._group_counts(),
            "step": step_text(self.given.time_unit, self.given.time_kind == "date"),
            "uneven": 0.0 if self.given.dt is None else round(uneven_share(self.given.dt), 4),
            "left_out": list(self.given.left_out),
            "constant": self._constant_channels,
            "column_notes": self._column_notes,
            "inputs": spec.input_size,
            "spec": spec.to_json(),
        }

    # Each checkpoint has the description, and these two read all values.
    @cached_property
    def _constant_channels(self) -> list[str]:
        """Channels without information: all their values in the training part are equal or missing."""
        spec = self.scaled.spec
        numbers = np.flatnonzero(np.array(spec.scale) == 1.0)  # also of the codes of categories
        if not len(numbers):
            return []
        _, _, varies = channel_units(self.given.values[:, numbers], self.parts)
        return [spec.channels[number] for number in numbers[~varies]]

    @cached_property
    def _column_notes(self) -> list[str]:
        """Sentences about columns that probably mean something else, and about classes that a part lacks."""
        given = self.given
        notes = [] if given.groups is None else [*self._absent_classes()]
        notes += sentinel_notes(given.channels, given.values)
        if self.parts.is_cut and given.time is None:  # in several sequences a number of the row begins anew
            for name, values in zip(given.channels, given.values.T, strict=True):
                notes += increasing_note(name, values, given.offsets)
        return notes

    def _absent_classes(self) -> Iterator[str]:
        """A sentence for each part that lacks classes, since groups are divided whatever their classes."""
        spec = self.scaled.spec
        for part, name in (("valid", "validation"), ("test", "test")):
            items = self.scaled.items(self.parts.numbers(part))
            labels = self.targets[items[self.weights[items] > 0]]
            if not spec.classes or not len(labels):
                continue
            counts = np.bincount(labels, minlength=len(spec.classes))
            absent = [repr(spec.classes[code]) for code in np.flatnonzero(counts == 0)]
            if absent:
                noun, owner = ("class", "its") if len(absent) == 1 else ("classes", "their")
                yield (
                    f"no group of the {name} part has the {noun} {', '.join(absent)}, so scores of this part "
                    f"do not include {owner} recall; give another `split_seed`, or more groups."
                )

    def _group_counts(self) -> list[int] | None:
        groups = self.given.groups
        if groups is None:
            return None
        return [len(np.unique(groups.values[numbers])) for numbers in self.parts.by_name().values()]

    def _step_counts(self) -> dict[str, Any] | None:
        """The steps of the parts, and the steps with labels; None if whole sequences have labels."""
        if not self.scaled.spec.is_stepwise:
            return None
        lengths = self.scaled.lengths
        return {
            "parts": [int(lengths[numbers].sum()) for numbers in self.parts.by_name().values()],
            "labelled": int((self.weights > 0).sum()),
            "is_cut": self.parts.is_cut,
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
        order = self.parts.train[epoch_order(len(self.parts.train), self.seed, epoch)]
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

        Batches without a label only pass on their states. A bidirectional model reads each window on its own,
        since its reverse layers begin at the end.
        """
        numbers, states, tokens = windows.step_batches(step), dict(carried_states or {}), 0
        final: State
        for number in numbers:
            starts, sizes, continues = windows.batch(number)
            state = self._initial_states(model, states, continues) if states and continues.any() else None
            arguments, key = self._window_arguments(model, starts, sizes), (noise[0], number)
            if number < numbers[-1]:  # without a label
                arguments["weights"] = step_weights(sizes, "last")
                loss, final = model.loss(**arguments, state=state, noise=key)
            else:
                loss, final = self._carried_loss_and_grad(model, arguments, state, continues, key)
            states = self._all_rows(model, final, arguments.get("lengths")) if windows.carries else {}
            tokens += int(sizes.sum())
        return TrainStepResult(loss, states, tokens)

    def _initial_states(self, model: AnyModel, carried: State, continues: Array) -> State:
        """The carried states of rows that continue a sequence, and the initial states of the others."""
        initial = model.stack.initial_states(None, model.params, len(continues), model.dtype, model.kind)
        return {
            name: np.where(continues.reshape(-1, *[1] * (value.ndim - 1)), carried[name], value)
            for name, value in initial.items()
        }

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
        return self._evaluate(model, self.parts.numbers(self.parts.validated))

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
        lower_is_better = -value if higher_is_better(self.main) else value
        return EvalResult(
            losses / total, metrics, criterion=lower_is_better if self.chooses_by_score else None
        )

    def probe(self) -> ProbeBatch:
        """The last steps of some validation sequences, all with the length of the shortest."""
        numbers = self.parts.numbers(self.parts.validated)[: self.batch_size]
        ends, steps = self.scaled.offsets[numbers + 1], int(self.scaled.lengths[numbers].min())
        last = numbers
        if self.scaled.spec.is_stepwise:
            last, steps = ends - 1, min(steps, _MAX_PROBE_STEPS)
        rows = np.arange(-steps, 0)[:, None] + ends
        return ProbeBatch(self.scaled.values[rows], self.targets[last])

    def compile_kernels(self, model: AnyModel) -> None:
        """Evaluate one sequence, or one window."""
        if self.windows is None:
            self._evaluate(model, self.parts.train[:1])
            return
        starts, sizes, _ = self.windows.batch(0)
        arguments = self._window_arguments(model, starts[:1], sizes[:1])
        arguments["weights"] = np.ones_like(arguments["weights"])
        model.evaluate_batch(**arguments)
        if self.windows.reads_unlabelled:
            model.loss(**arguments)

    def uniform_loss(self, model: AnyModel) -> float | None:
        """The loss of equal probabilities for all classes; None if labels are numbers."""
        return math.log(model.output_size) if self.scaled.spec.classes else None

    def sample(self, model: AnyModel, length: int, seed: int) -> None:
        """None: sequences of numbers have no symbols."""

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """The number of epochs, each with the training steps of the first one."""
        return {"epoch": round(step / self.steps_per_epoch, 3)}

    def memoryless_loss(self) -> float | None:
        """Unknown."""
        return None

    def final_entries(self, load_best: Callable[[], AnyModel]) -> Mapping[str, Any]:
        """The scores of the best model and of the baselines on the last part that is not empty.

        Args:
            load_best: Loads the best model.
        """
        parts = self.parts
        return {"test": score_model(load_best(), self.given, self.scaled, parts, parts.last, self.main)}
