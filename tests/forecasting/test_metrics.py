"""Errors and their intervals, and the sentence on the comparison with the baselines."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.forecasting.metrics import (
    Bootstrap,
    Estimate,
    TargetScores,
    change_text,
    score_all_targets,
    score_target,
)


def windows(count, series=1):
    return np.repeat(np.arange(series), count), np.tile(np.arange(count), series)


def test_errors_against_their_definitions():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=(40, 3))
    actual[3, 1] = np.nan
    forecasts = np.sort(rng.normal(size=(40, 3, 3)), axis=-1)
    naive = rng.random(40) + 1
    levels = (0.1, 0.5, 0.9)
    bootstrap = Bootstrap.of_windows(*windows(40), 3)
    scores = score_target("y", actual, forecasts, {"zero": np.zeros((40, 3))}, naive, levels, bootstrap)
    model = {name: estimate.value for name, estimate in scores.metrics["model"].items()}
    errors = np.abs(forecasts[..., 1] - actual)
    assert model["mae"] == pytest.approx(np.nanmean(errors))
    assert model["rmse"] == pytest.approx(np.sqrt(np.nanmean(errors**2)))
    assert model["mase"] == pytest.approx(np.nanmean(errors / naive[:, None]))
    over = actual[..., None] - forecasts
    q = np.array(levels)
    assert model["pinball"] == pytest.approx(np.nanmean(np.maximum(q * over, (q - 1) * over)))
    inside = (actual >= forecasts[..., 0]) & (actual <= forecasts[..., 2])
    assert model["coverage"] == pytest.approx(inside.sum() / np.isfinite(actual).sum())
    assert scores.metrics["zero"]["mae"].value == pytest.approx(np.nanmean(np.abs(actual)))
    assert scores.improvement.value == pytest.approx(1 - model["mae"] / np.nanmean(np.abs(actual)))
    assert "pinball" not in scores.metrics["zero"]


def test_series_of_different_sizes_are_compared_by_mase():
    """The large series has the larger error and decides the MAE; scaled, the small one counts as much."""
    series, origins = windows(30, 2)
    actual = np.zeros((60, 1))
    size = np.where(series == 0, 1.0, 1000.0)
    model = size[:, None] * np.where(series == 0, 0.1, 1.0)[:, None]
    args = actual, model[..., None], {"one": size[:, None]}, size, ()
    bootstrap = Bootstrap.of_windows(series, origins, 1)
    mae, mase = (score_target("y", *args, bootstrap, metric) for metric in ("mae", "mase"))
    assert mae.improvement.value == pytest.approx(0.9 / 1001)
    assert mase.improvement.value == pytest.approx(0.45)
    assert "MASE 0.55 against 1, 45.0% lower" in mase.sentence


def test_several_targets_are_compared_by_their_mean_mase():
    """With one baseline for all, so that the gain is the one of the printed means."""
    rng = np.random.default_rng(0)
    actual, naive = rng.normal(size=(40, 3, 2)), rng.random((40, 2)) + 1
    actual[3, 1, 0] = np.nan
    model, mean = rng.normal(size=(2, 40, 3, 2)) / 2
    bootstrap = Bootstrap.of_windows(*windows(40), 3)
    each = [
        score_target(
            "y",
            actual[..., k],
            model[..., k, None],
            {"zero": np.zeros((40, 3)), "mean": mean[..., k]},
            naive[:, k],
            (),
            bootstrap,
            "mase",
        )
        for k in range(2)
    ]
    baselines = {"zero": np.zeros((40, 3, 2)), "mean": mean}
    overall = score_all_targets(actual, model, baselines, naive, bootstrap)
    means = {
        name: np.mean([scores.metrics[name]["mase"].value for scores in each]) for name in each[0].metrics
    }
    assert overall.best_baseline == min(("zero", "mean"), key=means.get)
    assert overall.improvement.value == pytest.approx(1 - means["model"] / means[overall.best_baseline])
    assert overall.improvement.low < overall.improvement.value < overall.improvement.high
    twice = score_all_targets(
        *(values[..., [0, 0]] for values in (actual, model)),
        {name: values[..., [0, 0]] for name, values in baselines.items()},
        naive[:, [0, 0]],
        bootstrap,
    )
    alone = bootstrap.improvement(
        *(
            np.nansum(np.abs(values[..., 0] - actual[..., 0]), axis=1) / naive[:, 0]
            for values in (model, baselines[twice.best_baseline])
        )
    )
    assert (twice.improvement.low, twice.improvement.high) == pytest.approx((alone.low, alone.high)), (
        "targets of a window are resampled together"
    )


@pytest.mark.parametrize("series", [2, 3, 12])
@pytest.mark.parametrize("ratio", [1, 100, 1e6])
def test_errors_of_several_series_have_no_interval_in_units(series, ratio):
    """The series that a resample drew decided the MAE, so the interval of two sizes reached 0."""
    rng = np.random.default_rng(0)
    numbers, origins = windows(120, series)
    sizes = np.where(numbers == 0, 1.0, ratio)
    actual = sizes[:, None] * rng.normal(size=(len(numbers), 3))
    forecasts = actual[..., None] + sizes[:, None, None] * rng.normal(size=(len(numbers), 3, 3))
    given = actual, np.sort(forecasts, axis=-1), {"zero": np.zeros_like(actual)}, sizes, (0.1, 0.5, 0.9)
    metrics = score_target("y", *given, Bootstrap.of_windows(numbers, origins, 3), "mase").metrics
    for of_model in metrics.values():
        assert all(of_model[name].low is None for name in ("mae", "rmse", "pinball") if name in of_model)
        assert of_model["mase"].low < of_model["mase"].value < of_model["mase"].high
    assert metrics["model"]["coverage"].low is not None
    one = score_target("y", *given, Bootstrap.of_windows(numbers, origins, 3), "mae").metrics["model"]
    assert all(estimate.low is not None for estimate in one.values())


def test_groups_are_blocks_of_time_or_series():
    one = Bootstrap.of_windows(*windows(40), 5)
    assert np.bincount(one.groups).tolist() == [10] * 4
    two = Bootstrap.of_windows(*windows(20, 2), 5)
    assert np.bincount(two.groups).tolist() == [10] * 4
    many = Bootstrap.of_windows(*windows(4, 12), 5)
    assert np.bincount(many.groups).tolist() == [4] * 12


def test_too_few_groups_give_no_interval():
    bootstrap = Bootstrap.of_windows(*windows(40), 5)
    assert bootstrap.estimate(np.ones(40), np.ones(40)) == Estimate(1.0)


def test_intervals_stay_within_possible_values():
    bootstrap = Bootstrap.of_windows(*windows(50), 5)
    rare, once = np.where(bootstrap.groups == 0, 1.0, 0.0), np.ones(50)
    share = bootstrap.estimate(1 - rare, once, most=1.0)
    assert (share.value, share.high) == (0.8, 1.0)
    assert bootstrap.estimate(rare, once).low == 0
    assert bootstrap.improvement(rare, once).high == 1


def test_interval_covers_the_mean_of_windows_that_overlap():
    """Errors of windows that overlap are sums of shared errors: the interval has to know."""
    rng, steps, count, hits = np.random.default_rng(0), 4, 400, 0
    bootstrap = Bootstrap.of_windows(*windows(count), steps)
    for _ in range(200):
        noise = rng.exponential(size=count + steps)
        errors = np.stack([noise[n : n + steps].mean() for n in range(count)])
        estimate = bootstrap.estimate(errors, np.ones(count))
        hits += estimate.low <= 1 <= estimate.high
    assert 0.90 <= hits / 200 <= 0.99


def scores(value, low, high):
    metrics = {"model": {"mae": Estimate(2.0 * (1 - value))}, "last value": {"mae": Estimate(2.0)}}
    return TargetScores("y", metrics, "mae", "last value", Estimate(value, low, high))


@pytest.mark.parametrize(
    ("estimate", "sentence"),
    [
        (
            (0.2, 0.1, 0.3),
            "y: better than the best baseline, last value: MAE 1.6 against 2, 20.0% lower (95 % interval of "
            "the gain +10.0% to +30.0%).",
        ),
        (
            (-0.2, -0.3, -0.1),
            "y: worse than the best baseline, last value: MAE 2.4 against 2, 20.0% higher (95 % interval of "
            "the gain -30.0% to -10.0%). Use the baseline, train longer, or change the model.",
        ),
        (
            (0.05, -0.1, 0.2),
            "y: not clearly better or worse than the best baseline, last value: MAE 1.9 against 2, 5.0% "
            "lower (95 % interval of the gain -10.0% to +20.0%, which contains 0).",
        ),
        (
            (0.5, None, None),
            "y: better than the best baseline, last value: MAE 1 against 2, 50.0% lower. The windows "
            "overlap and cover too little time for an interval, so this is not certain.",
        ),
        (
            (-67, -70, -64),
            "y: worse than the best baseline, last value: MAE 136 against 2, 68 times as high (95 % interval "
            "65 to 71 times). Use the baseline, train longer, or change the model.",
        ),
    ],
)
def test_sentence_says_how_certain_the_gain_is(estimate, sentence):
    assert scores(*estimate).sentence == sentence
    assert scores(*estimate).to_json()["summary"] == sentence


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (0.2, "20.0% lower"),
        (-0.2, "20.0% higher"),
        (-67.0, "68 times as high"),
        (-1e5, "100,001 times as high"),
        (-1e300, "more than 1,000,000 times as high"),
    ],
)
def test_change_of_an_error_in_words(gain, text):
    assert change_text(gain) == text
