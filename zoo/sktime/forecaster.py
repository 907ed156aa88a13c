"""``zoo.sktime.RecurrentForecaster``: the forecaster of ``zoo.sklearn`` with the interface of sktime."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from zoo.arguments import short_repr
from zoo.array_types import Array
from zoo.data.column_notes import NoteWords
from zoo.errors import UsageError
from zoo.sklearn import SequenceForecaster


class RecurrentForecaster(BaseForecaster):  # type: ignore[misc]
    """A recurrent network as a forecaster of sktime, for one or several series with exogenous columns.

    The forecasting horizon of ``fit`` sets the horizon of the network. The columns of X are known in advance,
    as in sktime. Forecasts start after the newest rows of ``fit`` or ``update``.

    >>> from sktime.datasets import load_airline
    >>> from zoo.sklearn import SequenceForecaster
    >>> from zoo.sktime import RecurrentForecaster
    >>> forecaster = RecurrentForecaster(SequenceForecaster("vanilla", steps=20, random_state=0))
    >>> forecaster.fit(load_airline(), fh=[1, 2, 3]).predict().shape
    (3,)

    Args:
        estimator: A :class:`zoo.sklearn.SequenceForecaster` with the settings of the network, in which
            ``horizon``, ``target``, ``known_future``, ``time`` and ``series`` have no effect; None for the
            defaults. With a ``patience`` it keeps rows for validation, from whose errors
            ``predict_interval`` comes.

    Attributes:
        estimator_: The fitted estimator.
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["zoo"],
        "maintainers": ["zoo"],
        "python_dependencies": ["scikit-learn"],
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:insample": False,
        "capability:missing_values": False,
        "capability:pred_int": False,  # unless the estimator keeps rows for validation
        "capability:pred_int:insample": False,
        "capability:categorical_in_X": False,
        "capability:update": True,
        "requires-fh-in-fit": True,
    }

    def __init__(self, estimator: SequenceForecaster | None = None) -> None:
        self.estimator = estimator
        super().__init__()
        self.set_tags(**{"capability:pred_int": getattr(estimator, "patience", None) is not None})

    def _fit(self, y: Any, X: Any, fh: Any) -> RecurrentForecaster:
        given = SequenceForecaster() if self.estimator is None else self.estimator
        if not isinstance(given, SequenceForecaster):
            raise UsageError(
                f"estimator is {short_repr(given)}; expected a zoo.sklearn.SequenceForecaster, for example "
                f"SequenceForecaster(cell='gru')."
            )
        params = {**given.get_params(deep=False), "target": None, "series": None}
        inputs = _inputs(y.index, X)
        names = [name for name in inputs if name != "time"]
        roles = {"known_future": names, "time": "time" if "time" in inputs else None}
        horizon = int(fh.to_relative(self.cutoff).to_numpy().max())
        estimator = SequenceForecaster(**{**params, **roles, "horizon": horizon})
        estimator._note_words = _note_words(y, X)
        self.estimator_ = estimator.fit(inputs or None, _targets(y))
        self._history = y, X
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> RecurrentForecaster:
        y, X = (
            old if new is None else new.combine_first(old)
            for old, new in zip(self._history, (y, X), strict=True)
        )
        if update_params:
            return self._fit(y, X, self.fh)
        self._history = y, X
        return self

    def _predict(self, fh: Any, X: Any) -> Any:
        values = self._values(fh, X, level=0)[:, :, 0]
        return pd.DataFrame(values, fh.to_absolute_index(self.cutoff), self._history[0].columns)

    def _predict_interval(self, fh: Any, X: Any, coverage: list[float]) -> Any:
        bounds = [self._values(fh, X, level) for level in coverage]
        if any(each.shape[2] == 1 for each in bounds):
            raise ValueError("RecurrentForecaster: the rows for validation are too few for an interval.")
        values = np.stack([each[:, :, [0, -1]] for each in bounds], axis=2).reshape(len(bounds[0]), -1)
        columns = self._get_columns(method="predict_interval", coverage=coverage)
        return pd.DataFrame(values, fh.to_absolute_index(self.cutoff), columns)

    def _values(self, fh: Any, X: Any, level: float) -> Array:
        """Forecasts of the steps of ``fh``, `(n, M, Q)`."""
        y, known = self._history
        index = y.index
        if known is not None:
            ahead = ForecastingHorizon(np.arange(1, self.estimator_.horizon + 1))
            future = ahead.to_absolute_index(self.cutoff)
            known = pd.concat([known, X.reindex(future).ffill().bfill()])
            index = index.append(future)
        forecast = self.estimator_.forecast(_inputs(index, known) or None, _targets(y), level=level)
        steps = fh.to_relative(self.cutoff).to_numpy().astype(int) - 1
        values: Array = forecast.values[0, steps]
        return values

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:  # noqa: ARG003
        """Parameters with which the checks of sktime construct forecasters."""
        small: dict[str, Any] = {"hidden_size": 2, "steps": 2, "threads": 1, "random_state": 0}
        return [
            {"estimator": SequenceForecaster("vanilla", context=context, **small)} for context in (None, 3)
        ]


def _inputs(index: Any, X: Any) -> dict[str, Any]:
    """The times and the exogenous columns by name; times only if they are dates."""
    times = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
    inputs = {"time": times.to_numpy()} if isinstance(times, pd.DatetimeIndex) else {}
    return inputs if X is None else inputs | {f"x{n}": X.iloc[:, n].to_numpy() for n in range(X.shape[1])}


def _note_words(y: Any, X: Any) -> NoteWords:
    """The names of the columns of X and y in warnings, and what to change in these."""
    names = {f"y{n}": name for n, name in enumerate(y.columns)}
    names |= {} if X is None else {f"x{n}": name for n, name in enumerate(X.columns)}
    return NoteWords(
        missing="replace it before `fit`, for example by the value before it",
        order="leave it out of X",
        column="column {!r}",
        names=names,
    )


def _targets(y: Any) -> dict[str, Any]:
    return {f"y{n}": y.iloc[:, n].to_numpy() for n in range(y.shape[1])}
