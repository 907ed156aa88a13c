"""Cells as estimators of scikit-learn; needs the extra ``sklearn``.

>>> from zoo.sklearn import SequenceClassifier
>>> classifier = SequenceClassifier(cell="lstm", epochs=20).fit(sequences, classes)
>>> classifier.predict_proba(others)

Importing this package does not import scikit-learn; its first use does.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "estimators": "SequenceClassifier SequenceRegressor",
    "forecaster": "SequenceForecaster",
    "saved": "load",
    "step_estimators": "StepClassifier StepRegressor",
    "step_transformer": "StepTransformer",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS, library="scikit-learn")
