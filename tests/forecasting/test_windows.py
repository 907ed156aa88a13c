"""Windows: what the model reads and predicts, computed by loops; and that nothing leaks from later parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data import ColumnRoles, DataTable, make_panel
from zoo.errors import CheckpointError, DataError
from zoo.forecasting.evaluation import part_origins, split_ends
from zoo.forecasting.scaling import Scaling
from zoo.forecasting.spec import ForecastSpec
from zoo.forecasting.windows import make_windows, unseen_sentence

N, CONTEXT, HORIZON = 60, 5, 3
NAN = float("nan")


def table(seed=0, gap=False):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=N).cumsum() * 3 + 20
    if gap:
        y[[4, 17, 40]] = np.nan
    return {
        "id": ["a"] * 35 + ["b"] * 25,
        "y": y,
        "z": rng.normal(size=N),
        "x": rng.normal(size=N) * 7 + 100,
        "word": rng.choice(["u", "v", "w"], N),
        "holiday": rng.integers(0, 2, N).astype(float),
    }


LAGS = 4
WEIGHTS = np.random.default_rng(5).normal(size=(2, LAGS, HORIZON)) / 4
"""Of an autoregression of two targets."""


def build(arrays, change=True, levels=(), missing="reject", horizon=HORIZON, linear=False):
    roles = ColumnRoles(("y", "z"), ("x", "word"), ("holiday",), None, "id")
    panel = make_panel(DataTable.from_arrays(arrays), roles, missing)
    spec = ForecastSpec.of_panel(
        panel,
        context=CONTEXT,
        horizon=horizon,
        season=1,
        change=change,
        levels=levels,
        missing=missing,
        split="60,20,20",
        output_factors=(1.0, 1.0),
        autoregression=tuple(tuple(map(tuple, each)) for each in WEIGHTS.tolist()) if linear else (),
    )
    cuts = split_ends(panel, spec.split)
    scaling = Scaling.fit(panel, spec, cuts[0])
    return panel, spec, cuts, scaling, make_windows(panel, spec, scaling, "float64")


@pytest.mark.parametrize(("change", "linear"), [(True, False), (False, False), (True, True)])
@pytest.mark.parametrize("levels", [(), (0.1, 0.5, 0.9)])
def test_windows_are_those_of_loops(change, linear, levels):
    panel, spec, cuts, scaling, windows = build(table(), change, levels, linear=linear)
    origins = np.array([6, 20, 44])
    x, targets = windows.inputs(origins), windows.targets(windows.context_rows(origins))
    assert x.shape == (CONTEXT, 3, spec.input_size)
    assert targets.shape == (CONTEXT, 3, spec.output_size)
    codes = {text: number for number, text in enumerate(panel.columns["word"].categories)}
    for b, origin in enumerate(origins):
        s = int(origin >= 35)
        train = slice([0, 35][s], cuts[0][s])

        def scaled(name, row, train=train):
            values = panel.numbers(name)
            return (values[row] - values[train].mean()) / values[train].std()

        for t in range(CONTEXT):
            row = origin - CONTEXT + 1 + t
            expected = []
            for name in ("y", "z"):
                values = panel.numbers(name)
                rms = np.sqrt(np.mean(np.diff(values[train]) ** 2))
                expected.append((values[row] - values[row - 1]) / rms)
            word = codes[table()["word"][row]]
            expected += [scaled("y", row), scaled("z", row), scaled("x", row)]
            expected += [float(word == code) for code in range(3)]
            expected += [scaled("holiday", row + k) for k in range(HORIZON + 1)]
            np.testing.assert_allclose(x[t, b], expected, atol=1e-12)
            outputs = []
            for k in range(1, HORIZON + 1):
                for target, name in enumerate(("y", "z")):
                    values = panel.numbers(name)
                    base = values[row] if change else values[train].mean()
                    for lag in range(1, LAGS) if linear else ():
                        before = values[max(row - lag, [0, 35][s])]
                        base = base + (before - values[row]) * WEIGHTS[target, lag - 1, k - 1]
                    if linear:
                        size = np.sqrt(np.mean(np.diff(values[train]) ** 2))
                        base = base + size * WEIGHTS[target, -1, k - 1]
                    value = (values[row + k] - base) / scaling.output[s, target]
                    outputs += [value] * max(len(levels), 1)
            np.testing.assert_allclose(targets[t, b], outputs, atol=1e-12)


@pytest.mark.parametrize("change", [True, False])
def test_unit_of_outputs_is_their_size(change):
    panel, _, cuts, scaling, _ = build(table(), change)
    y = panel.numbers("y")[: cuts[0][0]]
    changes = np.concatenate([y[lag:] - y[:-lag] for lag in (1, 3)])
    expected = np.sqrt((changes**2).mean()) if change else y.std()
    assert scaling.output[0, 0] == pytest.approx(expected)


def test_unit_of_errors_of_an_autoregression_is_their_size():
    _, _, cuts, _, windows = build(table(), linear=True)
    origins = np.arange(LAGS - 1, cuts[0][0] - HORIZON)
    targets = windows.targets(origins).reshape(len(origins), HORIZON, 2)
    np.testing.assert_allclose((targets**2).mean(axis=(0, 1)), 1.0)


def test_masked_values_are_marked_and_have_no_loss():
    _, spec, _, scaling, windows = build(table(gap=True), missing="mask")
    assert spec.masked == ("y",)
    marks = windows.past[:, -1]
    assert np.flatnonzero(marks).tolist() == [4, 17, 40]
    assert windows.past[4, 0] == 0  # no change
    np.testing.assert_allclose(windows.levels[17], [windows.levels[16, 0], windows.levels[17, 1]])
    missing = windows.missing_targets(np.arange(N - HORIZON)).reshape(N - HORIZON, HORIZON, 2, -1)
    expected = [[row + k in (4, 17, 40) for k in (1, 2, 3)] for row in range(N - HORIZON)]
    assert missing[:, :, 0, 0].tolist() == expected
    assert not missing[:, :, 1].any()
    assert np.isfinite(scaling.mean).all()


def test_first_row_of_a_series_has_no_change():
    windows = build(table())[4]
    assert windows.past[0, 0] == windows.past[35, 0] == 0


def test_origins_of_parts_do_not_overlap_and_targets_stay_in_their_part():
    panel, spec, cuts, _, _ = build(table())
    assert cuts.tolist() == [[21, 50], [28, 55], [35, 60]]
    seen = []
    for number, part in enumerate(("train", "valid", "test")):
        for s, origins in enumerate(part_origins(panel, cuts, part, spec, HORIZON)):
            start = panel.offsets[s] if number == 0 else cuts[number - 1][s]
            for origin in origins:
                assert origin - CONTEXT + 1 >= panel.offsets[s]
                assert origin + 1 >= start
                assert origin + HORIZON < cuts[number][s]
                seen.append(origin)
    assert len(seen) == len(set(seen)) > 20


def test_later_values_change_nothing_before_them():
    panel, spec, cuts, scaling, windows = build(table())
    later = table()
    later["y"] = later["y"].copy()
    for s in range(2):
        later["y"][cuts[0][s] : panel.offsets[s + 1]] += 1000
    others = build(later)
    np.testing.assert_array_equal(others[3].mean, scaling.mean)
    np.testing.assert_array_equal(others[3].output, scaling.output)
    for origins in part_origins(panel, cuts, "train", spec, HORIZON):
        rows = np.array(origins)
        np.testing.assert_array_equal(others[4].inputs(rows), windows.inputs(rows))
        np.testing.assert_array_equal(others[4].targets(rows), windows.targets(rows))


def test_large_tables_are_scaled_in_chunks(monkeypatch):
    whole = build(table(gap=True), missing="mask")[4]
    monkeypatch.setattr("zoo.data.growing_array.CHUNK", 7)
    monkeypatch.setattr("zoo.forecasting.scaling._CHUNK", 7)
    monkeypatch.setattr("zoo.data.growing_array.MAX_BYTES_IN_MEMORY", 8)
    chunked = build(table(gap=True), missing="mask")[4]
    for name in ("past", "known", "outputs"):
        np.testing.assert_allclose(getattr(chunked, name), getattr(whole, name), atol=1e-12)


@pytest.mark.parametrize(
    ("value", "advice"), [("new", ", leave it empty"), ("", ", give None for a missing value")]
)
def test_unseen_category_is_named_with_a_cure(value, advice):
    _, spec, _, scaling, _ = build(table())
    other = table()
    other["word"] = np.where(np.arange(N) == 9, value, other["word"])
    start = f"table, row 9, column 'word': found {value!r}, which did not occur in training"
    sentence = (
        f"{start}; the values there were {', '.join(spec.categories['word'])}. Replace it by one of them"
    )
    for missing, empty in (("reject", ""), ("mask", advice), ("forward", advice)):
        given = replace(spec, missing=missing)
        panel = make_panel(DataTable.from_arrays(other), spec.roles, is_training=False)
        assert (
            unseen_sentence(panel, given, "word", 9) == f"{sentence}{empty}, or train with rows that have it."
        )
        with pytest.raises(DataError, match=f"{start}; .*, enlarge the training part with `split`"):
            make_windows(replace(panel, is_training=True), given, scaling, "float32")


@settings(max_examples=25, deadline=None)
@given(
    rows=st.sets(st.integers(0, N - 1), max_size=3),
    is_known=st.booleans(),
    horizon=st.integers(1, 4),
)
def test_windows_that_read_an_unseen_category_have_other_inputs(rows, is_known, horizon):
    _, spec, _, scaling, _ = build(table(), horizon=horizon)
    if is_known:
        roles = replace(spec.roles, input=("x",), known_future=("holiday", "word"))
        spec = replace(spec, roles=roles)
    changed = table()
    changed["word"] = np.where(np.isin(np.arange(N), list(rows)), "new", changed["word"])
    plain, other = (
        make_windows(
            make_panel(DataTable.from_arrays(each), spec.roles, is_training=False), spec, scaling, "float64"
        )
        for each in (table(), changed)
    )
    for first, end in zip(plain.offsets[:-1], plain.offsets[1:], strict=True):
        origins = np.arange(first + CONTEXT - 1, end - horizon)
        differs = (plain.inputs(origins) != other.inputs(origins)).any(axis=(0, 2))
        np.testing.assert_array_equal(other.reads_unseen(origins), differs)
        assert not plain.reads_unseen(origins).any()
        for origin, is_read in zip(origins, differs, strict=True):
            ahead = horizon if is_known else 0
            read = [row for row in sorted(rows) if origin - CONTEXT < row <= origin + ahead and row >= first]
            assert other.first_unseen(origin) == (("word", read[0]) if is_read else None)


def test_spec_and_scaling_survive_json():
    _, spec, _, scaling, _ = build(table(), levels=(0.1, 0.5, 0.9), linear=True)
    assert ForecastSpec.from_json(spec.to_json(), "x") == spec
    newer = ("output_factors", "autoregression")
    older = {name: value for name, value in spec.to_json().items() if name not in newer}
    assert ForecastSpec.from_json(older, "x") == replace(spec, autoregression=())
    restored = Scaling.from_json(scaling.to_json(), spec, "x")
    np.testing.assert_array_equal(restored.mean, scaling.mean)
    assert restored.names == ("a", "b")
    for stored in (
        None,
        {},
        {**spec.to_json(), "horizon": "3"},
        {**spec.to_json(), "output_factors": [0, 1]},
        {**spec.to_json(), "roles": 5},
        {**spec.to_json(), "change": False},  # with an autoregression
        {**spec.to_json(), "autoregression": spec.autoregression[:1]},
        {**spec.to_json(), "autoregression": [[[1.0], [1.0, 2.0]], [[1.0]]]},
    ):
        with pytest.raises(CheckpointError, match="its description of the table is not one zoo wrote"):
            ForecastSpec.from_json(stored, "x")
    for stored in (
        None,
        {},
        {"a": {"mean": [1]}},
        {"a": {**scaling.to_json()["a"], "mean": [float("nan")] * 4}},
    ):
        with pytest.raises(CheckpointError, match="its description of the table is not one zoo wrote"):
            Scaling.from_json(stored, spec, "x")


def static_panel(ages, varying=0, groups=None):
    """Series of 20 rows with an age each, which increases in the first ``varying`` series."""
    rows, count = 20, len(ages)
    age = np.repeat(np.array(ages, float), rows)
    age[: varying * rows] += np.tile(np.arange(rows), varying)
    arrays = {
        "id": np.repeat([f"s{number}" for number in range(count)], rows),
        "y": np.random.default_rng(count).normal(size=rows * count).cumsum(),
        "age": age,
    }
    panel = make_panel(DataTable.from_arrays(arrays), ColumnRoles(("y",), ("age",), series="id"), "mask")
    panel = panel if groups is None else replace(panel, parts=np.array(groups))
    settings = {"context": 3, "horizon": 2, "season": 1, "change": True, "levels": (), "missing": "mask"}
    spec = ForecastSpec.of_panel(panel, **settings, split="60,20,20", output_factors=(1.0,))
    return panel, spec, Scaling.fit(panel, spec, split_ends(panel, spec.split)[0])


@given(ages=st.lists(st.integers(18, 99), min_size=3, max_size=9, unique=True), varying=st.integers(0, 9))
def test_inputs_that_are_constant_in_most_series_have_the_scale_of_all(ages, varying):
    """Scaled for each series, an age was zero in all of them, and had no effect."""
    panel, spec, scaling = static_panel(ages, min(varying, len(ages)))
    is_static = 2 * min(varying, len(ages)) < len(ages)
    assert spec.static == (("age",) if is_static else ())
    assert ForecastSpec.from_json(spec.to_json(), "x") == spec
    if varying or not is_static:
        return
    expected = (np.array(ages) - np.mean(ages)) / np.std(ages)
    inputs = make_windows(panel, spec, scaling, "float64").past[::20, spec.input_names.index("age")]
    np.testing.assert_allclose(inputs, expected, atol=1e-12)
    other, _, _ = static_panel([ages[0]])
    other = replace(other, names=("new",))
    of_new = scaling.for_panel(other, spec, other.ends)
    inputs = make_windows(other, spec, of_new, "float64").past[:, spec.input_names.index("age")]
    np.testing.assert_allclose(inputs, expected[0], atol=1e-12)


def test_scale_of_static_inputs_comes_from_series_of_training():
    ages = np.array([20.0, 40.0, NAN, 90.0])
    _, spec, scaling = static_panel(ages, groups=[0, 0, 0, 2])
    assert spec.static == ("age",)
    np.testing.assert_array_equal(scaling.mean[:, 1], 30)
    np.testing.assert_array_equal(scaling.scale[:, 1], 10)


def test_series_of_another_panel_keep_their_units():
    panel, spec, _, scaling, _ = build(table())
    arrays = table(1)
    arrays["id"] = ["b"] * 35 + ["c"] * 25
    other = make_panel(DataTable.from_arrays(arrays), spec.roles)
    result = scaling.for_panel(other, spec, other.ends - 5)
    np.testing.assert_array_equal(result.mean[0], scaling.mean[1])
    assert result.mean[1, 0] == pytest.approx(other.numbers("y")[35:55].mean())
    assert scaling.for_panel(panel, spec, panel.ends).names == ("a", "b")


def test_linear_changes_do_not_depend_on_the_rows_that_were_read_before():
    first, second = (build(table(), linear=True)[4] for _ in range(2))
    rows = np.arange(4, N - HORIZON)
    expected = first.linear_changes(rows)
    for row in np.random.default_rng(0).permutation(rows):
        np.testing.assert_array_equal(second.linear_changes(np.array([row])), expected[row - 4 : row - 3])
    np.testing.assert_array_equal(first.linear_changes(rows.reshape(-1, 1))[:, 0], expected)
    y = first.levels[:, 0]
    by_lag = [(y[20 - lag] - y[20]) * WEIGHTS[0, lag - 1] for lag in range(1, LAGS)]
    size = first.scaling.change[0, 0] / first.scaling.output[0, 0]
    np.testing.assert_allclose(expected[20 - 4, :, 0], sum(by_lag) + size * WEIGHTS[0, -1])
