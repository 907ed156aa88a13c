"""Cells as estimators of scikit-learn; needs the extra ``sklearn``.

>>> from zoo.sklearn import SequenceClassifier
>>> found = SequenceClassifier(cell="lstm", epochs=20).fit(sequences, classes)
>>> found.predict_proba(others)

Importing this room imports no scikit-learn; its first use does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.optional import offered

if TYPE_CHECKING:
    from zoo.sklearn.estimators import SequenceClassifier, SequenceRegressor

__all__ = ["SequenceClassifier", "SequenceRegressor"]


def __getattr__(name: str) -> Any:
    return offered(__name__, "estimators", __all__, "scikit-learn", name)


def __dir__() -> list[str]:
    return __all__
