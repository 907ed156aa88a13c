"""Untrained models with the columns and units of a table, for tests of exports."""

from __future__ import annotations

import numpy as np

import zoo
from zoo.classification import Predictor
from zoo.data import LabelledSequences
from zoo.forecasting import Forecaster
from zoo.forecasting.calibration import Calibration
from zoo.training.config_conversion import make_config
from zoo.training.sequence_preparation import prepare_sequences
from zoo.training.series_dataset import prepare_table

HORIZON, CONTEXT = 3, 6


def forecaster(table, target=("y",), cell="vanilla", **settings):
    """A forecaster with random parameters and errors, and the units of a table."""
    given = {"hidden": 5, "context": CONTEXT, "horizon": HORIZON, **settings}
    config, dataset = prepare_table(make_config({"data": ("x",), "target": target, **given}), table)
    model = dataset.make_model(zoo.get_cell(cell), config)
    windows = dataset.windows
    spec, levels = windows.spec, max(1, len(windows.spec.levels))
    errors = np.random.default_rng(2).normal(size=(20, spec.horizon, len(spec.roles.target), 1))
    errors = errors - np.linspace(-1, 1, levels) * (levels > 1)
    seen = dict.fromkeys(windows.scaling.names, 1e9)  # so no row adds errors
    calibration = Calibration(errors.astype(np.float32), seen)
    return Forecaster(with_random_parameters(model), spec, windows.scaling, table, calibration)


def predictor(sequences, cell="vanilla", **settings):
    """A predictor with random parameters and the units of labelled sequences."""
    given = {"data": ("x",), "kind": "sequences", "hidden": 5, **settings}
    config, dataset = prepare_sequences(make_config(given), sequences)
    model = dataset.make_model(zoo.get_cell(cell), config)
    return Predictor(with_random_parameters(model), dataset.scaled.spec, sequences)


def with_random_parameters(model):
    """The model with random biases and initial states too."""
    model.theta = np.random.default_rng(1).normal(0, 0.4, model.theta.shape)
    return model


def series_table(rows=40, seed=0, **columns):
    """A random walk ``y`` far from zero, and other columns."""
    y = 1e5 + np.random.default_rng(seed).normal(size=rows).cumsum()
    return {"y": y, **columns}


def rich_table(rows=40, complete_start=False):
    """Two series with a category, a known future, and missing values; and rows of the future.

    Args:
        rows: Rows of each series.
        complete_start: Whether the first rows have no missing values.

    Returns:
        The table, and the rows of the future.
    """
    rng = np.random.default_rng(3)
    names, count = np.repeat(["north", "süd"], rows), 2 * rows
    y = 20 + np.repeat([0.0, 100.0], rows) + rng.normal(size=count).cumsum()
    load = rng.normal(5, 2, count)
    load[rng.integers(0, count, 12)] = np.nan
    y[[0, 9, rows - 2]] = np.nan
    if complete_start:
        y[0] = load[0] = load[rows] = 5.0
    colour = rng.choice(["red", "green", "blue"], count).astype(object)
    colour[[3, rows - 1]] = None
    holiday = rng.choice(["no", "yes"], count)
    table = {
        "region": names,
        "y": y,
        "load": load,
        "colour": colour,
        "price": rng.normal(size=count) + 3,
        "holiday": holiday,
        "warmth": rng.normal(15, 4, count),
    }
    future = {
        "region": np.repeat(["north", "süd"], HORIZON),
        "y": np.full(2 * HORIZON, np.nan),
        "load": np.full(2 * HORIZON, np.nan),
        "colour": np.full(2 * HORIZON, None, object),
        "price": np.full(2 * HORIZON, np.nan),
        "holiday": rng.choice(["no", "yes"], 2 * HORIZON).astype(object),
        "warmth": rng.normal(15, 4, 2 * HORIZON),
    }
    future["holiday"][0], future["warmth"][[0, 2]] = None, np.nan
    return table, future


def rich_forecaster(missing):
    """The rich table, its future, and a forecaster of two targets with categories and a known future.

    With ``forward`` the categories have an embedding.
    """
    table, future = rich_table(complete_start=missing == "forward")
    trained = forecaster(
        table,
        ("y", "load"),
        series="region",
        known_future=("holiday", "warmth"),
        missing=missing,
        loss="squared_error",
        predict="level" if missing == "forward" else "correction",
        embedding=2 if missing == "forward" else None,
        dtype="float64",
    )
    return table, future, trained


def timed_table():
    """Twenty labelled series of five rows, with uneven times, a number and a text."""
    rng = np.random.default_rng(2)
    return {
        "id": np.repeat([f"s{n}" for n in range(20)], 5),
        "t": np.tile(np.array([0.0, 10, 20, 40, 50]), 20),
        "x": rng.normal(size=100),
        "state": rng.choice(["on", "off"], 100),
        "way": np.repeat(rng.choice(["a", "b"], 20), 5),
    }


def labelled(classes=True, missing=False):
    """Sequences of three channels with labels, and the sequences as arrays.

    Args:
        classes: Whether labels are classes.
        missing: Whether values of the second channel are missing.
    """
    rng = np.random.default_rng(0)
    parts = [rng.normal(5, 3, size=(rng.integers(4, 9), 3)) for _ in range(40)]
    labels = (
        ["up" if part[0, 0] > 5 else "down" for part in parts] if classes else [part.sum() for part in parts]
    )
    for part in parts if missing else []:
        part[rng.integers(len(part)), 1] = np.nan
    return LabelledSequences.from_arrays(parts, labels), parts


def with_future(table, future):
    """A table with the rows of the future."""
    return {name: np.concatenate([table[name], future[name]]) for name in table}


def raw_rows(table, columns, numbers):
    """Rows as an export reads them: a category is the number of its value, a missing value NaN.

    Args:
        table: Columns.
        columns: The values of each column that is read; empty for numbers.
        numbers: The rows to take.
    """
    rows = np.empty((len(numbers), len(columns)))
    for position, (name, values) in enumerate(columns.items()):
        column = np.asarray(table[name])[numbers]
        code = {None: np.nan, **{value: code for code, value in enumerate(values)}}
        rows[:, position] = [code[value] for value in column] if values else column
    return rows
