"""``Windows``: the inputs and targets of a model at any rows of a panel, gathered without Python loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from zoo.array_types import Array
from zoo.data.growing_array import allocate, row_chunks
from zoo.data.panel import Panel
from zoo.data.table import UNSEEN
from zoo.errors import DataError
from zoo.field_repr import one_line_repr
from zoo.forecasting.autoregression import predicted_changes
from zoo.forecasting.scaling import Scaling
from zoo.forecasting.spec import ForecastSpec

_BLOCK = 32
"""Rows of a matrix product of the autoregression; batches draw about 50 successive rows."""


@one_line_repr
@dataclass(frozen=True, eq=False)
class Windows:
    """Scaled columns of a panel, and windows of them.

    A window ends at an *origin*, the last row that the model reads. Its targets are the rows after it.

    Attributes:
        spec: The inputs and outputs.
        scaling: The units of the series.
        offsets: The first row of each series, and N, `(S + 1,)`.
        past: Inputs of each row, `(N, P)`: level and change of each target, the other columns.
        known: Inputs of each row that are known in advance, `(N, K)`.
        outputs: Targets minus their mean, in the unit of the outputs, once for each quantile, `(N, M Q)`. A
            missing one is the one before.
        missing: Whether each target of a row is missing, once for each quantile, `(N, M Q)`; None if none is.
        dt: Time from the row before in the unit of the spec, `(N,)`; None without times.
        unseen: Whether each row has a value that did not occur in training, `(N,)`, for each category with
            such a value. The code of such a value is zero for all values of training.
    """

    spec: ForecastSpec
    scaling: Scaling
    offsets: Array
    past: Array
    known: Array
    outputs: Array
    missing: Array | None
    dt: Array | None
    unseen: Mapping[str, Array] = field(default_factory=dict)

    @property
    def levels(self) -> Array:
        """Targets minus their mean, in the unit of the outputs, `(N, M)`."""
        return self.outputs[:, :: max(len(self.spec.levels), 1)]

    def inputs(self, origins: Array) -> Array:
        """The inputs of the windows that end at some rows, `(T, B, I)`."""
        rows = self.context_rows(origins)
        if not self.known.shape[1]:
            return self.past.take(rows, axis=0)  # a tenth of the time of self.past[rows]
        width = self.past.shape[1]
        x = np.empty((*rows.shape, self.spec.input_size), self.past.dtype)
        x[..., :width] = self.past.take(rows, axis=0)
        x[..., width:] = self._after(self.known)[rows]
        return x

    def series(self, rows: Array) -> Array:
        """The numbers of the series of some rows."""
        numbers: Array = np.searchsorted(self.offsets, rows, side="right") - 1
        return numbers

    def context_rows(self, origins: Array) -> Array:
        """The rows of the windows that end at some rows, `(T, B)`."""
        steps: Array = np.arange(1 - self.spec.context, 1)[:, None] + origins
        return steps

    def targets(self, rows: Array, out: Array | None = None) -> Array:
        """The targets of some rows, of any shape, in the form of the outputs: `(..., V)`.

        Args:
            rows: The rows.
            out: A contiguous array for the result; None for a new one.
        """
        if self.spec.horizon == 1:
            after: Array = self.outputs.take(rows + 1, axis=0)  # a third of the time of the view
        else:
            after = self._after(self.outputs)[rows]
        out = np.empty_like(after) if out is None else out
        targets, copies = len(self.spec.roles.target), max(len(self.spec.levels), 1)
        if not self.spec.change:
            out[:] = after
        elif self.spec.autoregression:
            last = self.linear_changes(rows)
            last += self.outputs.take(rows, axis=0)[..., None, ::copies]
            shape = *last.shape, copies
            for quantile in range(copies):  # a third of the time of one statement
                np.subtract(after.reshape(shape)[..., quantile], last, out=out.reshape(shape)[..., quantile])
        elif targets == 1:  # one long loop: a tenth of the time of loops over quantiles
            np.subtract(after, self.outputs.take(rows, axis=0)[..., :1], out=out)
        else:
            shape = *rows.shape, self.spec.horizon, targets * copies
            last = self.outputs.take(rows, axis=0)[..., None, :]
            np.subtract(after.reshape(shape), last, out=out.reshape(shape))
        return out

    def reference(self, origins: Array) -> Array:
        """The forecasts that the outputs correct, `(n, h, M)`: zero, the last value, or an autoregression."""
        forecasts = np.zeros((len(origins), self.spec.horizon, len(self.spec.roles.target)))
        if self.spec.change:
            forecasts += self.levels[origins][:, None]
        if self.spec.autoregression:
            forecasts += self.linear_changes(origins)
        return forecasts

    def linear_changes(self, rows: Array) -> Array:
        """The changes after some rows that the autoregression forecasts, `(..., h, M)`, as the outputs.

        They are computed once for each row: computing them for each batch took 0.6 of 3.7 ms of an update.
        """
        stored, is_stored = self._linear_changes
        blocks = rows // _BLOCK
        if not is_stored.take(blocks).all():
            absent = np.unique(blocks[~is_stored[blocks]])
            for first in range(0, len(absent), _BLOCK):
                some = absent[first : first + _BLOCK]
                stored[some] = self._linear_changes_of(some[:, None] * _BLOCK + np.arange(_BLOCK))
            is_stored[absent] = True
        return stored.reshape(-1, *stored.shape[2:]).take(rows, axis=0)

    @cached_property
    def _linear_changes(self) -> tuple[Array, Array]:
        """The linear changes of blocks of rows `(n, _BLOCK, h, M)`, and whether each is computed, `(n,)`.

        A row is computed with its block, because a matrix product may round a row differently with other
        rows, and a resumed run draws them in another order.
        """
        count = -(-len(self.outputs) // _BLOCK)
        shape = count, _BLOCK, self.spec.horizon, len(self.spec.roles.target)
        return allocate(shape, self.outputs.dtype), np.zeros(count, bool)

    def _linear_changes_of(self, rows: Array) -> Array:
        rows = np.minimum(rows, len(self.outputs) - 1)
        series, levels = self.series(rows), self.levels
        sizes = (self.scaling.change / self.scaling.output)[series]
        changes = [
            predicted_changes(levels[:, index], rows, self.offsets[series], sizes[..., index], weights)
            for index, weights in enumerate(self.spec.weights)
        ]
        return np.stack(changes, axis=-1)

    def missing_targets(self, rows: Array) -> Array | None:
        """Whether each of the targets of some rows is missing, `(..., V)`; None if none is in any row."""
        return None if self.missing is None else np.asarray(self._after(self.missing)[rows])

    def reads_unseen(self, origins: Array) -> Array:
        """Whether each window that ends at some rows reads a value that did not occur in training, `(n,)`."""
        is_read = np.zeros(len(origins), bool)
        for name, marks in self.unseen.items():
            first, end = self._read_rows(name, origins)
            counts = np.concatenate([[0], np.cumsum(marks)])
            is_read |= counts[end] > counts[first]
        return is_read

    def first_unseen(self, origin: int) -> tuple[str, int] | None:
        """The column and the row of the first such value in the window that ends at a row, or None."""
        for name, marks in self.unseen.items():
            first, end = self._read_rows(name, np.array([origin]))
            rows = np.flatnonzero(marks[first[0] : end[0]])
            if len(rows):
                return name, int(first[0] + rows[0])
        return None

    def _read_rows(self, name: str, origins: Array) -> tuple[Array, Array]:
        """The rows of a column that windows read, which end at some rows: the first, and the end."""
        series = self.series(origins)
        ahead = self.spec.horizon if name in self.spec.roles.known_future else 0
        first = np.maximum(origins + 1 - self.spec.context, self.offsets[series])
        return first, np.minimum(origins + 1 + ahead, self.offsets[series + 1])

    def aux(self, origins: Array, names: tuple[str, ...]) -> dict[str, Any]:
        """The time between rows, ``dt (T, B)``, if it is among the inputs that the cells declare."""
        if self.dt is None or "dt" not in names:
            return {}
        return {"dt": self.dt[self.context_rows(origins)]}

    def _after(self, columns: Array) -> Array:
        """For each row the values of the next h rows, `(N - h, h C)`, as a view."""
        count, width = columns.shape
        shape = max(count - self.spec.horizon, 0), self.spec.horizon * width
        if shape[0] == 0:
            return np.empty(shape, columns.dtype)
        strides = width * columns.itemsize, columns.itemsize  # rows are contiguous
        view: Array = as_strided(columns[1:], shape, strides, writeable=False)
        return view


def make_windows(panel: Panel, spec: ForecastSpec, scaling: Scaling, dtype: Any) -> Windows:
    """Scale the columns of a panel.

    Args:
        panel: The series.
        spec: The inputs and outputs.
        scaling: The units of each of its series.
        dtype: Of the arrays.

    Raises:
        DataError: if the panel is read for training, and a category has a value that did not occur in the
            training part.
    """
    count, series = len(panel), panel.series_of_row
    targets = len(spec.roles.target)
    past = allocate((count, spec.past_size), dtype)
    known = allocate((count, spec.known_size), dtype)
    copies = max(len(spec.levels), 1)
    outputs = allocate((count, targets * copies), dtype)
    index = {name: position for position, name in enumerate(spec.numeric)}
    filled = {name: _filled(panel, name, scaling.mean[:, index[name]]) for name in spec.numeric}
    codes = {
        name: panel.columns[name].as_category().codes_in(texts) for name, texts in spec.categories.items()
    }
    starts = np.zeros(count, bool)
    starts[panel.offsets[:-1]] = True
    for rows in row_chunks(count):
        of = series[rows]
        past_columns, known_columns = list[Array](), list[Array]()
        for target, name in enumerate(spec.roles.target):
            values = filled[name]
            centred = values[rows] - scaling.mean[of, target]
            level = centred / scaling.output[of, target]
            outputs[rows, target * copies : (target + 1) * copies] = level[:, None]
            before = values[max(rows.start - 1, 0) : rows.stop - 1]
            change = np.zeros(len(centred))
            change[len(change) - len(before) :] = values[rows][len(change) - len(before) :] - before
            change[starts[rows]] = 0.0
            past_columns.append(change / scaling.change[of, target])
        for name in spec.roles.features:
            if name in codes:
                one_hot = codes[name][rows, None] == np.arange(len(spec.categories[name]))
                columns = list(one_hot.T)
            else:
                position = index[name]
                values = filled[name][rows]
                columns = [(values - scaling.mean[of, position]) / scaling.scale[of, position]]
            past_columns += columns
            if name in spec.roles.known_future:
                known_columns += columns
        past_columns += [panel.columns[name].missing()[rows] for name in spec.masked]
        for position, values in enumerate(past_columns):
            past[rows, position] = values
        for position, values in enumerate(known_columns):
            known[rows, position] = values
    absent = np.stack([panel.columns[name].missing() for name in spec.roles.target], axis=1)
    missing = np.repeat(absent, copies, axis=1) if absent.any() else None
    differences = panel.time_differences(spec.time_unit)
    dt = None if differences is None else differences.astype(dtype)
    unseen = {name: each == UNSEEN for name, each in codes.items() if (each == UNSEEN).any()}
    if panel.is_training:
        for name, marks in unseen.items():
            raise DataError(unseen_sentence(panel, spec, name, int(marks.argmax())))
    return Windows(spec, scaling, panel.offsets, past, known, outputs, missing, dt, unseen)


def _filled(panel: Panel, name: str, mean: Array) -> Array:
    """A column of numbers; a missing one is the one before in its series, or else the mean."""
    panel.table.numbers(name)  # raises an error for texts
    column = panel.columns[name]
    absent = column.missing()
    if not absent.any():
        return column.values
    source = np.where(absent, 0, np.arange(len(column)))
    source[panel.offsets[:-1]] = panel.offsets[:-1]
    values = column.values[np.maximum.accumulate(source)]
    leading = np.isnan(values)
    values[leading] = mean[panel.series_of_row[leading]]
    return values


def unseen_sentence(panel: Panel, spec: ForecastSpec, name: str, row: int) -> str:
    """A sentence about a value that did not occur in training, and its cure.

    Args:
        panel: The series.
        spec: The inputs.
        name: The column of the value.
        row: The row of the panel.
    """
    text, known = panel.columns[name].as_category().text(row), spec.categories[name]
    # An empty text in a column of Python is a value. Files have none.
    missing = "leave it empty" if text else "give None for a missing value"
    empty = "" if spec.missing == "reject" else f", {missing}"
    cure = (
        "enlarge the training part with `split`, or list only the other columns in `input`"
        if panel.is_training
        else "or train with rows that have it"
    )
    return (
        f"{panel.where(row, name)}: found {text!r}, which did not occur in training; the values there were "
        f"{', '.join(known[:10])}. Replace it by one of them{empty}, {cure}."
    )
