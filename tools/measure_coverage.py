"""Measure how many actual values lie within the interval of a forecast, on series of statsmodels.

    pip install statsmodels
    python tools/measure_coverage.py

Each row is the mean of three seeds of a `vanilla` network of 32 units, on all windows of the test part.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import zoo
from zoo.data import DataTable, make_panel
from zoo.forecasting import Forecaster
from zoo.forecasting.evaluation import actual_after, part_origins, split_ends
from zoo.forecasting.predict import network_forecasts
from zoo.forecasting.windows import make_windows

SEEDS = 3
TRAINING = {"cell": "vanilla", "hidden": 32, "batch": 32, "steps": 400, "lr": 0.005, "eval_every": 20}


def load() -> dict[str, Any]:
    """The table of docs/howto/forecast.md."""
    rng = np.random.default_rng(0)
    hour, day = np.arange(2400) % 24, np.arange(2400) // 24
    workday = np.where((day % 7 < 5) & (rng.random(100)[day] > 0.1), 1, 0)
    peaks = 8 * np.exp(-((hour - 8) ** 2) / 8) + 6 * np.exp(-((hour - 18) ** 2) / 12)
    shape = np.where(workday, peaks, 5 * np.exp(-((hour - 13) ** 2) / 30))
    level = 1 + rng.normal(size=2400).cumsum() / 200
    return {"y": ((20 + shape) * level + rng.normal(size=2400) / 2).round(2), "workday": workday}


def series() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Names, tables and settings."""
    from statsmodels import datasets

    yield "load", load(), {"horizon": 24, "context": 48, "season": 24, "known_future": "workday"}
    for name, column, horizon, context, season in (
        ("sunspots", "SUNACTIVITY", 10, 40, 11),
        ("co2", "co2", 12, 104, 52),
        ("elnino", None, 12, 36, 12),
        ("nile", "volume", 3, 20, 1),
        ("macrodata", "infl", 4, 24, 1),
    ):
        frame = getattr(datasets, name).load_pandas().data
        values = frame.iloc[:, 1:].stack() if column is None else frame[column].interpolate()
        settings = {"horizon": horizon, "context": context, "season": season}
        yield name, {"y": values.to_numpy(float)}, settings


def network_coverage(forecaster: Forecaster) -> float:
    """The coverage of the quantiles of the network alone."""
    spec = forecaster.spec
    panel = make_panel(DataTable.from_arrays(forecaster.data), spec.roles)
    windows = make_windows(panel, spec, forecaster.scaling, forecaster.model.dtype)
    (rows,) = part_origins(panel, split_ends(panel, spec.split), "test", spec, spec.horizon)
    values, actual = (
        network_forecasts(forecaster.model, windows, np.array(rows)),
        actual_after(panel, np.array(rows), spec.horizon),
    )
    return float(((values[..., 0] <= actual) & (actual <= values[..., -1])).mean())


def main() -> int:
    """Print the table."""
    print("| series | rows | horizon | quantiles of the network | `interval` | `squared_error` |")
    print("|---|---|---|---|---|---|")
    for name, table, settings in series():
        shares: dict[str, list[float]] = {"network": [], "interval": [], "squared_error": []}
        for seed in range(SEEDS):
            for loss in ("interval", "squared_error"):
                forecaster = zoo.fit(table, "y", loss=loss, seed=seed, **{**TRAINING, **settings})
                (scores,) = forecaster.backtest(stride=1).scores["targets"]
                shares[loss].append(scores["metrics"]["model"]["coverage"]["value"])
                if loss == "interval":
                    shares["network"].append(network_coverage(forecaster))
        cells = " | ".join(f"{np.mean(values):.2f}" for values in shares.values())
        print(f"| `{name}` | {len(table['y']):,} | {settings['horizon']} | {cells} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
