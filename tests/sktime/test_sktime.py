"""``zoo.sktime.RecurrentForecaster``: the checks of sktime, and the forecasts of ``zoo.sklearn``."""

from __future__ import annotations

import importlib.util
import pickle

import numpy as np
import pytest

import zoo.sktime as zoo_sktime
from zoo.errors import UsageError, ZooWarning

pytest.importorskip("sktime", reason="needs the extra `sktime`")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

import pandas as pd  # noqa: E402
from sktime.forecasting.model_selection import ForecastingGridSearchCV  # noqa: E402
from sktime.split import ExpandingWindowSplitter  # noqa: E402
from sktime.utils.estimator_checks import check_estimator  # noqa: E402

from zoo.sklearn import SequenceForecaster  # noqa: E402
from zoo.sktime import RecurrentForecaster  # noqa: E402

MONTHS = pd.period_range("2000-01", periods=60, freq="M")
Y = pd.Series(np.sin(np.arange(60) / 3) + np.arange(60) / 30, MONTHS, name="load")
X = pd.DataFrame({"phase": np.sin((np.arange(66) + 1) / 3)}, pd.period_range("2000-01", periods=66, freq="M"))


def estimator(**settings):
    small = {"hidden_size": 4, "context": 8, "steps": 20, "threads": 1, "random_state": 0, "dtype": "float64"}
    return SequenceForecaster("vanilla", **{**small, **settings})


def test_checks_of_sktime():
    results = check_estimator(RecurrentForecaster, verbose=False)
    assert len(results) > 500
    assert [f"{name}: {each!r}"[:300] for name, each in results.items() if each != "PASSED"] == []


@pytest.mark.parametrize("value", ["gru", SequenceForecaster, 3], ids=str)
def test_estimator_of_another_type_is_named(value):
    with pytest.raises(UsageError, match=r"estimator is .*; expected a zoo\.sklearn\.SequenceForecaster"):
        RecurrentForecaster(value).fit(Y, fh=[1])


def test_forecasts_are_those_of_the_estimator():
    forecaster = RecurrentForecaster(estimator()).fit(Y, fh=[1, 4])
    forecast = forecaster.predict()
    expected = (
        estimator(horizon=4).fit({"time": MONTHS.to_timestamp().to_numpy(), "y": Y.to_numpy()}).predict()
    )
    np.testing.assert_allclose(forecast, expected[[0, 3], 0])
    assert forecast.index.tolist() == [pd.Period("2005-01", "M"), pd.Period("2005-04", "M")]
    assert forecast.name == "load"
    assert forecaster.estimator_.forecaster_.spec.season == 12


def test_columns_of_x_are_known_in_advance():
    forecaster = RecurrentForecaster(estimator()).fit(Y, X[:60], fh=range(1, 7))
    forecast = forecaster.predict(X=X[60:])
    expected = forecaster.estimator_.predict(
        {"time": X.index.to_timestamp().to_numpy(), "x0": X["phase"].to_numpy()}, {"y0": Y.to_numpy()}
    )
    np.testing.assert_allclose(forecast, expected[:, 0])
    assert not np.allclose(forecaster.predict(X=-X[60:]), forecast)


def test_failed_update_keeps_the_last_fit():
    forecaster = RecurrentForecaster(estimator()).fit(Y[:50], fh=[1, 2])
    before = forecaster.estimator_, forecaster._history
    with pytest.raises(ValueError, match="the value is missing"):
        forecaster._update(Y[50:].where(Y.index[50:] < Y.index[55]).to_frame())
    assert (forecaster.estimator_, forecaster._history) == before


def test_update_continues_with_or_without_training():
    start = RecurrentForecaster(estimator()).fit(Y[:50], fh=[1, 2])
    theta = start.estimator_.forecaster_.model.theta.copy()
    start.update(Y[50:], update_params=False)
    assert start.predict().index[0] == pd.Period("2005-01", "M")
    assert (start.estimator_.forecaster_.model.theta == theta).all()
    start.update(Y[50:], update_params=True)
    np.testing.assert_array_equal(
        start.predict(), RecurrentForecaster(estimator()).fit(Y, fh=[1, 2]).predict()
    )


def test_intervals_are_those_of_the_estimator():
    network = estimator(patience=3, validation_fraction=0.4, steps=40)
    forecaster = RecurrentForecaster(network).fit(pd.concat([Y, 2 * Y.rename("price")], axis=1), fh=[1, 3])
    intervals = forecaster.predict_interval(coverage=[0.5, 0.7])
    expected = forecaster.estimator_.forecast(level=0.7).values[0]
    np.testing.assert_allclose(intervals["price", 0.7, "upper"], expected[[0, 2], 1, 2])
    assert (intervals["load", 0.7, "lower"] <= intervals["load", 0.5, "lower"]).all()
    with pytest.warns(ZooWarning), pytest.raises(ValueError, match="the rows for validation are too few"):
        forecaster.predict_interval(coverage=0.99)
    with pytest.raises(NotImplementedError):
        RecurrentForecaster(estimator()).fit(Y, fh=[1]).predict_interval()


def test_settings_of_the_network_are_parameters_of_a_search():
    cv = ExpandingWindowSplitter(fh=[1, 2], initial_window=40, step_length=10)
    grid = {"estimator__hidden_size": [2, 4]}
    search = ForecastingGridSearchCV(RecurrentForecaster(estimator(steps=2)), cv, grid).fit(Y, fh=[1, 2])
    assert search.best_params_["estimator__hidden_size"] in (2, 4)


def test_missing_sktime_raises_with_install_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'recurrent-zoo\[sktime\]'"):
        zoo_sktime.RecurrentForecaster  # noqa: B018


def test_warnings_name_the_columns_of_x_and_y():
    late = X.assign(number=np.arange(66.0), phase=X["phase"].where(np.arange(66) % 9 != 0, -999))
    load, late = Y.reset_index(drop=True), late.reset_index(drop=True)
    with pytest.warns(ZooWarning) as caught:
        fitted = RecurrentForecaster(estimator(steps=1)).fit(load, X=late[:60], fh=[1])
    texts = [str(warning.message) for warning in caught]
    assert any("column 'number' increases with every row" in text for text in texts)
    assert any("it is a time or a number of the row, leave it out of X." in text for text in texts)
    assert any("column 'phase' is -999 in 7 rows" in text and "before `fit`" in text for text in texts)
    pickle.loads(pickle.dumps(fitted))
