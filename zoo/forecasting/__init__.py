"""Forecasting: windows of time series, baselines, errors with intervals, forecasts and backtests.

A name is imported when it is first used.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "baselines": "BASELINES",
    "forecaster": "Backtest Forecast Forecaster",
    "spec": "ForecastSpec",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
