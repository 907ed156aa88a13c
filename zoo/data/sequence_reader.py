"""Read labelled sequences from tables, ``.ts`` and ``.npz`` files, mappings and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.arguments import counted, short_repr
from zoo.array_types import Array
from zoo.base.names import did_you_mean
from zoo.data.compression import uncompressed_name
from zoo.data.file_digest import file_digest
from zoo.data.growing_array import allocate, row_chunks, sequence_chunks
from zoo.data.labelled_sequences import (
    STEPWISE,
    STEPWISE_ADVICE,
    LabelledSequences,
    column_of_sequences,
)
from zoo.data.panel import ColumnRoles, Panel, default_roles, make_panel, value_of_series, values_of_rows
from zoo.data.table import (
    FILE_COLUMN,
    UNSEEN,
    DataColumn,
    DataTable,
    as_table,
    finite_hint,
    in_known_order,
    is_table_like,
    too_large,
)
from zoo.data.table_files import load_arrays, read_table
from zoo.data.time_kind import TimeKind, check_time_kind, time_kind
from zoo.data.ts_file import read_ts_file
from zoo.errors import DataError, UsageError

ARRAY_NAMES = ("inputs", "labels", "lengths", "ids", "channels", "groups", "weights")
"""Names of the arrays of sequences in an ``.npz`` file; all but the first are optional."""


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
        chooses_time: Whether the only column of times is the column of times, unless ``time`` names one.
        time_kind: The kind of times that is expected; None for any.
        known_categories: In training, values of columns of texts in a trained model, which set their order.
        per_step: Whether each step has a label, and not each sequence.
    """

    label: str | None = None
    input: tuple[str, ...] | None = None
    series: str | None = None
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    categories: Mapping[str, tuple[str, ...]] | None = None
    channel_count: int | None = None
    chooses_time: bool = True
    time_kind: TimeKind | None = None
    known_categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    per_step: bool = False

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The columns whose values are names."""
        return tuple(filter(None, (self.series, self.group)))


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
    given = given.with_step_labels() if roles.per_step else given.with_sequence_labels()
    if needs_labels:
        _check_labels(given, roles.per_step)
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
        return _of_table(as_table(data, identifiers=roles.identifiers), roles, missing, needs_labels)
    if not isinstance(data, (str, os.PathLike)):
        raise UsageError(f"data is {short_repr(data)}; expected sequences, a table or the path of a file.")
    path = Path(data)
    if os.path.isdir(path):  # noqa: PTH112 - does not raise if the name is too long
        return _of_table(read_table(data, roles.identifiers), roles, missing, needs_labels)
    if uncompressed_name(path.name).lower().endswith(".ts"):
        return _of_arrays(_of_ts_file(path), roles, missing)
    if path.suffix.lower() == ".npz":
        arrays = load_arrays(path)
        if is_arrays_of_sequences(arrays):
            given = _of_mapping(arrays, roles.label, path.name, needs_labels)
            return _of_arrays(replace(given, sha256=file_digest(path)), roles, missing)
        _check_is_table(arrays, path.name)
    return _of_table(read_table(data, roles.identifiers), roles, missing, needs_labels)


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
    values, offsets, dt, unit, kind = content.sequences
    count = len(offsets) - 1
    return LabelledSequences(
        name=path.name,
        ids=tuple(map(str, range(count))),
        channels=tuple(map(str, range(values.shape[1]))),
        values=values,
        offsets=offsets,
        labels=column_of_sequences(content.labels, count, "label", path.name),
        label="label",
        sha256=content.sha256,
        dt=dt,
        time_unit=unit,
        time_kind=kind,
    )


def _of_arrays(given: LabelledSequences, roles: SequenceRoles, missing: str) -> LabelledSequences:
    """Choose channels, and check the values."""
    is_training = roles.categories is None
    for flag in ("series", "time", "group", "weight") if is_training else ():
        if getattr(roles, flag) is not None:
            raise UsageError(f"{flag} is given, but {given.name} is not a table; leave it out.")
    check_time_kind(given.name, given.time_kind, roles.time_kind, None)
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
        setting = ", or give `missing='forward'` or `missing='mask'`" if is_training else ""
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
        setting = ", or give `missing='mask'`" if is_training else ""
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
    series = roles.series or table.series
    if series is None and is_training and not roles.per_step:
        raise UsageError(
            f"series is missing: {table.name} is a table; name the column of the ids of the sequences, one "
            f"of {table.describe()}. If the table is one sequence with a label in each row, give "
            f"`pooling={STEPWISE!r}` instead."
        )
    if series is None and roles.group is not None and is_training:
        raise UsageError(
            f"group is {roles.group!r}, and {table.name} is one sequence; name the column of the sequences "
            f"with `series`."
        )
    if needs_labels and roles.label is None:
        raise UsageError(
            f"label is missing: {table.name} is a table; name the column of the labels, one of "
            f"{table.describe()}."
        )
    per_sequence = {"label": roles.label, "group": roles.group, "weight": roles.weight}
    for role, name in per_sequence.items():
        is_series = role == "group" and name == series  # each sequence is a group
        if name is not None and not is_series and [*_all_roles(roles)].count(name) > 1:
            article = "the label" if role == "label" else f"a {role}"
            raise UsageError(f"column {name!r} is {article} and has another role; give it one role.")
        if name is not None and (needs_labels if role == "label" else is_training):
            table.column(name)
    if roles.weight is not None and roles.weight in table.columns:
        table.numbers(roles.weight)
    inputs = {
        name: column
        for name, column in table.columns.items()
        if name == series or name not in per_sequence.values()
    }
    given = ColumnRoles((), roles.input or (), (), roles.time, roles.series)
    chosen, left_out = default_roles(
        replace(table, columns=inputs), given, roles.input is None, roles.chooses_time
    )
    if not len(table):
        raise DataError(f"{table.name} has no rows.")
    if not chosen.input:
        reasons = f"; left out: {', '.join(left_out)}" if left_out else ""
        raise DataError(f"{table.name} has no column that can be an input{reasons}.")
    for name in (*chosen.input, chosen.series, chosen.time):
        if name not in (None, FILE_COLUMN):
            table.column(str(name))  # an error that lists all columns, also those of labels
    times = None if chosen.time is None else table.column(chosen.time)
    if times is None or times.kind != "category":  # whose texts are an error below
        kind = time_kind(None if times is None else times.values)
        check_time_kind(table.name, kind, roles.time_kind, chosen.time)  # before the order of the times
    panel = make_panel(replace(table, columns=inputs), chosen, missing, is_training=is_training)
    channels, values, categories, unseen = _channels(panel, roles, missing)
    label, group, weight = (
        None
        if name is None or name not in table.columns
        else _values_of_role(table.column(name), panel, role, roles.per_step)
        for role, name in per_sequence.items()
    )
    return LabelledSequences(
        name=table.name,
        ids=(Path(uncompressed_name(table.name)).stem,) if panel.names == ("",) else panel.names,
        channels=channels,
        values=values,
        offsets=panel.offsets,
        labels=label,
        label=roles.label or "label",
        sha256=table.sha256,
        dt=panel.time_differences(),
        time_unit=panel.step_size(),
        time_kind=panel.time_kind,
        groups=None if group is None else group.as_category(),
        weights=None if weight is None else weight.values,
        categories=categories,
        left_out=tuple(left_out),
        time=chosen.time,
        times=panel.times,
        is_utc=panel.is_utc,
        unseen=unseen,
    )


def _values_of_role(column: DataColumn, panel: Panel, role: str, per_step: bool) -> DataColumn:
    """A label, group or weight of each sequence `(N,)`, or the label or weight of each step `(R,)`."""
    if per_step and role != "group":
        return values_of_rows(column, panel)
    return value_of_series(column, panel, role, advice=STEPWISE_ADVICE if role == "label" else "")


def _all_roles(roles: SequenceRoles) -> Iterator[str | None]:
    yield from (*(roles.input or ()), roles.series, roles.time, roles.label, roles.group, roles.weight)


def _channels(
    panel: Panel, roles: SequenceRoles, missing: str
) -> tuple[tuple[str, ...], Array, dict[str, tuple[str, ...]], dict[int, str]]:
    """The channels of the columns. A column of texts has one channel for each text.

    Returns:
        The names and the values of the channels, the texts of each column of texts, and a sentence for each
        sequence with a text that did not occur in training.
    """
    names, categories = list[str](), dict[str, tuple[str, ...]]()
    unseen = dict[int, str]()
    columns = list[tuple[Array, int | None]]()  # numbers, or codes of texts and the code of the channel
    for name in panel.roles.input:
        column, known = panel.columns[name], roles.categories
        if name in known if known is not None else column.kind == "category":
            before = roles.known_categories.get(name, ())
            texts = in_known_order(column.categories, before) if known is None else known[name]
            categories[name] = texts
            names += [f"{name}={text}" for text in texts]
            codes = column.as_category().codes_in(texts)
            unseen |= _unseen_texts(panel, column.as_category(), codes, texts, missing)
            columns += [(codes, code) for code in range(len(texts))]
        else:
            panel.table.numbers(name)
            names.append(name)
            columns.append((column.values, None))
    values = allocate((len(panel), len(columns)), np.float64)
    for rows in row_chunks(*values.shape):
        for channel, (source, code) in enumerate(columns):
            values[rows, channel] = source[rows] if code is None else source[rows] == code
    return tuple(names), values, categories, unseen


def _unseen_texts(
    panel: Panel, column: DataColumn, codes: Array, texts: tuple[str, ...], missing: str
) -> dict[int, str]:
    """A sentence about the first text of each sequence that did not occur in training."""
    rows = np.flatnonzero(codes == UNSEEN)
    numbers, first = np.unique(np.searchsorted(panel.offsets, rows, side="right") - 1, return_index=True)
    empty = "" if missing == "reject" else ", leave it empty"
    return {
        int(number): (
            f"{panel.where(row, column.name)}: found {column.text(row)!r}, which did not occur in training; "
            f"the values there were {', '.join(texts[:10])}. Replace it by one of them{empty}, or train with "
            f"rows that have it."
        )
        for number, row in zip(numbers.tolist(), rows[first].tolist(), strict=True)
    }


def _check_labels(given: LabelledSequences, per_step: bool) -> None:
    unit = "step" if per_step else "sequence"
    if given.labels is None or (per_step and given.labels.missing().all()):
        raise DataError(f"{given.name} has no labels; give one for each {unit}.")
    for what, column in (("label", given.labels), ("group", given.groups)):
        if per_step and what == "label":  # steps without a label have neither a loss nor a score
            continue
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
        sequence, step = given.step_of(number) if per_step else (number, 0)
        at = f"step {step} of " if per_step else ""
        raise DataError(f"{given.name}, label of {at}sequence {given.ids[sequence]!r}: {hint}")
    if given.weights is not None:
        _check_weights(given, given.weights, given.labels)


def _check_weights(given: LabelledSequences, weights: Array, labels: DataColumn) -> None:
    """Check the weights of sequences; or of the steps that have a label."""
    is_of_steps = len(weights) != len(given)
    if is_of_steps and len(labels) != len(weights):
        raise DataError(f"{given.name} has a weight for each step and a label for each sequence.")
    is_valid = np.isfinite(weights) & (weights > 0)
    if is_of_steps:
        is_valid |= labels.missing()
    if is_valid.all():
        return
    index = int(is_valid.argmin())
    number, owner, advice = index, "sequence", "Remove sequences that do not count."
    if is_of_steps:
        number, step = given.step_of(index)
        owner, advice = (
            f"step {step} of sequence",
            ("Leave the label empty if a step does not count; in arrays, `np.where(mask, labels, np.nan)`."),
        )
    raise DataError(
        f"{given.name}: the weight of {owner} {given.ids[number]!r} is {weights[index]:g}; expected a number "
        f"above 0. {advice}"
    )
