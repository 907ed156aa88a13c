"""Intervals from earlier errors: ranks, coverage of generated series, known errors, and checkpoints."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import zoo
from zoo.data import ColumnRoles, DataTable, make_panel
from zoo.errors import CheckpointError, DataError, UsageError, ZooWarning
from zoo.forecasting import Forecaster
from zoo.forecasting.calibration import (
    Calibration,
    effective_counts,
    first_unseen,
    interval_offsets,
    last_times,
    seen_digests,
)
from zoo.forecasting.evaluation import last_part, split_ends
from zoo.storage import Checkpoint, RunDirectory, load, save

SMALL = {"cell": "vanilla", "hidden": 8, "batch": 8, "context": 12, "horizon": 3, "lr": 0.01, "threads": 1}
N = 3000


def autoregression(n=N, seed=0):
    """A series whose best forecast k steps ahead has normal errors of known size."""
    rng, y = np.random.default_rng(seed), [0.0]
    for noise in rng.normal(size=n - 1):
        y.append(0.7 * y[-1] + noise)
    return 50 + np.array(y)


@pytest.fixture(scope="module")
def forecaster():
    with pytest.MonkeyPatch.context() as patch:  # to compile a training step takes 4 s of a processor
        patch.setattr("zoo.model.compiled_step.INTERPRETED_SHARDS", math.inf)
        patch.setattr(zoo.SequenceModel, "compile_training_step", lambda model, **_: None)
        return zoo.fit({"y": autoregression()}, "y", dtype="float64", steps=120, **SMALL)


# ---- offsets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "rank"), [(0.8, 16), (0.5, 10), (0.9, 18), (0.05, 1)])
def test_offset_of_point_forecasts_is_the_absolute_error_of_a_rank(share, rank):
    """With one step ahead, errors are taken as independent: the rank is ceil((n + 1) share), n = 19."""
    errors = np.random.default_rng(0).normal(size=(19, 1, 2, 1))
    expected = np.sort(np.abs(errors[..., 0]), axis=0)[rank - 1]
    np.testing.assert_array_equal(interval_offsets(errors, share), expected)


def test_offset_of_quantiles_is_the_distance_from_the_interval():
    rng = np.random.default_rng(0)
    actual, low = rng.normal(size=(99, 1, 1)), rng.normal(size=(99, 1, 1))
    ends = np.stack([low, low + 0.5, low + 1], axis=-1)
    offset = interval_offsets(actual[..., None] - ends, 0.8) + 1e-12
    inside = (actual >= low - offset) & (actual <= low + 1 + offset)
    assert inside.sum() == 80
    wide = np.stack([actual - 5, actual, actual + 5], axis=-1)
    np.testing.assert_allclose(interval_offsets(actual[..., None] - wide, 0.8), -5.0)


def test_missing_errors_count_nowhere():
    errors = np.random.default_rng(0).normal(size=(40, 1, 1, 1))
    gaps = errors.copy()
    gaps[::2] = np.nan
    np.testing.assert_array_equal(interval_offsets(gaps, 0.8), interval_offsets(errors[1::2], 0.8))
    assert interval_offsets(np.full((9, 1, 1, 1), np.nan), 0.8) is None


def test_too_few_windows_have_no_offset():
    errors = np.random.default_rng(0).normal(size=(8, 1, 1, 1))
    assert interval_offsets(errors, 0.9) is None
    assert interval_offsets(errors, 0.8) is not None
    assert interval_offsets(np.zeros((0, 1, 1, 1)), 0.5) is None
    same = np.repeat(errors, 4, axis=1)[[0] * 12 + [1] * 12]  # two groups of equal errors
    assert interval_offsets(same[:, :1], 0.8) is not None
    assert interval_offsets(np.tile(same, (1, 8, 1, 1)), 0.8) is None


def test_effective_number_of_windows_that_overlap():
    """Sums of k independent numbers, of consecutive windows: the sum of their autocorrelations is known."""
    noise = np.random.default_rng(0).normal(size=20_007)
    sums = np.stack([np.convolve(noise, np.ones(k), "valid")[:20_000] for k in (1, 2, 4, 8)], axis=1)
    scores = np.repeat(sums, 2, axis=1)[..., None]  # column k - 1 counts lags below k
    counts = effective_counts(scores)[[0, 3, 7], 0]
    # 1 + 2 sum over lags below k of (1 - lag / width), with the widths 1, 2 and 8.
    np.testing.assert_allclose(20_000 / counts, [1, 2, 8], rtol=0.1)


@pytest.mark.parametrize("kind", ["independent", "walk"])
@pytest.mark.parametrize(("rows", "horizon"), [(240, 24), (48, 6), (24, 3)])
def test_coverage_of_the_next_part_is_the_level(kind, rows, horizon):
    """Windows that overlap: with their plain number the coverage of a walk falls to 0.76 to 0.79."""
    rng, covered = np.random.default_rng(rows), []
    for _ in range(60):
        noise = rng.normal(size=2 * rows + horizon)
        walk = np.concatenate([[0], noise.cumsum()])
        ahead = np.arange(1, horizon + 1)
        origins = np.arange(2 * rows)[:, None]
        errors = walk[origins + ahead] - walk[origins] if kind == "walk" else noise[origins + ahead - 1]
        offset = interval_offsets(errors[: rows - horizon + 1, :, None, None], 0.8)
        covered.append((np.abs(errors[rows : 2 * rows - horizon + 1]) <= offset[:, 0]).mean())
    error = np.std(covered) / np.sqrt(len(covered))
    assert 0.8 - 3 * error <= np.mean(covered) <= 0.84 + 3 * error


# ---- forecasts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("steps", [3, 9])
def test_coverage_of_a_trained_model_is_the_level(level, steps, forecaster):
    """Also beyond the horizon, where the interval comes from sample paths."""
    forecast = forecaster.backtest(steps=steps, stride=1, level=level).forecast
    inside = (forecast.values[..., 0] <= forecast.actual) & (forecast.actual <= forecast.values[..., 2])
    assert forecast.levels == (round((1 - level) / 2, 9), 0.5, round((1 + level) / 2, 9))
    # A block of the steps of an autoregression counts as one independent value, in both parts of 300 rows.
    error = np.sqrt(level * (1 - level) * 2 / (300 / steps))
    assert abs(inside.mean() - level) < 2 * error
    assert (np.diff(forecast.values, axis=-1) >= 0).all()


def test_paths_of_a_random_walk_widen_with_the_square_root_of_the_steps():
    y = np.random.default_rng(0).normal(size=600).cumsum()
    forecaster = zoo.fit({"y": y}, "y", dtype="float64", **{**SMALL, "horizon": 1, "steps": 1})
    forecaster.model.theta = np.zeros_like(forecaster.model.theta)  # it repeats the last value
    errors = np.diff(y)[479:539] / forecaster.scaling.output[0]
    errors = np.repeat(errors.astype(np.float32)[:, None, None, None], 3, axis=-1)
    naive = replace(forecaster, calibration=Calibration(errors, {"": 599.0}))
    values = naive.forecast(steps=16, level=0.9).values[0, :, 0]
    np.testing.assert_allclose(values[:, 1], y[-1], atol=1e-9)
    widths = values[:, 2] - values[:, 0]
    np.testing.assert_allclose(widths[[3, 8, 15]] / widths[0], [2, 3, 4], rtol=0.25)


def test_interval_uses_errors_that_are_known_at_the_origin(forecaster):
    """Values after an origin do not change its interval; those before it do."""
    y = autoregression()
    later, earlier = y.copy(), y.copy()
    later[2901:] += 1e3
    earlier[2800] += 1e3
    one, two, three = (
        forecaster.backtest({"y": values}, part="test", stride=1).forecast for values in (y, later, earlier)
    )
    rows = np.flatnonzero(one.origins <= 2900)
    np.testing.assert_array_equal(one.values[rows], two.values[rows])
    widths = [np.median(each.values[..., 2] - each.values[..., 0]) for each in (one, three)]
    assert widths[1] > widths[0]
    last = forecaster.forecast({"y": y[:2950]}).values[0]
    np.testing.assert_allclose(last, one.values[one.origins == 2949][0], rtol=1e-9)


def test_first_unseen_row():
    days = np.datetime64("2024-01-01") + np.arange(10)
    arrays = {"id": ["a"] * 6 + ["b"] * 4, "t": [*days[:6], *days[:4]], "y": np.arange(10.0)}
    with_times = make_panel(DataTable.from_arrays(arrays), ColumnRoles(("y",), time="t", series="id"))
    assert first_unseen(with_times, {"a": "2024-01-02T12", "b": "2025-01-01"}).tolist() == [2, 10]
    assert first_unseen(with_times, {"a": 3.0}).tolist() == [6, 6]  # times of another kind; a new series
    without = make_panel(DataTable.from_arrays({"y": np.arange(10.0)}), ColumnRoles(("y",)))
    assert first_unseen(without, {"": 3.0}).tolist() == [4]
    assert first_unseen(without, {"": "2024-01-01"}).tolist() == [10]
    for panel in (with_times, without):
        cuts = split_ends(panel, "50,25,25")
        assert first_unseen(panel, last_times(panel, cuts[1])).tolist() == cuts[1].tolist()


@pytest.mark.parametrize("seed", range(6))
def test_seen_digests_are_those_of_the_leading_rows(seed):
    """Rows added at the end keep the digest of a series. A changed row, or rows removed before it, do not."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, 3)
    values = [rng.normal(size=(n, 2)) * np.where(rng.random((n, 2)) < 0.2, np.nan, 1) for n in lengths]

    def panel(series, **columns):
        rows, names = np.concatenate(series), np.repeat(["a", "b", "c"], [len(each) for each in series])
        table = DataTable.from_arrays({"id": names, "u": rows[:, 0], "v": rows[:, 1], **columns})
        return make_panel(table, ColumnRoles(("u", "v"), series="id", time="t" if columns else None), "mask")

    last_seen = {name: float(rng.integers(n)) for name, n in zip("abc", lengths, strict=True)}
    expected = seen_digests(panel(values), last_seen)
    assert len(set(expected.values())) == 3
    grown = [np.concatenate([each, rng.normal(size=(seed, 2))]) for each in values]
    assert seen_digests(panel(grown), last_seen) == expected
    row = int(last_seen["b"])
    changed = [each.copy() for each in grown]
    changed[1][rng.integers(row + 1), rng.integers(2)] += 1e-9
    changed[1][row] = 5.0
    changed[2] = changed[2][: int(last_seen["c"])] if last_seen["c"] else changed[2] + 1
    other = seen_digests(panel(changed), {**last_seen, "new": 0.0})
    assert [name for name in "abc" if other.get(name) == expected[name]] == ["a"]
    assert seen_digests(panel(values, t=np.arange(lengths.sum())), last_seen) == {}  # times identify rows


@pytest.mark.parametrize("rows", [2699, 2700, 2702, 2703, 2800])
@pytest.mark.parametrize("is_saved", [False, True])
def test_backtest_of_a_grown_table_without_times_begins_after_its_rows(rows, is_saved, forecaster, tmp_path):
    """Validation ends with row 2699. A forecast has three steps."""
    if is_saved:
        forecaster.save(tmp_path / "model.safetensors")
        forecaster = Forecaster.load(tmp_path / "model.safetensors")
    data = {"y": autoregression()[:rows]}
    if 2700 <= rows < 2703:
        with pytest.raises(
            DataError, match=r"no forecast lies after the last row that .* \(row 2,699\), .* Give 3 ro"
        ):
            forecaster.backtest(data, level=0)
    else:
        result = forecaster.backtest(data, level=0)
        assert result.scores["part"] == ("test" if rows >= 2703 else "all")
        assert result.forecast.origins[0] == (2699 if rows >= 2703 else 11)
    changed = forecaster.backtest({"y": np.append(data["y"][0] + 1, data["y"][1:])}, level=0)
    assert (changed.scores["part"], changed.forecast.origins[0]) == ("all", 11)
    labelled = forecaster.backtest({"y": np.append(data["y"][0] + 1, data["y"][1:])}, level=0, part="test")
    assert dict(labelled.scores) == {**changed.scores, "part": "test"}
    shifted = forecaster.backtest({"y": data["y"][1:]}, level=0)
    assert (shifted.scores["part"], shifted.forecast.origins[0]) == ("all", 11)


def test_too_few_windows_give_a_note_and_no_interval():
    settings = {**SMALL, "steps": 1, "loss": "squared_error"}
    forecaster = zoo.fit({"y": autoregression(60)}, "y", **settings)
    assert list(forecaster.forecast(level=0.5).columns()) == ["step", "y", "y_q0.25", "y_q0.75"]
    with pytest.warns(ZooWarning, match=r"about \d+\.\d, and an interval of 99 % needs 99\. Low"):
        forecast = forecaster.forecast(level=0.99)
    assert list(forecast.columns()) == ["step", "y"]
    scores = forecaster.backtest(level=0.99).scores
    # The test part has four forecasts, so those before the first one are the validation part.
    assert scores["note"].startswith(
        "there is no interval: there are 4 earlier forecasts of 3 steps (4 of the validation part). They "
    )
    assert "coverage" not in scores["targets"][0]["metrics"]["model"]
    assert forecaster.forecast(level=0).levels == ()  # without a warning
    for level in (-0.1, 1, 1.5, float("nan"), "much"):
        with pytest.raises(UsageError, match=r"level is .*; expected a number from 0 up to, not includ"):
            forecaster.forecast(level=level)


def test_test_part_calibrates_without_a_validation_part():
    settings = {**SMALL, "steps": 1, "split": "80,0,20"}
    forecaster = zoo.fit({"y": autoregression(200)}, "y", **settings)
    assert len(forecaster.calibration.residuals) == 0
    assert forecaster.forecast().levels == (0.1, 0.5, 0.9)
    assert last_part(*forecaster_parts(forecaster)) == "test"
    with pytest.warns(ZooWarning, match="there is no interval"):
        zoo.fit({"y": autoregression(200)}, "y", **{**settings, "split": "100"}).forecast()


def forecaster_parts(forecaster):
    panel = make_panel(DataTable.from_arrays(forecaster.data), forecaster.spec.roles)
    return panel, split_ends(panel, forecaster.spec.split), forecaster.spec, 3


# ---- files --------------------------------------------------------------------------------------------


def test_checkpoint_stores_errors_and_is_checked(tmp_path):
    run = zoo.train({"y": autoregression(400)}, out=tmp_path / "run", target="y", steps=2, **SMALL)
    path = tmp_path / "model.safetensors"
    _, best = RunDirectory(run.path).load_best(print)
    residuals = best.arrays["calibration.residuals"]
    assert residuals.shape == (38, 3, 1, 3)
    assert best.meta["table"]["last_seen"] == {"": 359.0}
    data = {"y": autoregression(400)}

    def changed(array=residuals, last_seen=best.meta["table"]["last_seen"], digests=None):
        arrays = {name: each for name, each in best.arrays.items() if name != "calibration.residuals"}
        arrays |= {} if array is None else {"calibration.residuals": array}
        table = {**best.meta["table"], "last_seen": last_seen}
        table |= {} if digests is None else {"seen_sha256": digests}
        save(path, Checkpoint(arrays, {**best.meta, "table": table}))
        return path

    expected = zoo.forecast(run, data)
    np.testing.assert_array_equal(zoo.forecast(changed(), data).values, expected.values)
    with pytest.warns(ZooWarning, match="the model has no errors of earlier forecasts"):
        old = zoo.forecast(changed(None), data)  # the first checkpoints have none
    np.testing.assert_array_equal(old.values[..., 0], expected.values[..., 1])
    infinite = residuals.copy()
    infinite[0] = np.inf
    for given, sentence in (
        ((residuals[:, :2],), "array 'calibration.residuals' is float32(38, 2, 1, 3); expected float32 and"),
        ((residuals.astype(np.float64),), "expected float32 and the sizes (3, 1, 3) after the first."),
        ((infinite,), "its errors of forecasts are not those zoo wrote."),
        ((residuals, None), "its errors of forecasts are not those zoo wrote."),
        ((residuals, {"": 359.0}, {"": 1}), "its errors of forecasts are not those zoo wrote."),
        ((residuals, {"": 359.0}, [""]), "its errors of forecasts are not those zoo wrote."),
        ((residuals, {"": [1]}), "its errors of forecasts are not those zoo wrote."),
    ):
        with pytest.raises(CheckpointError, match=re.escape(sentence)):
            Forecaster.load(changed(*given))
    assert load(path).arrays.keys() == best.arrays.keys()
