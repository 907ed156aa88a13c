"""``zoo.darts.RecurrentModule`` in the ``RNNModel`` of darts, against darts' own modules."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import zoo
import zoo.darts as zoo_darts
from zoo.errors import UsageError

pytest.importorskip("darts", reason="needs the extra `darts`")
pytest.importorskip("pytorch_lightning")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning: how many workers it would like

from darts import TimeSeries  # noqa: E402
from darts.models import RNNModel  # noqa: E402
from darts.utils.likelihood_models.torch import QuantileRegression  # noqa: E402
from darts.utils.serialization import safe_globals  # noqa: E402

from zoo.darts import RecurrentModule  # noqa: E402

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
SETTINGS = {"input_chunk_length": 8, "training_length": 12, "hidden_dim": 4, "n_epochs": 1, "batch_size": 16}


@pytest.fixture(autouse=True)
def _plain_python():
    with zoo.kernels.pure_python():
        yield


class LSTM(RecurrentModule):
    cell = "lstm"


class Gated(RecurrentModule):
    cell = zoo.get_cell("mgu")
    options = {"residual": True}  # noqa: RUF012 - as users write it


def model(module, **settings):
    return RNNModel(
        model=module,
        pl_trainer_kwargs=QUIET,
        random_state=0,
        force_reset=True,
        save_checkpoints=False,
        **{**SETTINGS, **settings},
    )


def series(steps=40):
    return TimeSeries.from_values(np.sin(np.arange(steps) / 3).astype(np.float32))


def covariates(steps=60):
    return TimeSeries.from_values(np.cos(np.arange(steps) / 3).astype(np.float32))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("known", [None, covariates()], ids=["alone", "with covariates"])
def test_forecasts_are_those_of_darts_with_the_same_parameters(layers, known):
    theirs = model("LSTM", n_rnn_layers=layers).fit(series(), future_covariates=known)
    ours = model(LSTM, n_rnn_layers=layers).fit(series(), future_covariates=known)
    ours.model.load_state_dict(theirs.model.state_dict())
    expected, forecast = (each.predict(6, future_covariates=known).values() for each in (theirs, ours))
    np.testing.assert_allclose(forecast, expected, rtol=1e-4, atol=1e-5)


def test_one_epoch_changes_parameters_as_in_darts():
    theirs, ours = (model(each, n_epochs=0).fit(series(), epochs=1) for each in ("LSTM", LSTM))
    start = {name: value.clone() for name, value in theirs.model.state_dict().items()}
    for each in (theirs, ours):
        each.model.load_state_dict(start)
        each.fit(series(), epochs=1)
    losses = [float(each.trainer.callback_metrics["train_loss"]) for each in (theirs, ours)]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)


def test_other_cells_likelihoods_dtypes_and_files(tmp_path):
    fitted = model(Gated, n_rnn_layers=2, likelihood=QuantileRegression([0.1, 0.5, 0.9])).fit(
        series().astype(np.float64)
    )
    forecast = fitted.predict(3, num_samples=5)
    assert forecast.all_values().shape == (3, 1, 5)
    assert forecast.dtype == np.float64
    fitted.save(str(tmp_path / "model.pt"))
    with safe_globals([Gated]):
        loaded = RNNModel.load(str(tmp_path / "model.pt"), map_location="cpu")
    one, other = (each.predict(1, predict_likelihood_parameters=True).values() for each in (fitted, loaded))
    np.testing.assert_array_equal(one, other)


def test_missing_darts_raises_with_install_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'recurrent-zoo\[darts\]'"):
        zoo_darts.RecurrentModule  # noqa: B018
