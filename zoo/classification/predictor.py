"""``Predictor``: a trained model with the channels, units and classes of its sequences."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.arguments import as_choice, as_path, counted, short_repr
from zoo.array_types import Array
from zoo.base.data_kinds import PARTS
from zoo.classification.calibration import MIN_SCALE, ClassCalibration, fit_calibration
from zoo.classification.evaluation import known_labels, predict, score_model, score_sequences
from zoo.classification.metrics import CLASS_METRICS, NUMBER_METRICS
from zoo.classification.scaling import ScaledSequences
from zoo.classification.sequence_parts import divide
from zoo.classification.spec import SequenceSpec, class_texts
from zoo.data.growing_array import allocate
from zoo.data.labelled_sequences import STEPWISE, LabelledSequences
from zoo.data.sequence_reader import read_sequences
from zoo.data.sources import STDIN
from zoo.data.table import (
    FOLDER_COLUMN,
    DataColumn,
    as_column,
    columns_to_csv,
    plain_values,
    prediction_name,
)
from zoo.data.table_files import IN_MEMORY_TABLE
from zoo.data.training_files import check_unchanged
from zoo.errors import CheckpointError, DataError, UsageError, warn_caller, warn_without
from zoo.model import SequenceModel, model_from
from zoo.model.checkpoint import CellClasses, command_for, open_run
from zoo.storage import Checkpoint
from zoo.storage import save as save_file


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted labels of n sequences, or of the n steps of N sequences.

    Attributes:
        label: The name of the labels.
        ids: The names of the sequences.
        classes: The K classes; empty if labels are numbers.
        values: Probabilities of the classes, `(n, K)`, or numbers, `(n, 1)`; NaN for a sequence without a
            prediction.
        actual: The labels, `(n,)` texts or numbers; None if they are not known. A step without a label has
            an empty text or NaN.
        part: ``"train"``, ``"valid"`` or ``"test"`` for each sequence or step of the data of training,
            `(n,)`; None for other data.
        lengths: Steps of each sequence, `(N,)`, if each step has a prediction; None otherwise.
        times: The time of each step, `(n,)`; None without times.
        time: The name of the times.
        is_utc: Whether the times are in UTC.
    """

    label: str
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    values: Array
    actual: Array | None = None
    part: Array | None = None
    lengths: Array | None = None
    times: Array | None = None
    time: str = "time"
    is_utc: bool = False

    def __repr__(self) -> str:
        size, classes = counted(len(self.ids), "sequence"), short_repr(self.classes)
        steps = "" if self.lengths is None else f", {counted(len(self.values), 'step')}"
        return f"Predictions({size}{steps}, label={self.label!r}, classes={classes})"

    @property
    def predicted(self) -> Array:
        """The most probable classes as texts, or the numbers, `(n,)`; empty or NaN without a prediction."""
        if not self.classes:
            predicted: Array = self.values[:, 0]
            return predicted
        texts = np.array(self.classes)[self.values.argmax(axis=1)]
        return np.where(np.isnan(self.values[:, 0]), "", texts)

    def columns(self) -> dict[str, Array]:
        """Columns of a table with a row for each sequence or step: ``pandas.DataFrame(p.columns())``.

        Columns are ``id``, of steps the number of the step ``step`` or its time, the predicted label, the
        probability of each class, as in ``p_walk``, the label of the data, as in ``activity_actual``, and
        ``part`` (of the data of training). Predictions of a label that is called ``id`` are in
        ``id_predicted``.
        """
        probabilities = {f"p_{name}": self.values[:, number] for number, name in enumerate(self.classes)}
        rows = self._row_names()
        label = prediction_name(self.label, (*rows, "part", *probabilities))
        columns = {**rows, label: self.predicted, **probabilities}
        if self.actual is not None:
            columns[f"{self.label}_actual"] = self.actual
        if self.part is not None:
            columns["part"] = self.part
        return columns

    def _row_names(self) -> dict[str, Array]:
        """The columns that identify a row: the sequence, and the step or its time."""
        ids = np.array(self.ids)
        if self.lengths is None:
            return {"id": ids}
        if self.times is not None:
            return {"id": np.repeat(ids, self.lengths), prediction_name(self.time, ("id",)): self.times}
        starts = np.cumsum(self.lengths) - self.lengths
        steps = np.arange(len(self.values)) - np.repeat(starts, self.lengths)
        return {"id": np.repeat(ids, self.lengths), "step": steps}

    def to_csv(self) -> str:
        """The columns as CSV, numbers with six significant digits."""
        return columns_to_csv(self.columns(), self.is_utc)

    def to_json(self) -> list[dict[str, Any]]:
        """A mapping for each sequence or step, with times as texts.

        Without a prediction the class or the number and the probabilities are None, which is null in JSON.
        """
        columns: dict[str, Any] = self.columns()
        if self.classes:
            label = list(columns)[len(self._row_names())]
            columns[label] = np.where(np.isnan(self.values[:, 0]), None, columns[label])
        rows = zip(*(plain_values(values, self.is_utc) for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


class OpenedSequences(NamedTuple):
    """Sequences that a predictor has read, which it takes in place of data and does not read again.

    Attributes:
        given: The sequences.
        scaled: The same in the units of the model.
    """

    given: LabelledSequences
    scaled: ScaledSequences


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model with the channels, units and classes of its sequences.

    >>> predictor = zoo.fit(recordings, label="activity", series="id")
    >>> predictor.predict(new_recordings).predicted

    Attributes:
        model: The model.
        spec: Its inputs and outputs.
        data: The sequences of training, or the name of their file.
        main: The score that the comparison with the baselines uses.
        sha256: Digest of the sequences of training; empty if it is unknown.
        calibration: The calibration that the readout of the model contains; None before :meth:`calibrated`.
    """

    model: SequenceModel
    spec: SequenceSpec
    data: Any
    main: str = "accuracy"
    sha256: str = ""
    calibration: ClassCalibration | None = None

    @property
    def temperature(self) -> float | None:
        """The temperature of :meth:`calibrated`; None before a calibration."""
        return None if self.calibration is None else self.calibration.temperature

    def __repr__(self) -> str:
        classes = short_repr(self.spec.classes)
        return f"Predictor({self.model!r}, label={self.spec.label!r}, classes={classes})"

    @classmethod
    def load(cls, run: Any, cell: CellClasses = None) -> Predictor:
        """Load the predictor of a run once, to predict often, for example in a service.

        >>> predictor = zoo.classification.Predictor.load("runs/digits")
        >>> predictor.predict(new_sequences).values

        Args:
            run: A run, a run directory, of which the best model is taken, or a ``.safetensors`` file. A
                predictor is returned as it is.
            cell: The class of the cell, if it is not registered.

        Raises:
            CheckpointError: if it does not exist, or is damaged.
            UsageError: if it is a run on other data.
        """
        return open_run(cls, cls.from_checkpoint, run, cell)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, source: str, cell: CellClasses = None, data: Any = None
    ) -> Predictor:
        """Make a predictor of a checkpoint of a run on labelled sequences.

        Args:
            checkpoint: The checkpoint.
            source: Its path, for messages.
            cell: As for :func:`zoo.load`.
            data: The sequences; None for the file that the checkpoint names.

        Raises:
            UsageError: if it is a run on other data.
            CheckpointError: if it is damaged.
        """
        stored, config = checkpoint.meta.get("sequences"), checkpoint.meta.get("config")
        if not isinstance(stored, Mapping) or not isinstance(config, Mapping):
            command = command_for(checkpoint)
            use = f"use `zoo {command} {source}`, or " if command else ""
            raise UsageError(
                f"{source} does not predict labels of sequences; {use}train such a model with `zoo train "
                f"--data FILE.csv --series COLUMN --label COLUMN`."
            )
        spec = SequenceSpec.from_json(stored.get("spec"), source)
        model = model_from(checkpoint, source, cell)
        sizes = spec.input_size, spec.output_size
        if not isinstance(model, SequenceModel) or sizes != (model.input_size, model.output_size):
            raise CheckpointError(f"{source}: its description of the sequences does not fit its model.")
        sources = config.get("data")
        named = sources[0] if isinstance(sources, list) and sources and isinstance(sources[0], str) else None
        main = main_score(spec.classes, config.get("class_weights"), config.get("metric"))
        digest = str(stored.get("sha256", ""))
        calibration = stored.get("calibration")
        if calibration is not None:
            calibration = ClassCalibration.from_json(calibration, len(spec.classes), source)
        return cls(model, spec, named if data is None else data, main, digest, calibration)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.safetensors`` file without the sequences, which :func:`zoo.predict` reads.

        It contains the digest of the sequences of training and, if they are in a file, its absolute path.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        checkpoint = self.model.to_checkpoint()
        is_named = isinstance(self.data, str | os.PathLike) and not self._is_in_memory()
        source = self.data if is_named else f"{IN_MEMORY_TABLE}sequences"
        if is_named and source != STDIN:
            source = str(Path(source).absolute())
        sequences = {
            "spec": self.spec.to_json(),
            "sha256": self.sha256,
            "calibration": None if self.calibration is None else self.calibration.to_json(),
        }
        config = {"data": [source], "kind": "sequences", "metric": self.main}
        meta = {**checkpoint.meta, "sequences": sequences, "config": config}
        save_file(as_path(path, "Predictor: path"), Checkpoint(checkpoint.arrays, meta))

    def predict(self, data: Any = None) -> Predictions:
        """Predict the label of each sequence, or of each step.

        Args:
            data: A file, a table, a list of arrays or other sequences, as for :func:`zoo.train`, with or
                without labels; None for the data of training, of which ``part`` gives the part.

        Returns:
            A prediction for each sequence or step. A sequence with a text that did not occur in training has
            none, with a warning: its values are NaN.

        Raises:
            DataError: if the data cannot be read, or do not fit the model, or no sequence has a prediction.
        """
        given, scaled = self.open_data(data, needs_labels=data is None, needs_all=False)
        numbers = np.arange(len(scaled.offsets) - 1)
        values = predict(self.model, scaled, numbers)
        for number in given.unseen:
            values[scaled.items(np.array([number]))] = np.nan
        part = None
        if data is None:
            part = np.empty(len(values), "<U5")
            for name, numbers in self.parts(given).items():
                part[scaled.items(numbers)] = name
        result = Predictions(
            self.spec.label, given.ids, self.spec.classes, values, self._actual_labels(given), part
        )
        if not self.spec.is_stepwise:
            return result
        name = given.time or "time"
        return replace(result, lengths=given.lengths, times=given.times, time=name, is_utc=given.is_utc)

    def inputs(self, data: Any = None) -> dict[str, Array]:
        """The inputs of the model for sequences, in the units of the model and padded at the end.

        Functions on the model, such as :func:`zoo.analysis.trace`, read these inputs. They do not scale the
        units of your data, encode texts, or mark missing values.

        >>> given = predictor.inputs(new_recordings)
        >>> outputs, state = predictor.model.outputs(**given)
        >>> lengths = given.pop("lengths")  # functions of zoo.analysis do not take it
        >>> h = zoo.analysis.trace(predictor.model, names=["h"], **given)["l0.h"]
        >>> first = h[: lengths[0], 0]  # the steps of sequence 0, without its padding

        Args:
            data: As for :meth:`predict`. The arrays hold all sequences at once.

        Returns:
            ``inputs (T, N, I)``, of which ``predictor.spec.input_names`` names the I; ``lengths (N,)``; and
            ``dt (T, N)`` in the unit of the model, if the cell reads the time between steps. Sequence n has
            ``lengths[n]`` steps. Later steps are padding: their inputs are 0, and their ``dt`` repeats the
            last one.

        Raises:
            DataError: if the data cannot be read, or do not fit the model.
        """
        _, scaled = self.open_data(data, needs_labels=False)
        numbers = np.arange(len(scaled.lengths))
        return {"lengths": scaled.lengths, **scaled.batch(numbers, tuple(self.model.stack.inputs))}

    def _actual_labels(self, given: LabelledSequences) -> Array | None:
        """The labels of sequences or steps; None if a sequence has none, or if no step has one.

        They are not known either if a folder that is no class names them.
        """
        labels, classes = given.labels, self.spec.classes
        if labels is None:
            return None
        is_missing = labels.missing()
        if is_missing.all() if self.spec.is_stepwise else is_missing.any():
            return None
        if not classes:
            return labels.values
        texts = class_texts(labels)
        if self.spec.label == FOLDER_COLUMN and not set(texts.tolist()) <= set(classes):
            return None
        return texts

    def evaluate(self, data: Any = None, part: str | None = None) -> dict[str, Any]:
        """The scores of the model and of the baselines, as plain JSON values.

        Args:
            data: As for :meth:`predict`, with labels. Baselines are fitted to the data of training.
            part: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``; None for the last part that is not empty,
                of other data than those of training for all.

        Raises:
            DataError: if the data cannot be read or do not fit, or the part is empty.
            UsageError: if the part is invalid.
        """
        if part is not None:
            as_choice(part, "part", (*PARTS, "all"))
        if data is not None and part not in (None, "all"):
            raise UsageError(f"part is {part!r}, but other data have no parts; leave it out.")
        given, scaled = self.open_data(None, use="the comparison with simple methods")
        parts = divide(given, self.spec)
        if data is None:
            return score_model(self.model, given, scaled, parts, part or parts.last, self.main)
        other, _ = self.open_data(data, needs_labels=True)
        both = concatenated(given, other)
        offsets = np.concatenate([parts.offsets, other.offsets[1:] + given.offsets[-1]])
        others = np.arange(len(parts.offsets) - 1, len(offsets) - 1)
        scaled = ScaledSequences.make(both, self.spec, self.model.dtype, offsets)
        return {"part": "all", **score_sequences(self.model, both, scaled, parts.train, others, self.main)}

    def calibrated(self, data: Any = None) -> Predictor:
        """Calibrate the probabilities: of the sequences with 20 % for a class, one in five has this class.

        Fits a temperature (Guo, Pleiss, Sun and Weinberger, 2017, https://arxiv.org/abs/1706.04599) and a
        bias for each class (Alexandari, Kundaje and Shrikumar, 2020,
        https://arxiv.org/abs/1901.06852) to labels, by maximum likelihood. They scale and shift the readout
        of a copy of the model, so saved files and exports have the new probabilities. ``calibration`` holds
        them; of a calibrated model, those of both fits together.
        After training with ``class_weights="balanced"`` the biases restore the frequencies of the classes.
        With two classes, the order of the sequences by their probability does not change, unless the
        probabilities are means over steps. Each sequence counts once, whatever its weight.

        >>> predictor.calibrated().save("calibrated.safetensors")

        Args:
            data: As for :meth:`predict`, with labels, for example of the place where the model is used; None
                for the validation part of the data of training. The model must not be trained on them: for
                the data of training, the validation part is taken, too.

        Raises:
            UsageError: if labels are numbers, the labels lack a class, or the model predicts NaN.
            DataError: if the data cannot be read or do not fit, or those of training have changed.

        Warns:
            ZooWarning: if the predictions do not agree with the labels, or the data are those of training.
        """
        if not self.spec.classes:
            raise UsageError(f"the label {self.spec.label!r} is a number; only classes have probabilities.")
        predictor, other = self.opened(data)
        if other is None:
            given, scaled = predictor.open_data(None, use="calibration")
            if data is not None:
                warn_of_training_data(given.name)
            part, numbers = "valid", divide(given, self.spec).valid
            source = f"the validation part of {given.name}"
            advice = "train with a larger validation part, as in `split='50,25,25'`, or give other `data`"
        else:
            given, scaled = other
            part, numbers, source = "all", np.arange(len(scaled.offsets) - 1), given.name
            advice = "give sequences with labels of all classes"
        labels = known_labels(given, scaled, numbers)
        self._check_labels(labels.codes, source, advice)
        sizes = np.ones(len(labels.is_known), np.int64)
        if self.spec.pooling == "mean":  # a prediction is the mean of the probabilities of its steps
            sizes = scaled.lengths[numbers]
            scaled = replace(scaled, spec=replace(self.spec, pooling=STEPWISE))
        probabilities = predict(self.model, scaled, numbers)[np.repeat(labels.is_known, sizes)]
        logits = np.log(np.maximum(probabilities, 1e-300))
        if not np.isfinite(logits).all():
            raise UsageError(f"the model predicts NaN for {source}; train it again.")
        scale, bias = fit_calibration(logits, sizes[labels.is_known], labels.codes)
        if scale == MIN_SCALE:
            warn_caller(
                f"the predictions for {source} do not agree with the labels: the calibrated probabilities "
                f"of each sequence are nearly the shares of the classes."
            )
        model = copy.deepcopy(self.model)
        model.params["Why"][...] *= scale
        model.params["by"][...] = model.params["by"] * scale + bias
        facts = given.name, part, len(labels.codes), given.sha256
        calibration = ClassCalibration(1 / scale, tuple(bias.tolist()), *facts).after(self.calibration)
        return replace(self, model=model, calibration=calibration)

    def _check_labels(self, codes: Array, source: str, advice: str) -> None:
        """Check that labels for a calibration have all classes; raises `UsageError`."""
        assert self.spec.classes
        if not len(codes):
            raise UsageError(f"{source} has no labels, to which probabilities are calibrated; {advice}.")
        counts = np.bincount(codes, minlength=len(self.spec.classes))
        absent = [each for each, count in zip(self.spec.classes, counts, strict=True) if not count]
        if absent:
            raise UsageError(
                f"{source} has no label {short_repr(absent[0])}, so the probability of this class cannot be "
                f"calibrated; {advice}."
            )

    def parts(self, given: LabelledSequences) -> dict[str, Array]:
        """Numbers of the sequences of each part of the data of training."""
        return divide(given, self.spec).by_name()

    def opened(self, data: Any) -> tuple[Predictor, OpenedSequences | None]:
        """Read data with labels once, and compare them with the data of training by their digests.

        Args:
            data: As for :meth:`predict`; None for the data of training, which are not read here.

        Returns:
            The predictor and the data. If these are the data of training, for example because the file was
            moved or is piped, a predictor that has read them, and None.
        """
        if data is None:
            return self, None
        other = self.open_data(data)
        if self.sha256 and other.given.sha256 == self.sha256:
            return replace(self, data=other), None
        return self, other

    def _is_in_memory(self) -> bool:
        """Whether the sequences of training are neither in a file nor in this object."""
        return isinstance(self.data, str) and self.data.startswith(IN_MEMORY_TABLE)

    def open_data(
        self,
        data: Any = None,
        needs_labels: bool = True,
        use: str = "this prediction",
        needs_all: bool = True,
    ) -> OpenedSequences:
        """The sequences of some data, as for :meth:`predict`, and the same in the units of the model.

        Args:
            data: The data; None for those of training. Sequences that this method returned are not read
                again.
            needs_labels: Whether sequences without labels are an error.
            use: The purpose of the data, for messages.
            needs_all: Whether a sequence with a text that did not occur in training is an error, and not a
                warning.

        Raises:
            DataError: if the data cannot be read or do not fit, or those of training have changed.
        """
        source = self.data if data is None else data
        if source is None:
            raise UsageError("data is None, and the checkpoint names no file; give the sequences.")
        if data is None and self._is_in_memory():
            raise DataError(
                f"{use} needs the sequences of training, which were passed from memory or are not in the "
                f"file of a saved predictor; use the result of `zoo.fit`, or a run on a file."
            )
        if data is None and isinstance(source, str) and source == STDIN:
            raise DataError(
                "the sequences came from standard input, which is not read again; name them with `data`."
            )
        if isinstance(source, OpenedSequences):
            given = source.given
        else:
            reads_time = "dt" in self.model.stack.inputs
            time_kind = self.spec.time_kind if reads_time else None
            roles = replace(self.spec.roles(), chooses_time=reads_time, time_kind=time_kind)
            given = read_sequences(source, roles, self.spec.missing, needs_labels)
        if given.unseen:
            _report_unseen(given, needs_all)
        if data is None:
            check_unchanged(given.name, given.sha256, self.sha256, "predict")
        offsets = divide(given, self.spec).offsets if data is None else given.offsets
        return OpenedSequences(given, ScaledSequences.make(given, self.spec, self.model.dtype, offsets))


def _report_unseen(given: LabelledSequences, needs_all: bool) -> None:
    """Raise an error, or warn, about sequences with texts that did not occur in training."""
    number, sentence = min(given.unseen.items())
    others = len(given.unseen) - 1
    if needs_all or others + 1 == len(given):
        raise DataError(sentence)
    warn_without(sentence, f"sequence {given.ids[number]!r}", others, "prediction")


def warn_of_training_data(name: str) -> None:
    """Warn that a calibration is fitted to the validation part of the data, since these are of training."""
    warn_caller(
        f"the model was trained on {name}, so the calibration is fitted to its validation part; give other "
        f"sequences, or leave out `data`."
    )


def main_score(classes: tuple[str, ...], class_weights: Any, metric: Any = None) -> str:
    """The score that is compared: as given; or the balanced accuracy if classes have balanced weights.

    Args:
        classes: The classes; empty for numbers.
        class_weights: The setting ``class_weights``.
        metric: The setting ``metric``.
    """
    known = CLASS_METRICS if classes else NUMBER_METRICS
    if metric in known:
        return str(metric)
    if not classes:
        return "mae"
    return "balanced_accuracy" if class_weights == "balanced" else "accuracy"


def concatenated(first: LabelledSequences, second: LabelledSequences) -> LabelledSequences:
    """The sequences of two sources, with the labels as texts or numbers."""
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    assert first.labels is not None  # both have labels
    assert second.labels is not None
    width = len(first.channels)
    labels: Any = (
        [*_texts_or_none(first.labels), *_texts_or_none(second.labels)]
        if "category" in (first.labels.kind, second.labels.kind)
        else np.concatenate([first.labels.values, second.labels.values])
    )
    is_boolean = first.labels.is_boolean and second.labels.is_boolean
    groups = None
    if first.groups is not None and second.groups is not None:
        groups = as_column(
            "groups", [*_texts_or_none(first.groups), *_texts_or_none(second.groups)], second.name
        )
    dt = None
    if first.dt is not None and second.dt is not None:
        dt = np.concatenate([first.dt, second.dt * (second.time_unit / first.time_unit)])
    return LabelledSequences(
        name=second.name,
        ids=(*first.ids, *second.ids),
        channels=first.channels,
        values=np.concatenate([first.values, second.values], out=allocate((offsets[-1], width), np.float64)),
        offsets=offsets,
        labels=replace(as_column(first.label, labels, second.name), is_boolean=is_boolean),
        label=first.label,
        sha256=second.sha256,
        dt=dt,
        time_unit=first.time_unit,
        time_kind=first.time_kind,
        groups=groups,
    )


def _texts_or_none(column: DataColumn) -> list[str | None]:
    """The values of a column as texts, None for a missing one."""
    as_category = column.as_category()
    texts = [*as_category.categories, None]
    return [texts[code] for code in as_category.values.tolist()]
