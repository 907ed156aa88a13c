"""The names of metrics in texts, which are the same for all readers."""

from __future__ import annotations

import pytest

from zoo.base.metric import METRICS, is_share, metric_text
from zoo.classification.metrics import CLASS_METRICS, NUMBER_METRICS
from zoo.cli.compare_display import _outcome
from zoo.cli.format import loss
from zoo.comparison.table_notes import gain_sentences, legend_text
from zoo.report.blocks import score_axis
from zoo.training.run_info import best_text

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sequence_accuracy": "sequence accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "squared_error": "squared error",
    "my_own_metric": "my own metric",
    "inaccuracy_cost": "inaccuracy cost",
}
SHARES = {"accuracy", "balanced_accuracy", "sequence_accuracy", "macro_f1", "auroc"}


@pytest.mark.parametrize("metric", NAMES)
def test_every_text_has_the_name_for_readers(metric):
    name, higher = NAMES[metric], metric in SHARES
    info = {
        "metric": metric,
        "higher_is_better": higher,
        "baseline": 0.5,
        "threshold": None,
        "baselines": {"mean": {"value": 0.5}},
    }
    record = {"status": "finished", "solved": False, "metric": metric, "score": 0.25, "seconds": 1.0}
    event = {"loss": 0.5, "metric": metric, "score": 0.25, "solved": False}
    texts = [
        metric_text(metric),
        legend_text(info),
        " ".join(gain_sentences([], info)),
        score_axis(metric, higher).label,
        best_text({"metric": metric, "best": 0.25}),
        _outcome(record),
        loss(event, {}),
    ]
    for text in texts:
        assert name in text
        assert metric == name or metric not in text


@pytest.mark.parametrize("metric", sorted({*METRICS, *CLASS_METRICS, *NUMBER_METRICS, *NAMES}))
def test_names_have_no_underscore_and_shares_are_in_points(metric):
    assert "_" not in metric_text(metric)
    assert is_share(metric) is (metric in SHARES)
