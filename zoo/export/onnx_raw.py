"""ONNX graphs that read rows of a table in its own units, and return forecasts or classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo.data.table import MAX_NUMBER
from zoo.export.exported_data import TIME_STEP, SequencesExport, TableExport
from zoo.export.exported_model import ExportedModel
from zoo.export.onnx_graph import GraphBuilder, onnx_package
from zoo.forecasting.spec import ForecastSpec

_DOUBLE = np.dtype(np.float64)
_END = 2**31 - 1


class RawGraph:
    """The nodes before and after a model that reads the scaled rows of its table.

    Args:
        model: The model.
        builder: Its graph.

    Attributes:
        inputs: The inputs of the graph.
        outputs: The outputs of the graph, after :meth:`write_results`.
    """

    def __init__(self, model: ExportedModel, builder: GraphBuilder) -> None:
        assert model.data is not None  # the caller asks for it
        self.model, self.data, self.builder = model, model.data, builder
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        width = len(self.data.columns) + (TIME_STEP in model.inputs)
        self._rows = self._input("rows", _DOUBLE, ["time", "batch", width])
        self._units: dict[str, str] = {}
        self._future = ""
        self._targets = ""  # of all rows, without missing ones

    def _input(self, name: str, dtype: np.dtype[Any], shape: Sequence[Any]) -> str:
        name = self.builder.fresh(name)
        self.inputs.append(_info(name, dtype, shape))
        return name

    def _output(self, name: str, value: str, dtype: np.dtype[Any], shape: Sequence[Any]) -> None:
        """An output: NaN, or -1 for a class, where a row holds a number that Python rejects."""
        name = self.builder.fresh(name)
        axes = [-1 if size == "batch" else 1 for size in shape]
        is_valid = self.builder.add("Reshape", self._are_valid(), self.builder.integers(*axes))
        invalid = self.builder.constant(np.array(np.nan if dtype.kind == "f" else -1, dtype), "invalid")
        node = onnx_package().helper.make_node("Where", [is_valid, value, invalid], [name], name=name)
        self.builder.nodes.append(node)
        self.outputs.append(_info(name, dtype, shape))

    def _are_valid(self) -> str:
        """Whether all numbers of a sequence are finite and not too large, ``(B,)``."""
        add, valid = self.builder.add, list[str]()
        largest = self.builder.constant(np.array(MAX_NUMBER), "largest")
        for rows in filter(None, (self._rows, self._future)):
            is_huge = self._cast(add("Greater", add("Abs", rows), largest), _DOUBLE)
            count = add("ReduceSum", is_huge, self.builder.integers(0, 2), keepdims=0)
            valid.append(add("Equal", count, self.builder.constant(np.array(0.0), "none")))
        return valid[0] if len(valid) == 1 else add("And", *valid)

    # ---- inputs of the model ----

    def write_inputs(self) -> tuple[str, dict[str, str], dict[str, str]]:
        """Write the scaling; the input of the model, its initial states, and its auxiliary inputs."""
        if isinstance(self.data, TableExport):
            x = self._table_inputs(self.data)
        else:
            x = self._sequence_inputs(self.data)
        return x, dict(self._initial_states()), self._time_steps()

    def _table_inputs(self, data: TableExport) -> str:
        add, spec = self.builder.add, data.spec
        arrays = {name: getattr(data.scaling, name) for name in ("mean", "scale", "change", "output")}
        if len(data.scaling.names) > 1:
            series = self._input("series", np.dtype(np.int64), ["batch"])
            self._units = {
                name: add("Gather", self.builder.constant(value, name), series, axis=0)
                for name, value in arrays.items()
            }
        else:
            self._units = {name: self.builder.constant(value[0], name) for name, value in arrays.items()}
        columns = list(data.columns)
        known = [columns.index(name) for name in spec.roles.known_future]
        if known:
            self._future = self._input("future", _DOUBLE, [spec.horizon, "batch", len(known)])
        rows = self._filled(self._select(self._rows, range(len(columns))), columns)
        self._targets = self._select(rows, range(len(spec.roles.target)))
        past = self._scaled(spec, rows, columns)
        change = add("Div", self._changes(), self._units["change"])
        masks = [self._missing(columns.index(name)) for name in spec.masked]
        x = add("Concat", self._cast(change), past, *masks, axis=-1)
        x = self._last(x, spec.context)
        if not known:
            return x
        names = list(spec.roles.known_future)
        rows = add("Concat", self._select(self._rows, known), self._future, axis=0)
        after = self._scaled(spec, self._filled(rows, names), names)
        after = self._last(after, spec.context + spec.horizon)
        steps = np.arange(spec.context)[:, None] + np.arange(1, spec.horizon + 1)
        after = add("Gather", after, self.builder.constant(steps, "steps"), axis=0)
        after = add("Transpose", after, perm=[0, 2, 1, 3])
        after = add("Reshape", after, self.builder.integers(0, 0, spec.horizon * spec.known_size))
        return add("Concat", x, after, axis=-1)

    def _filled(self, rows: str, columns: Sequence[str]) -> str:
        """The rows with the value before in place of a missing one, in the columns with this rule."""
        filled = [at for at, name in enumerate(columns) if self.data.missing[name] == "before"]
        others = [at for at in range(len(columns)) if at not in filled]
        if not filled:
            return rows
        if not others:
            return self._fill(rows, self._before_first(columns))
        part = self._fill(self._select(rows, filled), self._before_first([columns[at] for at in filled]))
        whole = self.builder.add("Concat", part, self._select(rows, others), axis=-1)
        return self._select(whole, np.argsort([*filled, *others]).tolist())

    def _before_first(self, columns: Sequence[str]) -> str:
        """The values before the first row: the means of the series, or missing ones."""
        if isinstance(self.data, TableExport) and self.data.starts_at_mean:
            numeric = self.data.spec.numeric
            return self._select(self._units["mean"], [numeric.index(name) for name in columns])
        return self.builder.constant(np.full(len(columns), np.nan), "unknown")

    def _fill(self, rows: str, initial: str) -> str:
        """A Scan that keeps the last value of each column."""
        builder, inner, helper = self.builder, self.builder.inner(), onnx_package().helper
        kind = helper.np_dtype_to_tensor_dtype(_DOUBLE)
        last, now = inner.fresh("last"), inner.fresh("now")
        value = inner.add("Where", inner.add("IsNaN", now), last, now)
        outputs = [inner.add("Identity", value, name="kept"), inner.add("Identity", value, name="filled")]
        infos = [helper.make_tensor_value_info(name, kind, ["batch", None]) for name in (last, now, *outputs)]
        body = helper.make_graph(inner.nodes, "fill", infos[:2], infos[2:])
        first = builder.add("Gather", rows, builder.integer(0), axis=0)
        start = builder.add("Expand", initial, builder.add("Shape", first))
        attributes = {"body": body, "num_scan_inputs": 1}
        return builder.add_many("Scan", [start, rows], ["kept", "filled"], attributes)[1]

    def _scaled(self, spec: ForecastSpec, rows: str, columns: Sequence[str]) -> str:
        """The inputs of some columns: scaled numbers, and a one among zeros for each text."""
        add, parts = self.builder.add, list[str]()
        for position, name in enumerate(columns):
            if name in spec.categories:
                parts.append(self._one_hot(rows, position, len(spec.categories[name])))
                continue
            at = [spec.numeric.index(name)]
            centred = add("Sub", self._select(rows, [position]), self._select(self._units["mean"], at))
            parts.append(self._cast(add("Div", centred, self._select(self._units["scale"], at))))
        return parts[0] if len(parts) == 1 else add("Concat", *parts, axis=-1)

    def _one_hot(self, rows: str, position: int, count: int) -> str:
        codes = self.builder.constant(np.arange(count, dtype=np.float64), "codes")
        return self._cast(self.builder.add("Equal", self._select(rows, [position]), codes))

    def _missing(self, position: int) -> str:
        return self._cast(self.builder.add("IsNaN", self._select(self._rows, [position])))

    def _changes(self) -> str:
        """The change of each target from the row before; zero in the first row."""
        first, others = self._slice(self._targets, 0, 1), self._slice(self._targets, 0, -1)
        return self.builder.add("Sub", self._targets, self.builder.add("Concat", first, others, axis=0))

    def _sequence_inputs(self, data: SequencesExport) -> str:
        add, spec, parts, first = self.builder.add, data.spec, list[str](), 0
        mean, scale = np.array(spec.mean), np.array(spec.scale)
        rows = self._filled(self._select(self._rows, range(len(data.columns))), list(data.columns))
        for position, (name, values) in enumerate(data.columns.items()):
            channels = slice(first, first + (len(values) or 1))
            first = channels.stop
            value = self._select(rows, [position])
            if values:
                codes = self.builder.constant(np.arange(len(values), dtype=np.float64), "codes")
                value = self._cast(add("Equal", value, codes), _DOUBLE)
            centred = add("Sub", value, self.builder.constant(mean[channels], "mean"))
            scaled = add("Div", centred, self.builder.constant(scale[channels], "scale"))
            if name in spec.masked:
                zero = self.builder.constant(np.zeros(1), "zero")
                scaled = add("Where", add("IsNaN", value), zero, scaled)
            parts.append(self._cast(scaled))
        columns = list(data.columns)
        parts += [self._missing(columns.index(name)) for name in spec.masked]
        return parts[0] if len(parts) == 1 else add("Concat", *parts, axis=-1)

    def _time_steps(self) -> dict[str, str]:
        """The time from the row before in the unit of training; 1 in the first row, and where it is NaN."""
        if TIME_STEP not in self.model.inputs:
            return {}
        add = self.builder.add
        column = add("Gather", self._rows, self.builder.integer(len(self.data.columns)), axis=-1)
        usual = self.builder.constant(np.ones((1, 1)), "usual_step")
        after = self._slice(column, 1, _END)
        scaled = add("Div", after, self.builder.constant(np.array(self.data.time_unit), "unit"))
        after = add("Where", add("IsNaN", after), usual, scaled)
        first = add("Expand", usual, add("Shape", self._slice(column, 0, 1)))
        steps = self._cast(add("Concat", first, after, axis=0))
        if isinstance(self.data, TableExport):
            steps = self._last(steps, self.data.spec.context)
        return {TIME_STEP: steps}

    def _initial_states(self) -> Iterator[tuple[str, str]]:
        """The initial states of each sequence: zeros, or the learned ones."""
        builder = self.builder
        batch = self._slice(builder.add("Shape", self._rows), 1, 2)
        for direction in self.model.directions:
            for name, shape in direction.states().items():
                learned = direction.initial.get(name, np.zeros(shape))
                value = builder.constant(
                    learned.astype(self.model.dtype).reshape(1, *shape), f"initial_{name}"
                )
                size = builder.add("Concat", batch, builder.integers(*shape), axis=0)
                yield f"{direction.spec.prefix}{name}", builder.add("Expand", value, size)

    # ---- results ----

    def write_results(self, y: str) -> None:
        """Write the results in the units of the table.

        Args:
            y: The outputs of the model, ``(T, B, V)``.
        """
        if isinstance(self.data, TableExport):
            self._write_forecast(self.data, y)
        else:
            self._write_prediction(self.data, y)

    def _write_forecast(self, data: TableExport, y: str) -> None:
        add, integers, spec = self.builder.add, self.builder.integers, data.spec
        shape = spec.horizon, len(spec.roles.target), max(1, len(spec.levels))
        last = add("Gather", y, self.builder.integer(-1), axis=0)
        outputs = self._cast(add("Reshape", last, integers(0, *shape)), _DOUBLE)
        level = (
            add("Gather", self._targets, self.builder.integer(-1), axis=0)
            if spec.change
            else self._select(self._units["mean"], range(shape[1]))
        )
        level, unit = (
            add("Reshape", each, integers(-1, 1, shape[1], 1)) for each in (level, self._units["output"])
        )
        if spec.lags:
            level = add("Add", level, self._linear_changes(spec))
        forecast = add("Add", add("Mul", outputs, unit), level)
        if shape[2] > 1:  # quantiles that cross are rearranged
            attributes = {"axis": -1, "largest": 0, "sorted": 1}
            forecast = self.builder.add_many(
                "TopK", [forecast, integers(shape[2])], ["ascending", "order"], attributes
            )[0]
        point = ends = self._select(forecast, [shape[2] // 2])
        if data.offsets is not None:
            margin = add("Mul", self.builder.constant(data.offsets[..., None], "offsets"), unit)
            low = add("Sub", self._select(forecast, [0]), margin)
            high = add("Add", self._select(forecast, [shape[2] - 1]), margin)
            ends = add("Concat", add("Min", low, point), point, add("Max", high, point), axis=-1)
        self._output("forecast", ends, _DOUBLE, ["batch", *shape[:2], max(1, len(data.levels))])

    def _linear_changes(self, spec: ForecastSpec) -> str:
        """The changes from the last value that the autoregression forecasts, ``(B, h, M, 1)``."""
        add, changes = self.builder.add, list[str]()
        recent = self._last(self._targets, spec.lags)
        last = self._slice(recent, -1, _END)
        before = add("Transpose", add("Sub", self._slice(recent, 0, -1), last), perm=[2, 1, 0])
        for index, weights in enumerate(spec.weights):
            drift = self.builder.constant(weights[-1], "drift")
            change = add("Mul", self._select(self._units["change"], [index]), drift)
            change = add("Reshape", change, self.builder.integers(-1, spec.horizon))
            if spec.lags > 1:
                of_lags = self.builder.constant(weights[-2::-1], "autoregression")
                past = add("Gather", before, self.builder.integer(index), axis=0)
                change = add("Add", change, add("MatMul", past, of_lags))
            changes.append(add("Unsqueeze", change, self.builder.integers(2)))
        whole = changes[0] if len(changes) == 1 else add("Concat", *changes, axis=2)
        return add("Unsqueeze", whole, self.builder.integers(3))

    def _write_prediction(self, data: SequencesExport, y: str) -> None:
        add, spec = self.builder.add, data.spec
        y = self._cast(y, _DOUBLE)
        if spec.pooling == "last":
            y = add("Gather", y, self.builder.integer(-1), axis=0)
        if spec.classes:
            y = add("Softmax", y, axis=-1)
        if spec.pooling == "mean":
            y = add("ReduceMean", y, self.builder.integers(0), keepdims=0)
        shape: list[Any] = ["time", "batch"] if spec.is_stepwise else ["batch"]
        if spec.classes:
            self._output("probabilities", y, _DOUBLE, [*shape, len(spec.classes)])
            best = add("ArgMax", y, axis=-1, keepdims=0)
            self._output("class", best, np.dtype(np.int64), shape)
            return
        scale, mean = (
            self.builder.constant(np.array(value), "label") for value in (spec.label_scale, spec.label_mean)
        )
        label = add("Add", add("Mul", add("Squeeze", y, self.builder.integers(-1)), scale), mean)
        self._output("label", label, _DOUBLE, shape)

    # ---- pieces ----

    def _select(self, value: str, positions: Sequence[int]) -> str:
        """Some positions of the last axis."""
        return self.builder.add("Gather", value, self.builder.integers(*positions), axis=-1)

    def _slice(self, value: str, start: int, end: int) -> str:
        """A range of the first axis."""
        ends = (self.builder.integers(each) for each in (start, end, 0))
        return self.builder.add("Slice", value, *ends)

    def _last(self, value: str, count: int) -> str:
        return self._slice(value, -count, _END)

    def _cast(self, value: str, dtype: np.dtype[Any] | None = None) -> str:
        """A value in the model's dtype, or another one."""
        kind = onnx_package().helper.np_dtype_to_tensor_dtype(dtype or self.model.dtype)
        return self.builder.add("Cast", value, to=kind)


def _info(name: str, dtype: np.dtype[Any], shape: Sequence[Any]) -> Any:
    helper = onnx_package().helper
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
