"""Labels of sequences and their steps: classification and regression, baselines, scores, predictions.

A name is imported when it is first used.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "predictor": "Predictions Predictor",
    "spec": "SequenceSpec",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
