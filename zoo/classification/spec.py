"""``SequenceSpec``: the inputs and outputs of a model of labelled sequences; a checkpoint stores it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.data.labelled_sequences import POOLING, STEPWISE, LabelledSequences
from zoo.data.sequence_reader import SequenceRoles
from zoo.data.table import DataColumn
from zoo.data.time_kind import TimeKind, as_time_kind
from zoo.errors import CheckpointError, DataError
from zoo.model.category_inputs import CategoryInputs, category_inputs

_TEXTS = ("channels", "masked", "classes")
_NUMBERS = ("mean", "scale")


@dataclass(frozen=True, kw_only=True)
class SequenceSpec:
    """The inputs and outputs of a model of labelled sequences.

    Attributes:
        label: The name of the labels.
        classes: The classes; empty if labels are numbers.
        series: The column of the ids in a table.
        time: The column of times in a table.
        columns: The columns of a table, or the channels of arrays, that the model reads.
        channels: Channels, of which a column of texts has one for each of its values.
        categories: The values of each column of texts.
        masked: Channels with missing values, for each of which an additional input marks them.
        missing: The treatment of missing values.
        pooling: ``"last"``, a prediction after the last step; ``"mean"``, the mean over all steps; or
            ``"none"``, a prediction at every step.
        mean: Mean of each channel in the training part.
        scale: Standard deviation of each channel in the training part; 1 if it is constant there.
        label_mean: Mean of numeric labels in the training part.
        label_scale: Their standard deviation.
        split: Shares of the training, validation and test parts.
        seed: Seed of the split.
        group: The column of the groups in a table.
        time_unit: The median time between two steps in the data of training; None in runs of older versions.
        channel_count: The number of channels of the arrays of training, if they had no names; None otherwise,
            and in runs of older versions.
        time_kind: The kind of the times of training; None in runs of older versions.
    """

    label: str
    classes: tuple[str, ...]
    series: str | None
    time: str | None
    columns: tuple[str, ...]
    channels: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    masked: tuple[str, ...]
    missing: str
    pooling: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    label_mean: float
    label_scale: float
    split: str
    seed: int
    group: str | None = None
    time_unit: float | None = None
    channel_count: int | None = None
    time_kind: TimeKind | None = None

    @property
    def is_stepwise(self) -> bool:
        """Whether each step has a label."""
        return self.pooling == STEPWISE

    @property
    def input_size(self) -> int:
        """``I``, inputs of a step."""
        return len(self.channels) + len(self.masked)

    @property
    def output_size(self) -> int:
        """``V``: the number of classes, or 1."""
        return max(len(self.classes), 1)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs of the model, `(I,)`."""
        return (*self.channels, *(f"{name} missing" for name in self.masked))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs of the model, `(V,)`: the classes, or the label."""
        return self.classes or (self.label,)

    @property
    def embedded_categories(self) -> dict[str, tuple[str, ...]]:
        """The values of each category, in the order of the rows of an embedding."""
        return {name: self.categories[name] for name in self.columns if name in self.categories}

    def category_inputs(self, size: int | None, source: str) -> CategoryInputs | None:
        """The inputs that are categories, for an embedding of some size; None without one.

        Args:
            size: The size of the vectors.
            source: Name of the data, for messages.

        Raises:
            UsageError: if no input is a category.
        """
        return category_inputs(self.columns, self.categories, 0, self.input_size, size, source)

    def roles(self) -> SequenceRoles:
        """The columns to read from other data."""
        return SequenceRoles(
            self.label,
            self.columns,
            self.series,
            self.time,
            group=self.group,
            categories=self.categories,
            channel_count=self.channel_count,
            per_step=self.is_stepwise,
        )

    def codes(self, given: LabelledSequences) -> Array:
        """The labels of sequences or steps, `(n,)`: numbers of classes, or numbers; -1 or NaN for none.

        Raises:
            DataError: if a class did not occur in training, or a label is not a number.
        """
        labels = given.labels
        assert labels is not None  # the caller asks for them
        if not self.classes:
            if labels.kind != "number":
                first = int(labels.missing().argmin())
                raise DataError(
                    f"{given.name}: the label of {self._item(given, first)} is {labels.text(first)!r}; "
                    f"expected a number, as in training."
                )
            return labels.values
        column = labels.as_category()
        code = {text: number for number, text in enumerate(self.classes)}
        table = np.array([*(code.get(text, -2) for text in column.categories), -1], np.int64)
        codes: Array = table[column.values]
        if (codes == -2).any():
            first = int((codes == -2).argmax())
            raise DataError(
                f"{given.name}: {self._item(given, first)} has the label {column.text(first)!r}, which did "
                f"not occur in training; the classes are {', '.join(self.classes[:20])}."
            )
        return codes

    def _item(self, given: LabelledSequences, index: int) -> str:
        """A sequence, or a step of one, in messages."""
        if not self.is_stepwise:
            return f"sequence {given.ids[index]!r}"
        number, step = given.step_of(index)
        return f"step {step} of sequence {given.ids[number]!r}"

    def items(self, numbers: Array, offsets: Array) -> Array:
        """The indices of the labels of some sequences: their numbers, or the rows of all their steps.

        Args:
            numbers: The sequences, `(n,)`.
            offsets: The first row of each sequence, and R, `(N + 1,)`.
        """
        if not self.is_stepwise:
            return numbers
        starts, sizes = offsets[numbers], np.diff(offsets)[numbers]
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.asarray(np.repeat(starts, sizes) + within)

    def has_label(self, codes: Array) -> Array:
        """Whether each sequence or step has a label, from :meth:`codes`, `(n,)` booleans."""
        return codes >= 0 if self.classes else ~np.isnan(codes)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, stored: Any, source: str) -> SequenceSpec:
        """Read the result of :meth:`to_json`.

        Raises:
            CheckpointError: if it is anything else.
        """
        try:
            newer = ("group", "time_unit", "channel_count", "time_kind")  # the first runs lack them
            stored = {**dict.fromkeys(newer), **stored}
            values = {entry.name: stored[entry.name] for entry in dataclasses.fields(cls)}
            for name in (*_TEXTS, "columns"):
                values[name] = tuple(map(str, values[name]))
            for name in _NUMBERS:
                values[name] = tuple(map(float, values[name]))
            values["categories"] = {
                str(name): tuple(map(str, texts)) for name, texts in values["categories"].items()
            }
            values["group"] = None if values["group"] is None else str(values["group"])
            unit = None if values["time_unit"] is None else float(values["time_unit"])
            if unit is not None and not 0 < unit < math.inf:
                raise ValueError("the unit of time is not a number above 0")
            values["time_unit"] = unit
            count = values["channel_count"]
            if count is not None and (type(count) is not int or count < 1):
                raise ValueError("the number of channels is not an integer above 0")
            values["time_kind"] = as_time_kind(values["time_kind"])
            spec = cls(**values)
            if not len(spec.mean) == len(spec.scale) == len(spec.channels) or spec.pooling not in POOLING:
                raise ValueError("sizes differ")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{source}: its description of the sequences is not one zoo wrote ({str(error)[:200]})."
            ) from None
        return spec


def class_texts(labels: DataColumn) -> Array:
    """The labels as texts, `(n,)`; a missing label is an empty text."""
    column = labels.as_category()
    return np.array([*column.categories, ""])[column.values]
