"""``zoo.sklearn.load``: read a saved estimator."""

from __future__ import annotations

import os
from typing import Any

from zoo.model.checkpoint import CellClasses
from zoo.sklearn.checkpoint import load_estimator
from zoo.sklearn.estimators import SequenceClassifier, SequenceRegressor
from zoo.sklearn.forecaster import SequenceForecaster
from zoo.sklearn.step_estimators import StepClassifier, StepRegressor

_ESTIMATORS = (SequenceClassifier, SequenceRegressor, SequenceForecaster, StepClassifier, StepRegressor)


def load(path: str | os.PathLike[str], cell: CellClasses = None) -> Any:
    """Read a fitted estimator from a file that its ``save`` wrote. Nothing in the file is executed.

    >>> classifier.save("classifier.safetensors")
    >>> zoo.sklearn.load("classifier.safetensors").predict(others)

    Args:
        path: The file.
        cell: The class of the cell, if it is not registered; a list of them for several cells.

    Raises:
        CheckpointError: if the file is damaged, or holds no estimator.
    """
    return load_estimator(path, {made.__name__: made for made in _ESTIMATORS}, cell)
