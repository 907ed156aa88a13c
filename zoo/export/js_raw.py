"""Functions in JavaScript that read rows of a table in its own units, and return forecasts or classes.

The functions are the same for all models. They read a description of the columns and their units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.compiler.codegen.writer import Names
from zoo.export.exported_data import TIME_STEP, MissingRule, SequencesExport, TableExport
from zoo.export.exported_model import ExportedModel
from zoo.export.js_source import asset, js_value
from zoo.export.js_types import field_name, object_type, text_type, typedef


def data_names(model: ExportedModel) -> list[str]:
    """The names that a module of a model with data exports, the main function first."""
    if isinstance(model.data, TableExport):
        return ["forecast", "Stream", "series"]
    return ["predict"] if model.is_bidirectional else ["predict", "Stream"]


def data_options(model: ExportedModel) -> list[str]:
    """The options that the main function needs."""
    if not isinstance(model.data, TableExport):
        return []
    has_future, has_series = bool(model.data.spec.roles.known_future), len(model.data.scaling.names) > 1
    return ["future"] * has_future + ["series"] * has_series


def data_text(model: ExportedModel) -> str:
    """The description of the data, and the functions."""
    assert model.data is not None  # the caller asks for it
    described = _table(model.data) if isinstance(model.data, TableExport) else _sequences(model.data)
    described |= {"time_step": _time_step(model), "time_unit": model.data.time_unit}
    fields = "\n".join(f"    {js_value(name)}: {js_value(value)}," for name, value in described.items())
    names = ["forecast.js"]
    if isinstance(model.data, SequencesExport):
        names = ["predict.js", "predict_sequence.js" if model.is_bidirectional else "predict_stream.js"]
    texts = "\n".join(asset(name) for name in ["rows.js", *names])
    types = "\n".join(_types(model))
    return (
        f"{types}\n/** The columns of a row, and their units. */\nconst data = {{\n{fields}\n}};\n\n{texts}"
    )


def _types(model: ExportedModel) -> Iterator[str]:
    """The comments that define the types of rows and results."""
    data = model.data
    assert data is not None  # the caller asks for it
    fields = {name: _value_types(texts, data.missing[name]) for name, texts in data.columns.items()}
    step = _time_step(model)
    times = {} if step is None else {f"{field_name(step)}?": ("number", "null")}
    order = "`info.columns`" if step is None else "`info.columns`, then the time from the row before"
    text = f"A row of the table: its values by column, or in the order of {order}."
    yield typedef("Row", f"{text}{_missing_text(fields)}", _row_type(fields, times))
    if isinstance(data, SequencesExport):
        yield from _prediction_types(data)
        return
    known = {name: fields[name] for name in data.spec.roles.known_future}
    text = "A row of the future: the columns that are known in advance, `info.known_future`."
    yield typedef("FutureRow", f"{text}{_missing_text(known)}", _row_type(known, {}))
    text = "The number or the name of a series of `series`, or the units of another one."
    units = object_type(dict.fromkeys(("mean", "scale", "change", "output"), "ArrayLike<number>"))
    yield typedef("Series", text, f"number|string|{units}")
    point = "{point: number}" if data.offsets is None else "{point: number, low: number, high: number}"
    text = (
        "The forecast of a row: of each target the point, and the ends of its interval if the model has one."
    )
    yield typedef("Forecast", text, object_type({field_name(name): point for name in data.spec.roles.target}))


def _value_types(texts: tuple[str, ...], missing: MissingRule) -> tuple[str, ...]:
    """The types of the values of a column: a number may stand for its text, null for a missing value."""
    return ("string",) * bool(texts) + ("number",) + ("null",) * (missing != "error")


def _row_type(columns: Mapping[str, tuple[str, ...]], times: Mapping[str, tuple[str, ...]]) -> str:
    """A row as an array or an object."""
    kinds = {kind for each in (*columns.values(), *times.values()) for kind in each}
    ordered = "|".join(kind for kind in ("number", "string", "null") if kind in kinds) or "never"
    fields = {field_name(name): "|".join(each) for name, each in columns.items()}
    return (
        f"ArrayLike<{ordered}>|{object_type(fields | {name: '|'.join(each) for name, each in times.items()})}"
    )


def _missing_text(columns: Mapping[str, tuple[str, ...]]) -> str:
    return " A missing value is null." if any("null" in each for each in columns.values()) else ""


def _prediction_types(data: SequencesExport) -> Iterator[str]:
    spec = data.spec
    text, fields = "The label, in the units of the table.", {"label": "number"}
    if spec.classes:
        text = "The class, its number in `info.classes`, and the probabilities of all classes."
        classes = "|".join(map(text_type, spec.classes))
        fields = {"class": classes, "number": "number", "probabilities": "number[]"}
    yield typedef("Prediction", text, object_type(fields))
    text = "The prediction of a sequence."
    if spec.is_stepwise:
        text = "The predictions of a sequence, one for each row."
    yield typedef("Result", text, "Prediction" + "[]" * spec.is_stepwise)


def _time_step(model: ExportedModel) -> str | None:
    """The key of the time from the row before; None if the cell does not read it."""
    assert model.data is not None  # the caller asks for it
    return Names(set(model.data.columns)).fresh("time_step") if TIME_STEP in model.inputs else None


def data_info(model: ExportedModel) -> dict[str, Any]:
    """The parts of the description that a user of the module needs."""
    data = model.data
    assert data is not None  # the caller asks for it
    columns = [{"name": name, "texts": list(texts)} for name, texts in data.columns.items()]
    info: dict[str, Any] = {"columns": columns, "time_step": _time_step(model)}
    if isinstance(data, SequencesExport):
        return {**info, "classes": list(data.spec.classes)}
    spec = data.spec
    return {
        **info,
        "targets": list(spec.roles.target),
        "known_future": list(spec.roles.known_future),
        "context": spec.context,
        "horizon": spec.horizon,
        "levels": list(data.levels),
    }


def _table(data: TableExport) -> dict[str, Any]:
    spec, scaling, columns, missing = data.spec, data.scaling, list(data.columns), data.missing
    numeric = {name: n for n, name in enumerate(spec.numeric)}

    def column(name: str) -> dict[str, Any]:
        texts = list(data.columns[name])
        return {"name": name, "texts": texts, "missing": missing[name], "unit": numeric.get(name)}

    arrays = (scaling.mean, scaling.scale, scaling.change, scaling.output)
    units = zip(scaling.names, *(array.tolist() for array in arrays), strict=True)
    return {
        "columns": [column(name) for name in columns],
        "targets": list(spec.roles.target),
        "known": [columns.index(name) for name in spec.roles.known_future],
        "masked": [columns.index(name) for name in spec.masked],
        "starts_at_mean": data.starts_at_mean,
        "context": spec.context,
        "horizon": spec.horizon,
        "quantiles": max(1, len(spec.levels)),
        "offsets": None if data.offsets is None else data.offsets.tolist(),
        "forecasts_change": bool(spec.change),
        "lags": spec.lags,
        "autoregression": [[list(row) for row in each] for each in spec.autoregression] if spec.lags else [],
        "series": [
            dict(zip(("name", "mean", "scale", "change", "output"), each, strict=True)) for each in units
        ],
    }


def _sequences(data: SequencesExport) -> dict[str, Any]:
    spec, missing = data.spec, data.missing

    def column(name: str) -> dict[str, Any]:
        texts, is_masked = list(data.columns[name]), name in spec.masked
        return {"name": name, "texts": texts, "missing": missing[name], "is_masked": is_masked}

    return {
        "columns": [column(name) for name in data.columns],
        "mean": list(spec.mean),
        "scale": list(spec.scale),
        "classes": list(spec.classes),
        "pooling": spec.pooling,
        "is_stepwise": spec.is_stepwise,
        "label_mean": spec.label_mean,
        "label_scale": spec.label_scale,
    }
