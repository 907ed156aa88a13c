"""The names of metrics in texts, which are the same for all readers."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.base.metric import METRICS, higher_is_better, is_share, metric_columns, metric_text
from zoo.classification.metrics import CLASS_METRICS, NUMBER_METRICS, metric_value
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
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "squared_error": "squared error",
    "my_own_metric": "my own metric",
    "inaccuracy_cost": "inaccuracy cost",
}
SHARES = {"accuracy", "balanced_accuracy", "sequence_accuracy", "macro_f1", "auroc", "average_precision"}


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


@pytest.mark.parametrize("metric", METRICS)
def test_random_outputs_of_a_task_are_worse_than_perfect_ones(metric):
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((6, 4, 3))
    has_classes = metric in ("accuracy", "sequence_accuracy", "nats")
    targets = rng.integers(0, 3, (6, 4)) if has_classes else rng.standard_normal((6, 4, 3))
    score = METRICS[metric].score(outputs, targets, np.ones((6, 4)))
    assert higher_is_better(metric) is (METRICS[metric].perfect > score)


@pytest.mark.parametrize("metric", [*CLASS_METRICS, *NUMBER_METRICS])
def test_wrong_predictions_of_labels_are_worse_than_right_ones(metric):
    labels = np.array([0, 1, 1, 0, 1])
    right = np.eye(2)[labels] if metric in CLASS_METRICS else labels.astype(float)
    is_higher = metric_value(metric, labels, right) > metric_value(metric, labels, 1 - right)
    assert higher_is_better(metric) is is_higher


def test_all_metrics_of_tables_but_those_of_quantiles_have_a_direction():
    known = metric_columns([*CLASS_METRICS, *NUMBER_METRICS, *NAMES, "pinball", "coverage"])
    assert {name for name in known if not _has_direction(name)} == {"pinball", "coverage"}


def _has_direction(metric: str) -> bool:
    try:
        return higher_is_better(metric) in (True, False)
    except KeyError:
        return False
