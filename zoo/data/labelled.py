"""``LabelledSequences``: sequences of numbers with one label each, from tables, arrays and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo.arguments import as_elements, counted, dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.base.names import did_you_mean
from zoo.data.file_digest import file_digest
from zoo.data.growing_array import allocate, row_chunks, sequence_chunks
from zoo.data.panel import ColumnRoles, Panel, default_roles, make_panel, value_of_series
from zoo.data.sequence_builder import SequenceBuilder
from zoo.data.table import (
    FILE_COLUMN,
    DataColumn,
    DataTable,
    as_column,
    as_table,
    finite_hint,
    is_table_like,
    too_large,
)
from zoo.data.table_files import load_arrays, read_table
from zoo.data.ts_file import read_ts_file
from zoo.errors import DataError, UsageError

ARRAY_NAMES = ("inputs", "labels", "lengths", "ids", "channels", "groups", "weights")
"""Names of the arrays of sequences in an ``.npz`` file; all but the first are optional."""

POOLING = ("last", "mean")
"""Ways to make one prediction from the outputs of all steps."""


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
        labels: The label of each sequence, `(N,)` numbers or categories; None if there are none.
        label: The name of the labels.
        sha256: Hexadecimal digest of the file, or of the arrays.
        dt: Time from the step before in units of the median, `(R,)`; None without times.
        time_unit: The median time between two steps, in seconds if times are dates.
        groups: The group of each sequence, such as a person, `(N,)` categories; None if there are none. A
            group lies in one part.
        weights: The weight of each sequence in the loss, `(N,)` float64; None for equal weights.
        categories: The values of each column of texts, which is one channel for each value.
        left_out: Columns of the table that are not channels, with the reasons.
        time: The column of times.
        channel_count: The number of channels of arrays without names, of which some may be chosen; None for
            other sources.
    """

    name: str
    ids: tuple[str, ...]
    channels: tuple[str, ...]
    values: Array = field(repr=False)
    offsets: Array = field(repr=False)
    labels: DataColumn | None
    label: str
    sha256: str
    dt: Array | None = field(default=None, repr=False)
    time_unit: float = 1.0
    groups: DataColumn | None = None
    weights: Array | None = field(default=None, repr=False)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    time: str | None = None
    channel_count: int | None = None

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

        Args:
            inputs: A list of N arrays, `(T_n, I)` or `(T_n,)`; an array `(N, T, I)` or `(N, T)`, sequence
                first; or with ``lengths`` an array `(R, I)` of all sequences, one after another.
            labels: N texts or numbers; None if they are not known.
            lengths: Steps of each sequence in an array, `(N,)`; None if all have T.
            ids: N names; None for the numbers from 0.
            channels: I names; None for the numbers from 0.
            times: A list of N vectors of times, `(T_n,)` numbers or datetime64; None for equal steps.
            groups: N texts or numbers, such as persons; None for none. A group lies in one part.
            weights: N numbers above 0, the weights in the loss; None for equal weights.
            name: A short name, for messages.
            label: The name of the labels.

        Raises:
            DataError: if a sequence is empty, the channels or the numbers of labels, groups or weights
                differ, a value is not a number, or times do not increase.
        """
        parts = _split_array(inputs, lengths, name)
        if not parts:
            raise DataError(f"{name} has no sequences.")
        names = _texts(ids, len(parts), "ids", name) or tuple(map(str, range(len(parts))))
        vectors = [None] * len(parts) if times is None else _time_vectors(times, parts, name)
        builder = SequenceBuilder(name)
        for own_name, part, vector in zip(names, parts, vectors, strict=True):
            builder.append(part, f"sequence {own_name!r}", vector)
        values, offsets, dt, unit = builder.finish()
        given = {"labels": labels, "groups": groups, "weights": weights}
        columns = {what: _one_each(each, len(parts), what, name) for what, each in given.items()}
        column = None if columns["labels"] is None else replace(columns["labels"], name=label)
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
            groups=None if columns["groups"] is None else columns["groups"].as_category(),
            weights=None if columns["weights"] is None else columns["weights"].values,
        )


def _one_each(values: Any, count: int, what: str, name: str) -> DataColumn | None:
    """Labels, groups or weights of all sequences; None if there are none."""
    if values is None:
        return None
    column = as_column(what, _plain_labels(values), name)
    if len(column) != count:
        raise DataError(f"{name} has {counted(count, 'sequence')} and {counted(len(column), what[:-1])}.")
    if what == "weights" and column.kind != "number":
        raise DataError(f"{name}: weights hold {column.text(0)!r}; expected numbers above 0.")
    return column


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


# ---- from tables and files ----------------------------------------------------------------------------


@dataclass(frozen=True)
class SequenceRoles:
    """The columns of sequences in a table, or the arrays and channels in a file.

    Attributes:
        label: The column of the labels, or the array; None for the labels of a file.
        input: The channels; None for all.
        series: The column of the ids.
        time: The column of times.
        group: The column of the groups.
        weight: The column of the weights.
        categories: The values of each column of texts; None, in training, to take them from the table.
        channel_count: The number of channels of the arrays of training, if they had no names; None otherwise.
    """

    label: str | None = None
    input: tuple[str, ...] | None = None
    series: str | None = None
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    categories: Mapping[str, tuple[str, ...]] | None = None
    channel_count: int | None = None


def read_sequences(
    data: Any, roles: SequenceRoles, missing: str = "reject", needs_labels: bool = True
) -> LabelledSequences:
    """Read labelled sequences.

    Args:
        data: :class:`LabelledSequences`; a table, as for :func:`zoo.data.as_table` or
            :func:`zoo.data.read_table`; a ``.ts`` file; an ``.npz`` file or a mapping with the arrays
            ``inputs``, ``labels``, ``lengths``, ``ids``, ``channels``, ``groups`` and ``weights``; or a list
            of arrays.
        roles: The columns.
        missing: As for :func:`zoo.data.make_panel`.
        needs_labels: Whether to raise an error for sequences without labels.

    Raises:
        DataError: if the data cannot be read or do not fit.
        UsageError: if an argument is missing.
    """
    given = _as_sequences(data, roles, missing, needs_labels)
    if needs_labels:
        _check_labels(given)
    return given


def _as_sequences(data: Any, roles: SequenceRoles, missing: str, needs_labels: bool) -> LabelledSequences:
    if isinstance(data, LabelledSequences):
        return _of_arrays(data, roles, missing)
    if isinstance(data, (list, tuple)) or (isinstance(data, np.ndarray) and data.ndim == 3):
        return _of_arrays(LabelledSequences.from_arrays(data), roles, missing)
    if isinstance(data, Mapping) and is_arrays_of_sequences(data):
        return _of_arrays(_of_mapping(data, roles.label, "arrays", needs_labels), roles, missing)
    if is_table_like(data):
        _check_is_table(data, "arrays")
        return _of_table(as_table(data), roles, missing, needs_labels)
    path = Path(data)
    if path.is_dir():
        return _of_table(read_table(data), roles, missing, needs_labels)
    if path.suffix.lower() == ".ts":
        return _of_arrays(_of_ts_file(path), roles, missing)
    if path.suffix.lower() == ".npz":
        arrays = load_arrays(path)
        if is_arrays_of_sequences(arrays):
            given = _of_mapping(arrays, roles.label, path.name, needs_labels)
            return _of_arrays(replace(given, sha256=file_digest(path)), roles, missing)
        _check_is_table(arrays, path.name)
    return _of_table(read_table(data), roles, missing, needs_labels)


def _check_is_table(arrays: Any, name: str) -> None:
    """Raise an error for arrays of sequences with another name than ``inputs``."""
    if not isinstance(arrays, Mapping) or "inputs" in arrays:
        return
    inputs = [key for key, array in arrays.items() if getattr(array, "ndim", 1) > 1]
    if inputs:
        raise DataError(
            f"{name} has no array 'inputs'; its arrays are {', '.join(map(str, arrays))}. Rename "
            f"{inputs[0]!r}, as in `np.savez(FILE, inputs={inputs[0]}, labels=...)`."
        )


def is_arrays_of_sequences(arrays: Any) -> bool:
    """Whether a mapping holds ``inputs`` of sequences, and not columns of a table."""
    if not isinstance(arrays, Mapping) or "inputs" not in arrays:
        return False
    inputs = arrays["inputs"]
    if isinstance(inputs, (list, tuple)):
        return bool(inputs) and np.ndim(inputs[0]) > 0
    return np.ndim(inputs) > 1


def _of_mapping(
    arrays: Mapping[str, Any], label: str | None, name: str, needs_labels: bool
) -> LabelledSequences:
    """Sequences of the arrays of an ``.npz`` file."""
    label = label or "labels"
    if needs_labels and label not in arrays and label != "labels":
        near = did_you_mean(label, arrays)
        raise DataError(f"{name} has no array {label!r}; its arrays are {', '.join(arrays)}.{near}")
    unknown = [key for key in arrays if key not in (*ARRAY_NAMES, label)]
    if unknown:
        raise DataError(
            f"{name} holds the array {unknown[0]!r}; expected arrays named {', '.join(ARRAY_NAMES)}. If it "
            f"holds the labels, give `label={unknown[0]}`."
        )
    others = {key: arrays.get(key) for key in ARRAY_NAMES if key not in ("inputs", "labels")}
    return LabelledSequences.from_arrays(
        arrays["inputs"], arrays.get(label), **others, name=name, label=label
    )


def _of_ts_file(path: Path) -> LabelledSequences:
    content = read_ts_file(path)
    values, offsets, dt, unit = content.sequences
    count = len(offsets) - 1
    return LabelledSequences(
        name=path.name,
        ids=tuple(map(str, range(count))),
        channels=tuple(map(str, range(values.shape[1]))),
        values=values,
        offsets=offsets,
        labels=_one_each(content.labels, count, "label", path.name),
        label="label",
        sha256=content.sha256,
        dt=dt,
        time_unit=unit,
    )


def _of_arrays(given: LabelledSequences, roles: SequenceRoles, missing: str) -> LabelledSequences:
    """Choose channels, and check the values."""
    is_training = roles.categories is None
    for flag in ("series", "time", "group", "weight") if is_training else ():
        if getattr(roles, flag) is not None:
            raise UsageError(f"{flag} is given, but {given.name} is not a table; leave it out.")
    if roles.label is not None:
        given = replace(given, label=roles.label)
    has_no_names = given.channels == tuple(map(str, range(len(given.channels))))
    if has_no_names:
        given = replace(given, channel_count=len(given.channels))
    expected = roles.channel_count
    if expected is not None and has_no_names and len(given.channels) > expected:
        raise DataError(
            f"{given.name} has {counted(len(given.channels), 'channel')}, and the sequences of training had "
            f"{expected}; give the same channels in the same order."
        )
    by_position = not is_training and has_no_names and not set(roles.input or ()) <= {*given.channels}
    if roles.input is not None and not by_position:
        for channel in roles.input:
            if channel not in given.channels:
                shown = ", ".join(given.channels[:20])
                raise DataError(f"{given.name} has no channel {channel!r}; its channels are {shown}.")
        columns = [given.channels.index(channel) for channel in roles.input]
        values = allocate((len(given.values), len(columns)), np.float64)
        for rows in row_chunks(*given.values.shape):
            values[rows] = given.values[rows, columns]
        given = replace(given, channels=tuple(roles.input), values=values)
    return _with_missing(given, missing, is_training)


def _with_missing(given: LabelledSequences, missing: str, is_training: bool) -> LabelledSequences:
    """The sequences with missing values rejected, filled or kept; infinity is an error."""
    values = given.values
    index = too_large(values.reshape(-1))
    if index is not None:
        step, channel = divmod(index, values.shape[1])
        raise DataError(f"{_where(given, step, channel)}: {finite_hint(values[step, channel])}")
    if missing == "mask" or not given.has_missing.any():
        return given
    if missing == "reject":
        setting = ", or set `missing` to 'forward' or 'mask'" if is_training else ""
        count = sum(int(np.isnan(values[rows]).sum()) for rows in row_chunks(*values.shape))
        others = f", one of {count:,}" if count > 1 else ""
        is_padded = bool(np.isnan(values[given.offsets[1:] - 1]).all(axis=1).any())
        padding = " If it pads the end of a sequence, give the `lengths` of all." if is_padded else ""
        raise DataError(f"{_first_missing(given)}: the value is missing{others}; fill it{setting}.{padding}")
    filled = replace(given, values=allocate(values.shape, np.float64))
    for chunk in sequence_chunks(given.offsets, values.shape[1]):
        ends = given.offsets[chunk.start : chunk.stop + 1]
        part = values[ends[0] : ends[-1]]
        source = np.where(np.isnan(part), 0, np.arange(len(part))[:, None])
        source[ends[:-1] - ends[0]] = (ends[:-1] - ends[0])[:, None]
        np.maximum.accumulate(source, axis=0, out=source)
        filled.values[ends[0] : ends[-1]] = np.take_along_axis(part, source, axis=0)
    if filled.has_missing.any():
        setting = ", or set `missing` to 'mask'" if is_training else ""
        raise DataError(
            f"{_first_missing(filled)}: the value is missing, and there is none before it in its sequence; "
            f"fill it{setting}."
        )
    return filled


def _first_missing(given: LabelledSequences) -> str:
    """The position of the first missing value in messages."""
    channel = min(
        np.flatnonzero(given.has_missing), key=lambda each: np.isnan(given.values[:, each]).argmax()
    )
    return _where(given, np.isnan(given.values[:, channel]).argmax(), channel)


def _where(given: LabelledSequences, step: Any, channel: Any) -> str:
    """The position of a value in messages."""
    number = int(np.searchsorted(given.offsets, step, side="right")) - 1
    within = int(step) - int(given.offsets[number])
    return f"{given.name}, sequence {given.ids[number]!r}, step {within}, channel {given.channels[channel]!r}"


def _of_table(table: DataTable, roles: SequenceRoles, missing: str, needs_labels: bool) -> LabelledSequences:
    """Sequences of the rows of a table with an id."""
    is_training = roles.categories is None
    if roles.series is None and table.series is None and is_training:
        raise UsageError(
            f"series is missing: {table.name} is a table; name the column of the ids of the sequences, one "
            f"of {table.describe()}."
        )
    if needs_labels and roles.label is None:
        raise UsageError(
            f"label is missing: {table.name} is a table; name the column of the labels, one of "
            f"{table.describe()}."
        )
    per_sequence = {"label": roles.label, "group": roles.group, "weight": roles.weight}
    for role, name in per_sequence.items():
        if name is not None and [*_all_roles(roles)].count(name) > 1:
            article = "the label" if role == "label" else f"a {role}"
            raise UsageError(f"column {name!r} is {article} and has another role; give it one role.")
        if name is not None and (needs_labels if role == "label" else is_training):
            table.column(name)
    if roles.weight is not None and roles.weight in table.columns:
        table.numbers(roles.weight)
    inputs = {name: column for name, column in table.columns.items() if name not in per_sequence.values()}
    given = ColumnRoles((), roles.input or (), (), roles.time, roles.series)
    chosen, left_out = default_roles(replace(table, columns=inputs), given, roles.input is None)
    if not len(table):
        raise DataError(f"{table.name} has no rows.")
    if not chosen.input:
        reasons = f"; left out: {', '.join(left_out)}" if left_out else ""
        raise DataError(f"{table.name} has no column that can be an input{reasons}.")
    for name in (*chosen.input, chosen.series, chosen.time):
        if name not in (None, FILE_COLUMN):
            table.column(str(name))  # an error that lists all columns, also those of labels
    panel = make_panel(replace(table, columns=inputs), chosen, missing, is_training=is_training)
    channels, values, categories = _channels(panel, roles)
    label, group, weight = (
        None
        if name is None or name not in table.columns
        else value_of_series(table.column(name), panel, role)
        for role, name in per_sequence.items()
    )
    return LabelledSequences(
        name=table.name,
        ids=(Path(table.name).stem,) if panel.names == ("",) else panel.names,
        channels=channels,
        values=values,
        offsets=panel.offsets,
        labels=label,
        label=roles.label or "label",
        sha256=table.sha256,
        dt=panel.time_differences(),
        time_unit=panel.step_size(),
        groups=None if group is None else group.as_category(),
        weights=None if weight is None else weight.values,
        categories=categories,
        left_out=tuple(left_out),
        time=chosen.time,
    )


def _all_roles(roles: SequenceRoles) -> Iterator[str | None]:
    yield from (*(roles.input or ()), roles.series, roles.time, roles.label, roles.group, roles.weight)


def _channels(
    panel: Panel, roles: SequenceRoles
) -> tuple[tuple[str, ...], Array, dict[str, tuple[str, ...]]]:
    """Names and values of the channels of the columns; a column of texts has one channel for each text."""
    names, categories = list[str](), dict[str, tuple[str, ...]]()
    columns = list[tuple[Array, int | None]]()  # numbers, or codes of texts and the code of the channel
    for name in panel.roles.input:
        column, known = panel.columns[name], roles.categories
        if name in known if known is not None else column.kind == "category":
            texts = column.categories if known is None else known[name]
            categories[name] = texts
            names += [f"{name}={text}" for text in texts]
            codes = _known_codes(panel, column.as_category(), texts)
            columns += [(codes, code) for code in range(len(texts))]
        else:
            panel.table.numbers(name)
            names.append(name)
            columns.append((column.values, None))
    values = allocate((len(panel), len(columns)), np.float64)
    for rows in row_chunks(*values.shape):
        for channel, (source, code) in enumerate(columns):
            values[rows, channel] = source[rows] if code is None else source[rows] == code
    return tuple(names), values, categories


def _known_codes(panel: Panel, column: DataColumn, texts: tuple[str, ...]) -> Array:
    """The position of each value in some texts, `(N,)`; -1 for a missing value."""
    if column.categories == texts:
        return column.values
    codes = {text: code for code, text in enumerate(texts)}
    table = np.array([codes.get(text, -2) for text in column.categories] + [-1], np.int32)
    known: Array = table[column.values]
    if (known == -2).any():
        row = int((known == -2).argmax())
        raise DataError(
            f"{panel.where(row, column.name)}: found {column.text(row)!r}, which did not occur in training; "
            f"the values there were {', '.join(texts[:10])}. Replace it by one of them, or train with rows "
            f"that have it."
        )
    return known


def _check_labels(given: LabelledSequences) -> None:
    if given.labels is None:
        raise DataError(f"{given.name} has no labels; give one for each sequence.")
    for what, column in (("label", given.labels), ("group", given.groups)):
        if column is not None and column.missing().any():
            absent = column.missing()
            others = f", one of {int(absent.sum()):,}" if absent.sum() > 1 else ""
            raise DataError(
                f"{given.name}: the {what} of sequence {given.ids[int(absent.argmax())]!r} is "
                f"missing{others}; fill it, or remove the sequence."
            )
    number = too_large(given.labels.values) if given.labels.kind == "number" else None
    if number is not None:
        hint = finite_hint(given.labels.values[number])
        raise DataError(f"{given.name}, label of sequence {given.ids[number]!r}: {hint}")
    if given.weights is not None:
        is_valid = np.isfinite(given.weights) & (given.weights > 0)
        if not is_valid.all():
            number = int(is_valid.argmin())
            raise DataError(
                f"{given.name}: the weight of sequence {given.ids[number]!r} is {given.weights[number]:g}; "
                f"expected a number above 0. Remove sequences that do not count."
            )
