"""``LabelledSequences``: sequences of numbers with a label each or at each step, also made of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from zoo.arguments import as_elements, counted, dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array, as_floats
from zoo.data.growing_array import row_chunks
from zoo.data.sequence_builder import SequenceBuilder
from zoo.data.table import DataColumn, as_column, as_identifiers
from zoo.data.time_kind import TimeKind
from zoo.errors import DataError

STEPWISE = "none"
"""The pooling of a model that predicts a label at every step."""

POOLING = ("last", "mean", STEPWISE)
"""Ways to make one prediction from the outputs of all steps, or none of them."""

STEPWISE_ADVICE = f"To predict the label of each step, give `pooling='{STEPWISE}'`."
"""The end of a message about labels that vary within a sequence."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledSequences:
    """N sequences of R steps in all, one after another.

    >>> sequences = LabelledSequences.from_arrays([np.zeros((5, 2)), np.ones((3, 2))], ["rest", "walk"])
    >>> sequences.lengths
    array([5, 3])

    Attributes:
        name: A short name, for messages and directories.
        ids: The names of the sequences.
        channels: The names of the I channels.
        values: `(R, I)` float64, NaN for missing values.
        offsets: The first step of each sequence, and R, `(N + 1,)`.
        labels: The label of each sequence, `(N,)`, or of each step, `(R,)`: numbers or categories; None if
            there are none. A step without a label has a missing value.
        label: The name of the labels.
        sha256: Hexadecimal digest of the file, or of the arrays.
        dt: Time from the step before in units of the median, `(R,)`; None without times.
        time_unit: The median time between two steps, in seconds if times are dates.
        time_kind: The kind of the times: ``"none"``, ``"number"`` or ``"date"``.
        groups: The group of each sequence, such as a person, `(N,)` categories; None if there are none. A
            group lies in one part.
        weights: The weight of each sequence in the loss, `(N,)` float64, or of each step, `(R,)`; None for
            equal weights.
        categories: The values of each column of texts, which is one channel for each value.
        left_out: Columns of the table that are not channels, with the reasons.
        time: The column of times.
        channel_count: The number of channels of arrays without names, of which some may be chosen; None for
            other sources.
        times: The time of each step, `(R,)` numbers or datetime64; None without times, and for ``.ts`` files.
        is_utc: Whether the times are in UTC.
        unseen: Of data for a trained model, a sentence for each sequence with a text that did not occur in
            training. The channels of such a text are zero.
    """

    name: str
    ids: tuple[str, ...]
    channels: tuple[str, ...]
    values: Array
    offsets: Array
    labels: DataColumn | None
    label: str
    sha256: str
    dt: Array | None = None
    time_unit: float = 1.0
    time_kind: TimeKind = "none"
    groups: DataColumn | None = None
    weights: Array | None = None
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    time: str | None = None
    channel_count: int | None = None
    times: Array | None = None
    is_utc: bool = False
    unseen: Mapping[int, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        size, channels = counted(len(self), "sequence"), short_repr(self.channels)
        return f"LabelledSequences({size}, name={self.name!r}, channels={channels}, label={self.label!r})"

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.ids)

    @cached_property
    def has_missing(self) -> Array:
        """Whether each channel has missing values, `(I,)`."""
        chunks = row_chunks(*self.values.shape)
        return np.asarray(np.any([np.isnan(self.values[rows]).any(axis=0) for rows in chunks], axis=0))

    @property
    def lengths(self) -> Array:
        """Steps of each sequence, `(N,)`."""
        return np.diff(self.offsets)

    @property
    def has_step_labels(self) -> bool:
        """Whether there is a label for each step, and not for each sequence."""
        return self.labels is not None and len(self.labels) != len(self)

    def with_step_labels(self) -> LabelledSequences:
        """The sequences with a label for each step, which is the label of its sequence if this has one."""
        if self.labels is None or self.has_step_labels:
            return self
        return replace(self, labels=self.labels.take(np.repeat(np.arange(len(self)), self.lengths)))

    def with_sequence_labels(self) -> LabelledSequences:
        """The sequences with one label for each.

        Raises:
            DataError: if the labels of a sequence differ.
        """
        if self.labels is None or not self.has_step_labels:
            return self
        first = self.labels.take(self.offsets[:-1])
        own = self.labels.values
        expected = np.repeat(first.values, self.lengths)
        differs = (own != expected) & ~((own != own) & (expected != expected))
        if differs.any():
            row = int(differs.argmax())
            number, step = self.step_of(row)
            texts = [
                "missing" if each.missing()[at] else repr(each.text(at))
                for each, at in ((self.labels, row), (first, number))
            ]
            raise DataError(
                f"{self.name}, sequence {self.ids[number]!r}, step {step}: the label is {texts[0]}, and "
                f"{texts[1]} at the first step; expected one label for each sequence. {STEPWISE_ADVICE}"
            )
        return replace(self, labels=first)

    def step_of(self, row: int) -> tuple[int, int]:
        """The number of the sequence of a row, and the step in it."""
        number = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return number, row - int(self.offsets[number])

    @classmethod
    def from_arrays(
        cls,
        inputs: Any,
        labels: Any = None,
        *,
        lengths: Any = None,
        ids: Any = None,
        channels: Sequence[str] | None = None,
        times: Sequence[Any] | None = None,
        groups: Any = None,
        weights: Any = None,
        name: str = "arrays",
        label: str = "label",
    ) -> LabelledSequences:
        """Make sequences of arrays.

        >>> steps = LabelledSequences.from_arrays([np.zeros((3, 2))], [["rest", "walk", None]])
        >>> steps.has_step_labels
        True

        Args:
            inputs: A list of N arrays, `(T_n, I)` or `(T_n,)`, or of N data frames with the same columns in
                any order; an array `(N, T, I)` or `(N, T)`, sequence first; or with ``lengths`` an array
                `(R, I)` of all sequences, one after another.
            labels: N texts or numbers. For a label at each step, a list of N vectors `(T_n,)`, an array
                `(N, T)`, or with ``lengths`` a vector `(R,)`; None, NaN, an empty text or a masked
                value is a step without a label. None if labels are not known.
            lengths: Steps of each sequence in an array, `(N,)`; None if all have T.
            ids: N names; None for the numbers from 0.
            channels: I names; None for the columns of data frames, or else the numbers from 0.
            times: A list of N vectors of times, `(T_n,)` numbers or datetime64; None for equal steps.
            groups: N texts or numbers, such as persons; None for none. A group lies in one part.
            weights: N numbers above 0, the weights in the loss, or of the steps in a form of ``labels``; None
                for equal weights.
            name: A short name, for messages.
            label: The name of the labels.

        Raises:
            DataError: if a sequence is empty, the channels or the numbers of labels, groups or weights
                differ, a value is not a number, or times do not increase.
        """
        if channels is None:
            inputs, channels = _in_one_order(inputs, name)
        parts = _split_array(inputs, lengths, name)
        if not parts:
            raise DataError(f"{name} has no sequences; give at least one.")
        names = _texts(ids, len(parts), "ids", name) or tuple(map(str, range(len(parts))))
        vectors = None if times is None else _time_vectors(times, parts, name)
        builder = SequenceBuilder(name)
        for own_name, part, vector in zip(names, parts, vectors or repeat(None), strict=vectors is not None):
            builder.append(part, f"sequence {own_name!r}", vector)
        values, offsets, dt, unit, kind = builder.finish()
        given = {"labels": labels, "groups": groups, "weights": weights}
        has_padding = lengths is not None
        columns = {
            what: column_of_sequences(each, len(parts), what, name)
            if what == "groups"
            else _column_of_steps(each, offsets, names, what, name, has_padding)
            for what, each in given.items()
        }
        column = None if columns["labels"] is None else replace(columns["labels"], name=label)
        if column is not None and len(column) != len(parts):
            column = _without_empty_texts(column)
        shown = _texts(channels, values.shape[1], "channels", name) or tuple(map(str, range(values.shape[1])))
        digest = hashlib.sha256(values.data)
        digest.update(offsets.data)
        for each in columns.values():
            if each is not None:
                digest.update(repr(each.categories).encode() + np.ascontiguousarray(each.values).tobytes())
        if dt is not None:
            digest.update(dt.tobytes())
        return cls(
            name=name,
            ids=names,
            channels=shown,
            values=values,
            offsets=offsets,
            labels=column,
            label=label,
            sha256=digest.hexdigest(),
            dt=dt,
            time_unit=unit,
            time_kind=kind,
            groups=None if columns["groups"] is None else columns["groups"].as_category(),
            weights=None if columns["weights"] is None else columns["weights"].values,
            times=None if vectors is None else np.concatenate(vectors),
        )


def column_of_sequences(values: Any, count: int, what: str, name: str) -> DataColumn | None:
    """Labels, groups or weights of all sequences; None if there are none."""
    if values is None:
        return None
    make = as_identifiers if what == "groups" else as_column
    column = make(what, _plain_labels(values), name)
    if len(column) != count:
        raise DataError(
            f"{name} has {counted(count, 'sequence')} and {counted(len(column), what.removesuffix('s'))}; "
            f"give one for each sequence."
        )
    if what == "weights" and column.kind != "number":
        raise DataError(f"{name}: weights hold {column.text(0)!r}; expected numbers above 0.")
    return column


def _column_of_steps(
    values: Any, offsets: Array, ids: tuple[str, ...], what: str, name: str, is_padded: bool
) -> DataColumn | None:
    """Labels or weights of all sequences `(N,)`, or of all steps `(R,)`; None if there are none."""
    values = [*map(_unmasked, values)] if isinstance(values, (list, tuple)) else _unmasked(values)
    sizes = np.diff(offsets).tolist()
    if isinstance(values, np.ndarray) and (
        values.ndim > 2 or (values.ndim == 2 and values.shape[1] < max(sizes))
    ):
        raise DataError(
            f"{name}: {what} have the shape {values.shape}, and the longest sequence has "
            f"{counted(max(sizes), 'step')}; expected (N,), one for each sequence, or (N, T), one for each "
            f"step.{_exchanged_axes(values, sizes, what) or _one_column(what)}"
        )
    is_list = isinstance(values, (list, tuple))
    wide = (
        next((n for n, each in enumerate(values) if getattr(each, "ndim", 1) > 1), None) if is_list else None
    )
    if wide is not None and len(values) == len(ids):
        raise DataError(
            f"{name}: the {what} of sequence {ids[wide]!r} have the shape {values[wide].shape}; expected "
            f"(T,), one for each step.{_one_column(what)}"
        )
    vectors = _vectors_of_steps(values)
    if vectors is None:
        is_of_steps = _is_vector(values) and len(values) == offsets[-1] != len(ids)
        count = int(offsets[-1]) if is_of_steps else len(ids)
        return column_of_sequences(values, count, what, name)
    if len(vectors) != len(ids):
        raise DataError(
            f"{name} has {counted(len(ids), 'sequence')} and {counted(len(vectors), 'vector')} of {what}; "
            f"give one for each sequence.{_exchanged_axes(vectors, sizes, what)}"
        )
    for number, (vector, size) in enumerate(zip(vectors, sizes, strict=True)):
        if len(vector) < size or (len(vector) > size and not is_padded):
            raise DataError(
                f"{name}, sequence {ids[number]!r} has {counted(size, 'step')} and "
                f"{counted(len(vector), what.removesuffix('s'))}; give one for each step, None if it has no "
                f"{what.removesuffix('s')}."
            )
    parts = [vector[:size] for vector, size in zip(vectors, sizes, strict=True)]
    one_kind = len({part.dtype.kind for part in parts}) == 1 and parts[0].dtype.kind != "O"
    joined = np.concatenate(parts) if one_kind else [each for part in parts for each in part.tolist()]
    return column_of_sequences(joined, int(offsets[-1]), what, name)


def _exchanged_axes(values: Sequence[Any] | Array, sizes: Sequence[int], what: str) -> str:
    """Advice for values of steps with time first, ``(T, N)``; empty if they are something else."""
    is_time_first = len(values) == max(sizes) and {np.shape(each) for each in values} == {(len(sizes),)}
    if not is_time_first:
        return ""
    inputs = "; if time comes first in the inputs, `np.swapaxes(inputs, 0, 1)`" * (len(set(sizes)) == 1)
    return f" Sequences come first: exchange the axes, `np.transpose({what})`{inputs}."


def _one_column(what: str) -> str:
    """Advice for values of which a step has several."""
    one_hot = ", and `labels.argmax(axis=-1)` for one-hot vectors" if what == "labels" else ""
    return f" Use `{what}[..., 0]` for one column{one_hot}."


def _without_empty_texts(column: DataColumn) -> DataColumn:
    """Labels of steps with missing values in place of empty texts: a file of arrays cannot store None."""
    if "" not in column.categories:
        return column
    empty = column.categories.index("")
    return replace(column, values=np.where(column.values == empty, -1, column.values).astype(np.int32))


def _unmasked(values: Any) -> Any:
    """A masked array as objects with None where it is masked; other values as they are."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    objects = values.data.astype(object)
    objects[np.ma.getmaskarray(values)] = None
    return objects


def _vectors_of_steps(values: Any) -> list[Array] | None:
    """The values of the steps of each sequence; None if values are of whole sequences, or one vector."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return list(values)
    is_list = isinstance(values, (list, tuple)) or (isinstance(values, np.ndarray) and values.ndim == 1)
    if not is_list or not len(values) or not all(map(_is_vector, values)):
        return None
    return [
        np.asarray(each.to_numpy() if hasattr(each, "to_numpy") else _objects_if_mixed(each))
        for each in values
    ]


def _is_vector(values: Any) -> bool:
    """Whether values are a list without other lists in it, or have one axis."""
    if isinstance(values, (list, tuple)):
        return not any(isinstance(each, (list, tuple, np.ndarray)) for each in values)
    is_series = hasattr(values, "to_numpy") and not hasattr(values, "columns")  # of polars, without an axis
    return getattr(values, "ndim", 1 if is_series else 0) == 1


def _objects_if_mixed(values: Any) -> Any:
    """A list as it is, or as objects if its texts would convert other values to texts."""
    is_mixed = isinstance(values, (list, tuple)) and len({isinstance(each, str) for each in values}) > 1
    return np.array(values, object) if is_mixed else values


def _time_vectors(times: Sequence[Any], parts: list[Array], name: str) -> list[Array]:
    """The times of each sequence."""
    vectors = [
        as_array(each, f"{name}: times")
        for each in as_elements(times, f"{name}: times", "a vector for each sequence")
    ]
    if [each.shape for each in vectors] != [(len(part),) for part in parts]:
        raise DataError(
            f"{name}: times have other lengths than the sequences; expected a time for each step."
        )
    return vectors


def _in_one_order(inputs: Any, name: str) -> tuple[Any, Sequence[str] | None]:
    """Data frames of a list with their columns in the order of the first one, and the names of the columns.

    Returns:
        Other inputs as they are, without names.

    Raises:
        DataError: if a data frame has other columns.
    """
    frames = list(inputs) if isinstance(inputs, (list, tuple)) else []
    columns = [_column_names(frame) for frame in frames]
    if not columns or not all(columns):
        return inputs, None
    first = columns[0]
    for number, names in enumerate(columns):
        if sorted(names) != sorted(first):
            raise DataError(
                f"{name}, sequence {number} has the columns {', '.join(names[:20])}, and the first one has "
                f"{', '.join(first[:20])}; give the same columns for each sequence."
            )
    ordered = [
        frame if names == first else frame[first] for frame, names in zip(frames, columns, strict=True)
    ]
    return ordered, first


def _column_names(frame: Any) -> list[str]:
    """The columns of a data frame with names; empty for an array, or for columns that are numbered."""
    names = list(getattr(frame, "columns", ()))
    return names if all(isinstance(each, str) for each in names) else []


def _split_array(inputs: Any, lengths: Any, name: str) -> list[Array]:
    """The arrays `(T_n, I)` of the sequences."""
    if isinstance(inputs, (list, tuple)) and lengths is None:
        return [_two_axes(each, f"{name}, sequence {number}") for number, each in enumerate(inputs)]
    array = _numbers(inputs, name)
    if array.ndim not in (2, 3):
        raise DataError(
            f"{name} holds {dtype_and_shape(array)}; expected sequences (N, T, I) or (N, T), or a list of "
            f"arrays (T, I)."
        )
    if lengths is None:
        return [_two_axes(each, name) for each in array]
    sizes = as_array(lengths, f"{name}: lengths")
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (sizes < 0).any():
        raise DataError(f"{name}: lengths are {short_repr(sizes)}; expected an integer for each sequence.")
    if len(sizes) == len(array):
        if array.ndim == 2 and array.shape[1] > 1 and (sizes == 1).all():
            raise DataError(
                f"{name} holds {dtype_and_shape(array)} and a length of 1 for each row. If a row holds the "
                f"features of one step, give inputs[:, None, :]. If it holds the steps of one feature, give "
                f"inputs[:, :1, None]."
            )
        if int(sizes.max(initial=0)) > array.shape[1]:
            steps = counted(array.shape[1], "step")
            raise DataError(f"{name}: a length is {sizes.max()}; the sequences have {steps}.")
        return [_two_axes(each[:size], name) for each, size in zip(array, sizes, strict=True)]
    if array.ndim == 2 and int(sizes.sum()) == len(array):
        return np.split(array, np.cumsum(sizes)[:-1])
    raise DataError(
        f"{name} holds {dtype_and_shape(array)} and {counted(len(sizes), 'length')} with the sum "
        f"{sizes.sum():,}; expected a length for each sequence (N, T, I), or lengths with the sum of "
        f"the rows of (R, I)."
    )


def _two_axes(values: Any, owner: str) -> Array:
    array = _numbers(values, owner)
    if array.ndim not in (1, 2):
        raise DataError(f"{owner} is {dtype_and_shape(array)}; expected (T, I) or (T,).")
    return array.reshape(len(array), -1) if array.size else array.reshape(0, max(1, array.shape[-1]))


def _numbers(values: Any, owner: str) -> Array:
    array = as_array(values, owner)
    if array.dtype.kind == "O":
        objects = array
        array, index = as_floats(objects)
        if index is not None:
            names = getattr(values, "columns", ())
            at = f", column {names[index % len(names)]!r}" if len(names) else ""
            raise DataError(
                f"{owner}{at}: found {short_repr(objects.item(index))}; expected numbers. To train on "
                f"texts or times, give one table with a row for each step, and name its columns with "
                f"`series` and `label`."
            )
    if array.dtype.kind not in "biuf":
        raise DataError(f"{owner} holds values of the type {array.dtype}; expected numbers.")
    return array


def _plain_labels(labels: Any) -> Any:
    """Labels with texts in place of bytes, which HDF5 and some archives store."""
    is_bytes = isinstance(labels, np.ndarray) and labels.dtype.kind == "S"
    return np.char.decode(labels, "utf-8", "replace") if is_bytes else labels


def _texts(values: Any, count: int, what: str, name: str) -> tuple[str, ...]:
    """Names as texts; empty if there are none."""
    if values is None:
        return ()
    texts = tuple(map(str, as_elements(values, f"{name}: {what}", "names")))
    if len(texts) != count or len(set(texts)) != count:
        raise DataError(f"{name} has {len(texts)} {what}; expected {count} different ones.")
    return texts
