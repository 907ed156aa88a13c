"""Cells as a forecaster of sktime; needs the extra ``sktime``.

>>> from zoo.sktime import RecurrentForecaster
>>> RecurrentForecaster(SequenceForecaster(cell="lstm")).fit(y, fh=range(1, 13)).predict()

Importing this package does not import sktime; its first use does.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {"forecaster": "RecurrentForecaster"}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS, library="sktime")
