"""Functions in JavaScript that read rows of a table in its own units, and return forecasts or classes.

The functions are the same for all models. They read a description of the columns and their units.
"""

from __future__ import annotations

from typing import Any

from zoo.compiler.codegen.writer import Names
from zoo.export.exported_data import TIME_STEP, SequencesExport, TableExport
from zoo.export.exported_model import ExportedModel
from zoo.export.js_source import js_value, typed_asset


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
    texts = "\n".join(typed_asset(name, model.dtype) for name in ["rows.js", *names])
    return f"/** The columns of a row, and their units. */\nconst data = {{\n{fields}\n}};\n\n{texts}"


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
    spec, scaling, columns = data.spec, data.scaling, list(data.columns)
    treatments = {"reject": "error", "forward": "before", "mask": "before"}
    numeric = {name: n for n, name in enumerate(spec.numeric)}

    def column(name: str) -> dict[str, Any]:
        texts = list(data.columns[name])
        missing = "gap" if texts and spec.missing == "mask" else treatments[spec.missing]
        return {"name": name, "texts": texts, "missing": missing, "unit": numeric.get(name)}

    arrays = (scaling.mean, scaling.scale, scaling.change, scaling.output)
    units = zip(scaling.names, *(array.tolist() for array in arrays), strict=True)
    return {
        "columns": [column(name) for name in columns],
        "targets": list(spec.roles.target),
        "known": [columns.index(name) for name in spec.roles.known_future],
        "masked": [columns.index(name) for name in spec.masked],
        "starts_at_mean": spec.missing == "mask",
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
    spec = data.spec

    def column(name: str) -> dict[str, Any]:
        texts, is_masked = list(data.columns[name]), name in spec.masked
        may_be_missing = spec.missing == "mask" and (is_masked or bool(texts))
        missing = "before" if spec.missing == "forward" else "gap" if may_be_missing else "error"
        return {"name": name, "texts": texts, "missing": missing, "is_masked": is_masked}

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
