"""The description of a model of a table for its web page: columns, sentences, and an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zoo.arguments import counted
from zoo.export.exported_data import DataExport, SequencesExport, TableExport
from zoo.export.exported_model import ExportedModel
from zoo.export.html_example import example_csv
from zoo.export.js_raw import data_info
from zoo.forecasting.spec import ForecastSpec

_SHOWN = 20
_IGNORED = "Other columns are ignored."
_DATES, _NUMBERS = "dates such as 2024-05-01 13:00", "numbers"


def table_facts(data: DataExport) -> Iterator[tuple[str, str]]:
    """Names and values for the list of facts about the model."""
    if isinstance(data, TableExport):
        yield "forecast", f"{_listed(data.spec.roles.target)}, {counted(data.spec.horizon, 'row')} ahead"
        yield "context", counted(data.spec.context, "row")
        return
    unit = "step" if data.spec.is_stepwise else "sequence"
    yield "label", f"{data.spec.label}, one for each {unit}"
    if data.spec.classes:
        yield "classes", _listed(data.spec.classes)


def table_fields(model: ExportedModel, example: str | None) -> dict[str, Any]:
    """The fields of the description that the script of the page reads.

    Args:
        model: A model of a table.
        example: Rows to begin with, as CSV; None for random ones.
    """
    data = model.data
    assert data is not None  # the caller checks it
    fields = _forecast_fields(data) if isinstance(data, TableExport) else _sequence_fields(data)
    if example is None:
        fields["about"] += " The example has random rows in the units of training."
    return {
        **fields,
        "needs_series": _needs_series(data),
        "step_column": step_column(model),
        "time_kind": data.spec.time_kind,
        "columns": [*_columns(data, step_column(model))],
        "example": example_csv(data, step_column(model)) if example is None else example,
    }


def _forecast_fields(data: TableExport) -> dict[str, Any]:
    return {
        "series": data.spec.roles.series,
        "time": data.spec.roles.time,
        "label": None,
        "command": "forecast",
        "button": "Forecast",
        "about": " ".join(_forecast_sentences(data)),
        "limits": " ".join([_IGNORED, *_limits(data)]),
    }


def _sequence_fields(data: SequencesExport) -> dict[str, Any]:
    return {
        "series": data.spec.series,
        "time": data.spec.time,
        "label": data.spec.label,
        "command": "predict",
        "button": "Predict",
        "about": " ".join(_sequence_sentences(data)),
        "limits": _IGNORED,
    }


def step_column(model: ExportedModel) -> str | None:
    """The column of the times between rows, for a model that was trained on arrays with times."""
    data = model.data
    if not isinstance(data, SequencesExport) or data.spec.time is not None:
        return None  # the times, if any, are in a column of the table
    if data.spec.time_kind not in ("number", "date"):
        return None
    name: str | None = data_info(model)["time_step"]
    return name


def _needs_series(data: DataExport) -> bool:
    """Whether rows must name their series, since each one has its own units."""
    return isinstance(data, TableExport) and len(data.scaling.names) > 1


def _limits(data: TableExport) -> list[str]:
    limits = []
    if data.spec.roles.series is not None:
        limits.append("This page forecasts only the series that the model was trained on.")
    if data.offsets is not None:
        limits.append(
            "The interval uses errors that were measured in training. zoo forecast also uses errors in later "
            "rows."
        )
    return limits


def _forecast_sentences(data: TableExport) -> list[str]:
    spec, known = data.spec, data.spec.roles.known_future
    each = " of each series" if _needs_series(data) else ""
    sentences = [f"Give {counted(spec.context, 'row')} or more{each}."]
    if known:
        sentences.append(
            f"Then add {counted(spec.horizon, 'row')} of the future with {_listed(known)}, and leave "
            f"{_listed(spec.roles.target)} empty.{_past_inputs(spec)}"
        )
    sentences.append(f"The page forecasts the next {counted(spec.horizon, 'row')}.")
    return sentences


def _past_inputs(spec: ForecastSpec) -> str:
    """A sentence about the inputs that rows of the future need not have."""
    past = [
        name for name in spec.roles.features if name not in (*spec.roles.target, *spec.roles.known_future)
    ]
    return f" There {_listed(past)} may be empty, too." if past else ""


def _sequence_sentences(data: SequencesExport) -> list[str]:
    spec = data.spec
    if spec.series is None:
        return ["All rows are one sequence."]
    return [f"The rows with the same {spec.series} are one sequence. Without this column all rows are one."]


def _columns(data: DataExport, row_interval: str | None) -> Iterator[tuple[str, str, str]]:
    """For each column its name, its use and its values."""
    is_numeric = data.spec.time_kind == "number"
    owner = data.spec.roles if isinstance(data, TableExport) else data.spec
    series, time = owner.series, owner.time
    if series is not None:
        is_optional = not _needs_series(data)
        values = _listed(data.scaling.names) if isinstance(data, TableExport) else "any names"
        noun = "series" if isinstance(data, TableExport) else "sequence"
        yield series, f"name of the {noun}", f"{values}{', or leave the column out' * is_optional}"
    if time is not None:
        yield time, "time", f"{_NUMBERS if is_numeric else _DATES}, in ascending order"
    for name, texts in data.columns.items():
        values = _listed(texts) if texts else _NUMBERS
        may_be_missing = data.missing[name] != "error"
        yield name, _use(data, name), f"{values}{', or empty' * may_be_missing}"
    if row_interval is not None:
        unit = "in the unit of training" if is_numeric else "in seconds"
        yield (
            row_interval,
            "time from the row before",
            f"{_NUMBERS}, {unit}; empty in the first row of each sequence",
        )
    if isinstance(data, SequencesExport):
        values = _listed(data.spec.classes) or _NUMBERS
        yield data.spec.label, "label (optional)", f"{values}, shown next to the prediction"


def _use(data: DataExport, name: str) -> str:
    if not isinstance(data, TableExport):
        return "input"
    roles = data.spec.roles
    return "target" if name in roles.target else "known future" if name in roles.known_future else "input"


def _listed(names: Sequence[str]) -> str:
    """Names in a row, at most twenty."""
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
