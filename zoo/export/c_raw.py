"""C functions that read rows of a table in its own units, and return forecasts or classes.

A row holds a number for each column. In a column of texts, it is the index of the text, for which the header
declares a constant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from string import Template
from textwrap import indent
from typing import Any
from unicodedata import combining, normalize

import numpy as np

from zoo.classification.spec import SequenceSpec
from zoo.compiler.codegen.writer import Names
from zoo.data.table import MAX_NUMBER
from zoo.export.c_raw_templates import (
    BIDIRECTIONAL_HEADER,
    BIDIRECTIONAL_SOURCE,
    CLASS_LINES,
    FILL,
    INTERVAL,
    KEEP_RECENT,
    LABEL_LINES,
    LINEAR,
    MISSING,
    PROBABILITY,
    SEQUENCE_HEADER,
    SEQUENCE_SOURCE,
    STEP_SOURCE,
    STREAM_TYPE,
    TABLE_HEADER,
    TABLE_SOURCE,
    TYPE,
)
from zoo.export.c_source import c_type, number_literal, string_literal
from zoo.export.exported_data import TIME_STEP, MissingRule, SequencesExport, TableExport
from zoo.export.exported_model import ExportedModel
from zoo.forecasting.spec import ForecastSpec

_DOUBLE = np.dtype(np.float64)


class RawFunctions:
    """The functions ``start``, ``step_raw`` and ``predict_raw`` of a model with data.

    Args:
        model: The model.
        prefix: Prefix of all public names.
    """

    def __init__(self, model: ExportedModel, prefix: str) -> None:
        assert model.data is not None  # the caller asks for them
        self.model, self.data, self.prefix, self.upper = model, model.data, prefix, prefix.upper()
        self._names = Names(set())
        self.columns = {name: self._constant("COLUMN", name) for name in self.data.columns}
        self.time = self._constant("COLUMN", "TIME_STEP") if TIME_STEP in model.inputs else ""
        self.codes = {
            name: [self._constant("VALUE", f"{name}_{value}") for value in values]
            for name, values in self.data.columns.items()
        }

    def _constant(self, kind: str, text: str) -> str:
        """The name of a constant, from letters without accents and digits of a text, or else its number."""
        letters = "".join(each for each in normalize("NFKD", text) if not combining(each))
        plain = re.sub(r"[^A-Z0-9]+", "_", letters.upper(), flags=re.ASCII).strip("_")[:40].strip("_")
        return self._names.fresh(f"{self.upper}_{kind}_{plain or 'UNNAMED'}")

    def example_lines(self) -> Iterator[str]:
        """An example for the comment of the header."""
        prefix, upper = self.prefix, self.upper
        work, memory, real = "", list[str](), c_type(self.model.dtype)
        if self.model.is_bidirectional:
            work, memory = ", work", [f"static {real} work[MOST_ROWS * {upper}_WORK];"]
        if isinstance(self.data, TableExport):
            future = "future, " if self.data.spec.roles.known_future else ""
            yield f"{prefix}_raw forecast[{upper}_HORIZON][{upper}_TARGETS][{upper}_QUANTILES];"
            yield f"{prefix}_predict_raw(&{prefix}_scalings[0], rows, count, {future}forecast);"
        elif self.data.spec.is_stepwise:
            name, width = (
                ("probabilities", f" * {upper}_CLASSES") if self.data.spec.classes else ("labels", "")
            )
            yield from memory
            yield f"static {prefix}_raw {name}[MOST_ROWS{width}];"
            yield f"{prefix}_predict_raw(rows, count{work}, {name});"
        elif self.data.spec.classes:
            yield from memory
            yield f"{prefix}_raw probabilities[{upper}_CLASSES];"
            yield f"int best = {prefix}_predict_raw(rows, count{work}, probabilities);"
        else:
            yield from memory
            yield f"{prefix}_raw label;"
            yield f"{prefix}_predict_raw(rows, count{work}, &label);"

    def header_lines(self) -> Iterator[str]:
        """The lines of the header."""
        yield Template(TYPE).substitute(self._text)
        unit = f"{self.data.time_unit:g}"
        note = f"{self.time}: time from the row before, in seconds for dates; NAN for the usual {unit}"
        columns = [*self.columns.values(), *([self.time] if self.time else [])]
        yield from self._enum("the columns of a row", [*columns, f"{self.upper}_COLUMNS"])
        yield from [f"/* {note} */", ""] if self.time else []
        for codes in filter(None, self.codes.values()):
            yield from self._enum("the texts of a column, as numbers", codes)
        if isinstance(self.data, TableExport):
            yield from self._table_constants(self.data)
            yield Template(TABLE_HEADER).substitute(self._text)
        else:
            yield from self._class_constants(self.data)
            header = BIDIRECTIONAL_HEADER if self.model.is_bidirectional else SEQUENCE_HEADER
            yield Template(header).substitute(self._text)

    def _enum(self, note: str, names: list[str]) -> Iterator[str]:
        yield f"/* {note} */"
        yield "enum {"
        yield from (f"    {name}," for name in names[:-1])
        yield from (f"    {names[-1]}", "};", "")

    @property
    def _fills(self) -> bool:
        """Whether a missing value becomes the one before."""
        return "before" in self._missing

    @cached_property
    def _missing(self) -> frozenset[MissingRule]:
        """The treatments of missing values."""
        return frozenset(self.data.missing.values())

    def _table_constants(self, data: TableExport) -> Iterator[str]:
        spec, upper = data.spec, self.upper
        known, names = spec.roles.known_future, data.scaling.names
        if known:
            yield from self._enum(
                "the columns of a future row",
                [*(self._constant("FUTURE", name) for name in known), f"{upper}_KNOWN"],
            )
        if any(names):
            series = [self._constant("SERIES", name) for name in names]
            yield from self._enum("the series of training", [*series, f"{upper}_SERIES"])
        else:
            yield f"#define {upper}_SERIES 1"
        levels = ", ".join(f"{level:g}" for level in data.levels) or "the forecast itself"
        yield f"#define {upper}_CONTEXT {spec.context} /* rows that the model reads */"
        yield f"#define {upper}_HORIZON {spec.horizon} /* rows that it forecasts */"
        yield ""
        yield from self._enum(
            "the targets",
            [*(self._constant("TARGET", name) for name in spec.roles.target), f"{upper}_TARGETS"],
        )
        yield f"#define {upper}_QUANTILES {max(1, len(data.levels))} /* {levels} */"
        yield f"#define {upper}_POINT {len(data.levels) // 2} /* the quantile of the point forecast */"
        yield ""

    def _class_constants(self, data: SequencesExport) -> Iterator[str]:
        classes = data.spec.classes
        if classes:
            names = [self._constant("CLASS", name) for name in classes]
            yield from self._enum("the classes", [*names, f"{self.upper}_CLASSES"])
            yield "/* their names in UTF-8 */"
            yield f"extern const char *const {self.prefix}_classes[{self.upper}_CLASSES];"
            yield ""

    def source_lines(self) -> Iterator[str]:
        """The lines of the source, which follow the step function."""
        yield from self._constants()
        yield Template(FILL).substitute(self._text)
        sources = (
            [TABLE_SOURCE]
            if isinstance(self.data, TableExport)
            else [STREAM_TYPE, SEQUENCE_SOURCE, BIDIRECTIONAL_SOURCE]
            if self.model.is_bidirectional
            else [SEQUENCE_SOURCE, STEP_SOURCE]
        )
        yield "\n".join(Template(source).substitute(self._text) for source in sources).rstrip()

    def _constants(self) -> Iterator[str]:
        data, prefix, upper = self.data, self.prefix, self.upper
        if any(self.codes.values()):
            sizes = ", ".join(str(len(codes)) for codes in self.codes.values())
            yield from ("/* the number of different texts of each column */",)
            yield from (f"static const int texts[{len(self.codes)}] = {{{sizes}}};", "")
        if "gap" in self._missing and len(self._missing) > 1:
            marks = ", ".join(str(int(rule == "gap")) for rule in data.missing.values())
            yield from ("/* whether a value may be missing */",)
            yield from (f"static const int may_be_missing[{len(self.codes)}] = {{{marks}}};", "")
        if isinstance(data, TableExport):
            if any(data.scaling.names):
                yield from self._strings("series_names", data.scaling.names, "SERIES")
            yield f"const {prefix}_scaling {prefix}_scalings[{upper}_SERIES] = {{"
            arrays = (data.scaling.mean, data.scaling.scale, data.scaling.change, data.scaling.output)
            for each in zip(*arrays, strict=True):
                yield f"    {{{', '.join(self._braces(values) for values in each)}}},"
            yield from ("};", "")
            if data.spec.lags:
                sizes = f"[{upper}_TARGETS][{data.spec.lags}][{upper}_HORIZON]"
                yield "/* weights of the changes from the last value over 1, 2, ... rows, and a constant */"
                yield f"static const {prefix}_raw autoregression{sizes} = {{"
                for weights in data.spec.autoregression:
                    yield from ("    {", *(f"        {self._braces(each)}," for each in weights), "    },")
                yield from ("};", "")
            if data.offsets is not None:
                yield "/* what the interval adds to the outputs at both ends, in the unit of the outputs */"
                yield f"static const {prefix}_raw offsets[{upper}_HORIZON][{upper}_TARGETS] = {{"
                yield from (f"    {self._braces(each)}," for each in data.offsets)
                yield from ("};", "")
            return
        spec = data.spec
        if spec.classes:
            yield from self._strings("classes", spec.classes, "CLASSES")
        for name, values in (("mean", spec.mean), ("scale", spec.scale)):
            yield f"static const {prefix}_raw {name}[{len(values)}] = {self._braces(values)};"
        yield ""

    def _strings(self, name: str, texts: tuple[str, ...], size: str) -> Iterator[str]:
        yield f"const char *const {self.prefix}_{name}[{self.upper}_{size}] = {{"
        yield from (f"    {string_literal(text.encode())}," for text in texts)
        yield from ("};", "")

    def constant_bytes(self) -> int:
        """Bytes of the units, with values in double."""
        data = self.data
        if isinstance(data, TableExport):
            scaling = data.scaling
            elements = sum(
                each.size for each in (scaling.mean, scaling.scale, scaling.change, scaling.output)
            )
            elements += 0 if data.offsets is None else data.offsets.size
            elements += data.spec.weights.size
        else:
            elements = len(data.spec.mean) + len(data.spec.scale)
        return elements * _DOUBLE.itemsize

    def stack_bytes(self) -> int:
        """Bytes of the arrays on the stack while ``predict_raw`` runs, with values in double."""
        data, columns = self.data, len(self.columns)
        states = sum(math.prod(shape) for shape in self.model.states.values())
        elements = self.model.input_size + self.model.output_size + states
        elements = 0 if self.model.is_bidirectional else elements  # they lie in the memory of the caller
        raw = 2 * columns  # the last values and the row
        if isinstance(data, SequencesExport):
            raw -= 0 if self._fills else columns
            raw += len(data.spec.output_names) if data.spec.pooling == "mean" else 0
        else:
            raw += max(1, len(data.spec.levels))  # the quantiles of a step
            raw += data.spec.lags * len(data.spec.roles.target)
        if isinstance(data, TableExport) and data.spec.roles.known_future:
            raw += data.spec.horizon * len(data.spec.roles.known_future) + 2 * columns
        return elements * self.model.dtype.itemsize + raw * _DOUBLE.itemsize

    @cached_property
    def _text(self) -> dict[str, Any]:
        """The parts of the templates."""
        dt = f"row[{self.time}]"
        check = " || (texts[n] && !(value >= 0 && value < texts[n] && value == (int)value))"
        text = {
            "p": self.prefix,
            "U": self.upper,
            "real": c_type(self.model.dtype),
            "values": len(self.columns),
            "largest": number_literal(MAX_NUMBER, _DOUBLE),  # in single precision larger numbers are infinite
            "invalid_code": check if any(self.codes.values()) else "",
            "check_time": f"(stream->rows > 0 && ({dt} <= 0 || isinf({dt}))) || " if self.time else "",
            "time_step": self._time_step() if self.time else "",
            "dt": "dt, " if self.time else "",
            "before_parameter": f"const {self.prefix}_raw *before, " if self._fills else "",
            "last": "stream->last, " if self._fills else "",
            "missing": MISSING[self._missing],
        }
        more = (
            self._table_text(self.data)
            if isinstance(self.data, TableExport)
            else self._sequence_text(self.data)
        )
        return {**text, **more}

    def _time_step(self) -> str:
        """The declaration of the time from the row before, in the unit of training."""
        real, dt = c_type(self.model.dtype), f"row[{self.time}]"
        unit = number_literal(self.data.time_unit, _DOUBLE)
        return (
            f"    const int is_usual = stream->rows == 0 || isnan({dt});\n"
            f"    const {real} dt[1] = {{is_usual ? 1 : ({real})({dt} / ({self.prefix}_raw){unit})}};\n"
        )

    def _table_text(self, data: TableExport) -> dict[str, Any]:
        spec, prefix, upper = data.spec, self.prefix, self.upper
        known = spec.roles.known_future
        starts = (
            f"    stream->last[{self.columns[name]}] = scaling->mean[{n}];\n"
            for n, name in enumerate(spec.numeric)
        )
        outputs, lags = max(1, len(spec.levels)), spec.lags
        keep, linear = (
            Template(text).substitute(p=prefix, U=upper, lags=lags) if lags else ""
            for text in (KEEP_RECENT, LINEAR)
        )
        interval = "" if data.offsets is None else Template(INTERVAL).substitute(p=prefix, outputs=outputs)
        return {
            "outputs": outputs,
            "interval": interval,
            "numbers": len(spec.numeric),
            "series_names": f"extern const char *const {prefix}_series_names[{upper}_SERIES]; /* UTF-8 */\n"
            if any(data.scaling.names)
            else "",
            "initial": "".join(starts) if data.starts_at_mean else "",
            "inputs": "\n".join(self._table_inputs(data)),
            "base": f"{linear and 'linear_change(stream, step, n) + '}stream->last[n]"
            if spec.change
            else "unit->mean[n]",
            "recent_field": f"    {prefix}_raw recent[{lags}][{upper}_TARGETS]; /* the last ones first */\n"
            if lags
            else "",
            "keep_recent": keep,
            "linear_function": linear,
            "future_note": f"\n * `future` holds the {upper}_KNOWN known values of each of these rows."
            if known
            else "",
            "future_argument": f" const {prefix}_raw *future," if known else "",
            "future_parameter": f"const {prefix}_raw *future, " if known else "",
            "future": "future, " if known else "",
            "no_future": "NULL, " if known else "",
            "ahead": "ahead, " if known else "",
            "ahead_array": f"    {prefix}_raw ahead[{upper}_HORIZON * {upper}_KNOWN];\n" if known else "",
            "known_values": "\n".join(self._known_values(known)) + "\n" if known else "",
        }

    def _known_values(self, known: tuple[str, ...]) -> Iterator[str]:
        """The known values of the rows after a row, of which the last ones are in the future."""
        upper = self.upper
        yield f"        for (size_t step = 1; step <= {upper}_HORIZON; step++) {{"
        yield f"            {self.prefix}_raw *const values = ahead + (step - 1) * {upper}_KNOWN;"
        for n, name in enumerate(known):
            yield f"            values[{n}] = step < count"
            yield f"                ? rows[step * {upper}_COLUMNS + {self.columns[name]}]"
            yield f"                : future[(step - count) * {upper}_KNOWN + {n}];"
        yield "        }"

    def _table_inputs(self, data: TableExport) -> Iterator[str]:
        spec, real = data.spec, c_type(self.model.dtype)
        yield f"        const {self.prefix}_raw *const before = stream->rows > 0 ? stream->last : now;"
        for n, name in enumerate(spec.roles.target):
            change = f"(now[{self.columns[name]}] - before[{self.columns[name]}]) / unit->change[{n}]"
            yield f"        x[{n}] = ({real})({change});"
        first = len(spec.roles.target)
        for name in self.columns:
            yield from (f"        {line}" for line in self._input(spec, name, "now", "x", first))
            first += len(self.codes[name]) or 1
        for n, name in enumerate(spec.masked):
            yield f"        x[{first + n}] = isnan(row[{self.columns[name]}]) ? 1 : 0;"
        if spec.roles.known_future:
            yield from (f"        {line}" for line in self._future_inputs(spec))

    def _future_inputs(self, spec: ForecastSpec) -> Iterator[str]:
        known, size = spec.roles.known_future, spec.known_size
        yield f"{self.prefix}_raw next[{len(self.columns)}], given[{len(self.columns)}];"
        yield f"{c_type(self.model.dtype)} *ahead = x + {spec.past_size};"
        yield f"for (size_t n = 0; n < {len(self.columns)}; n++)"
        yield "    next[n] = given[n] = now[n];"
        yield f"for (size_t step = 0; step < {self.upper}_HORIZON; step++, ahead += {size}) {{"
        yield from (f"    given[{self.columns[name]}] = *future++;" for name in known)
        yield f"    if (fill(given, {'next, ' if self._fills else ''}next) < 0)"
        yield "        return -1;"
        first = 0
        for name in known:
            yield from (f"    {line}" for line in self._input(spec, name, "next", "ahead", first))
            first += len(self.codes[name]) or 1
        yield "}"

    def _input(self, spec: ForecastSpec, name: str, values: str, x: str, first: int) -> Iterator[str]:
        """The inputs of one column from ``first`` on: a scaled number, or ones and zeros."""
        value = f"{values}[{self.columns[name]}]"
        if codes := self.codes[name]:
            yield f"for (int n = 0; n < {len(codes)}; n++)"
            yield f"    {x}[{f'{first} + ' if first else ''}n] = {value} == n;"
        else:
            n = spec.numeric.index(name)
            scaled = f"({value} - unit->mean[{n}]) / unit->scale[{n}]"
            yield f"{x}[{first}] = ({c_type(self.model.dtype)})({scaled});"

    def _braces(self, values: Iterable[float]) -> str:
        """Numbers in braces. The casts avoid warnings of compilers if raw values are ``float``."""
        return f"{{{', '.join(f'({self.prefix}_raw){number_literal(value, _DOUBLE)}' for value in values)}}}"

    def _sequence_text(self, data: SequencesExport) -> dict[str, Any]:
        spec, upper = data.spec, self.upper
        classes = bool(spec.classes)
        names = {
            "p": self.prefix,
            "U": upper,
            "real": c_type(self.model.dtype),
            "exp": "expf" if self.model.dtype == np.float32 else "exp",
            "probability": PROBABILITY[spec.pooling],
            "label_mean": number_literal(spec.label_mean, _DOUBLE),
            "label_scale": number_literal(spec.label_scale, _DOUBLE),
        }
        lines = CLASS_LINES if classes else LABEL_LINES[spec.pooling]
        values = f"    for (size_t n = 0; n < {len(self.columns)}; n++)\n        stream->last[n] = "
        last = f"    {self.prefix}_raw last[{len(self.columns)}]; /* the last value of each column */\n"
        is_bidirectional, is_mean = self.model.is_bidirectional, spec.pooling == "mean"
        return {
            **self._sequence_times(),
            "linkage": "static " if is_bidirectional else "",
            "init": "" if is_bidirectional else f"    {self.prefix}_init(&stream->state);\n",
            "stream": "stream, " if is_mean else "",
            "stream_parameter": f"{self.prefix}_stream *stream, " if is_mean else "",
            "last_field": last if self._fills else "",
            "unknown": f"{values}NAN;\n" if self._fills else "",
            "keep": f"{values}now[n];\n" if self._fills else "",
            "inputs": "\n".join(self._sequence_inputs(spec)),
            "sums_field": f"    {self.prefix}_raw sums[{len(data.spec.output_names)}]; /* over the rows */\n"
            if is_mean
            else "",
            "result": "the class" if classes else "the label",
            "returns": "its number" if classes else "0",
            "output": f"probabilities[{upper}_CLASSES]" if classes else "*label",
            "output_name": "probabilities" if classes else "label",
            **self._sequence_outputs(spec),
            "result_lines": Template(lines).substitute(names),
        }

    def _sequence_outputs(self, spec: SequenceSpec) -> dict[str, str]:
        """The results of ``predict_raw``: of a sequence, or of each of its rows."""
        size = f"{self.upper}_CLASSES"
        if not spec.is_stepwise:
            return {
                "predicted": "a sequence",
                "note": "",
                "sequence_returns": "its number" if spec.classes else "0",
                "sequence_output": f"probabilities[{size}]" if spec.classes else "*label",
                "output_of_n": "probabilities" if spec.classes else "label",
            }
        if not spec.classes:
            return {
                "predicted": "each",
                "note": "",
                "sequence_returns": "0",
                "sequence_output": "*labels",
                "output_of_n": "labels + n",
            }
        return {
            "predicted": "each",
            "note": f"\n * `probabilities` is memory for count * {size} numbers.",
            "sequence_returns": "the number of the class of the last row",
            "sequence_output": "*probabilities",
            "output_of_n": f"probabilities + n * {size}",
        }

    def _sequence_times(self) -> dict[str, str]:
        """The statements about the times between the rows of a sequence, for a bidirectional model."""
        real, size = c_type(self.model.dtype), f"outputs + count * {self.upper}_OUTPUTS"
        if not self.time:
            return {"steps": f"    {real} *const rest = {size};\n", "time_steps": "", "steps_argument": ""}
        return {
            "steps": f"    {real} *const steps = {size}, *const rest = steps + count;\n",
            "time_steps": f"{indent(self._time_step(), '    ')}        steps[t] = dt[0];\n",
            "steps_argument": "steps, ",
        }

    def _sequence_inputs(self, spec: SequenceSpec) -> Iterator[str]:
        real, first = c_type(self.model.dtype), 0
        for name, codes in self.codes.items():
            value = f"now[{self.columns[name]}]"
            if codes:
                yield f"    for (int n = 0; n < {len(codes)}; n++)"
                scaled = f"(({value} == n) - mean[{first} + n]) / scale[{first} + n]"
                yield f"        x[{first} + n] = ({real})({scaled});"
            else:
                missing = f"isnan({value}) ? 0 : " if name in spec.masked else ""
                yield f"    x[{first}] = {missing}({real})(({value} - mean[{first}]) / scale[{first}]);"
            first += len(codes) or 1
        for n, name in enumerate(spec.masked):
            yield f"    x[{first + n}] = isnan(row[{self.columns[name]}]) ? 1 : 0;"
