"""Cells as estimators of scikit-learn; needs the extra ``sklearn``.

>>> from zoo.sklearn import SequenceClassifier
>>> found = SequenceClassifier(cell="lstm", epochs=20).fit(sequences, classes)
>>> found.predict_proba(others)

Importing this room imports no scikit-learn; its first use does.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.sklearn.estimators import SequenceClassifier, SequenceRegressor

__all__ = ["SequenceClassifier", "SequenceRegressor"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zoo.sklearn' has no attribute {name!r}")
    if importlib.util.find_spec("sklearn") is None:
        raise UsageError("zoo.sklearn needs scikit-learn; pip install 'recurrent-zoo[sklearn]' brings it.")
    return getattr(importlib.import_module("zoo.sklearn.estimators"), name)


def __dir__() -> list[str]:
    return __all__
