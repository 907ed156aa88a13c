"""``zoo.sklearn``: scikit-learn's own checks, and sequences of several lengths."""

from __future__ import annotations

import importlib.util
import itertools
import pickle
import re
from decimal import Decimal

import numpy as np
import pytest

import zoo
import zoo.sklearn as zoo_sklearn
from zoo.errors import CheckpointError, UsageError, ZooError, ZooWarning
from zoo.kernels import pure_python
from zoo.storage import Checkpoint
from zoo.storage import load as load_file
from zoo.storage import save as save_file

pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, GroupKFold, TimeSeriesSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo.sklearn import (
    SequenceClassifier,
    SequenceForecaster,
    SequenceRegressor,
    StepClassifier,
    StepRegressor,
    load,
)
from zoo.sklearn.sequences import arguments_of, as_rows

# In float64, so that what sums to the same in another order is the same to scikit-learn.
SMALL = {"cell": "vanilla", "hidden_size": 8, "dtype": "float64", "threads": 1, "random_state": 0}


NOT_OF_A_SERIES = {
    "check_methods_sample_order_invariance": "rows are time steps, whose order matters",
    "check_methods_subset_invariance": "a forecast reads all rows, and has `horizon` rows",
    "check_fit1d": "one column is a series",
    "check_fit2d_predict1d": "one column is a series",
}


@parametrize_with_checks(
    [
        SequenceClassifier(**SMALL, epochs=30, lr=0.02),
        SequenceRegressor(**SMALL, epochs=30, lr=0.02),
        SequenceForecaster(**SMALL, horizon=2, context=4, steps=2),
    ],
    expected_failed_checks=lambda made: NOT_OF_A_SERIES if isinstance(made, SequenceForecaster) else {},
)
def test_estimator_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def ragged():
    """Sequences of 3 to 9 steps of two features, which of them has the larger sum, and the sums."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(steps, 2)) for steps in rng.integers(3, 10, 60)]
    sums = np.array([row.sum(axis=0) for row in rows])
    return rows, np.where(sums[:, 0] > sums[:, 1], "first", "second"), sums


def nan_padded(rows):
    whole = np.full((len(rows), max(map(len, rows)), rows[0].shape[1]), np.nan)
    for place, row in enumerate(rows):
        whole[place, : len(row)] = row
    return whole


def test_sequences_of_several_lengths_are_learned(ragged):
    rows, classes, _ = ragged
    estimator = SequenceClassifier(**SMALL, epochs=60, lr=0.02).fit(rows, classes)
    assert estimator.score(rows, classes) > 0.95
    assert estimator.classes_.tolist() == ["first", "second"]
    np.testing.assert_allclose(estimator.predict_proba(rows).sum(axis=1), 1)
    assert estimator.losses_[-1] < estimator.losses_[0]
    assert estimator.n_features_in_ == 2


def test_products_in_bfloat16(ragged, any_processor, tmp_path):
    rows, classes, sums = ragged
    settings = {**SMALL, "dtype": "float32", "precision": "bf16"}
    classifier = SequenceClassifier(**settings, epochs=1).fit(rows[:6], classes[:6])
    single = SequenceClassifier(**settings | {"precision": None}, epochs=1).fit(rows[:6], classes[:6])
    assert classifier.model_.config.precision == "bf16"
    assert 0 < abs(classifier.losses_[0] - single.losses_[0]) < 1e-2
    classifier.save(tmp_path / "classifier.safetensors")
    loaded = load(tmp_path / "classifier.safetensors")
    assert (loaded.precision, loaded.model_.config.precision) == ("bf16", "bf16")
    np.testing.assert_array_equal(loaded.predict_proba(rows), classifier.predict_proba(rows))
    forecaster = SequenceForecaster(**settings, context=3, steps=1, patience=None).fit(sums[:12])
    assert forecaster.forecaster_.model.config.precision == "bf16"
    with pytest.raises(UsageError, match="precision is 'bf16' and dtype is 'float64'"):
        SequenceRegressor(**SMALL, precision="bf16").fit(rows, sums)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cell", ["prenorm(vanilla)", "gru+residual", ["vanilla", "prenorm(gru)"]])
def test_cell_in_a_block_and_a_cell_for_each_layer(cell, ragged, tmp_path):
    rows, classes, _ = ragged
    settings = {**SMALL, "cell": cell, "num_layers": 2}
    classifier = SequenceClassifier(**settings, epochs=2).fit(rows, classes)
    names = cell if isinstance(cell, list) else [cell, cell]
    assert [each.name for each in classifier.model_.cells] == names
    classifier.save(tmp_path / "classifier.safetensors")
    loaded = load(tmp_path / "classifier.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(rows), classifier.predict_proba(rows))


def test_forms_of_sequences_are_equivalent(ragged):
    rows, _, sums = ragged
    estimator = SequenceRegressor(**SMALL, epochs=3)
    fitted = estimator.fit(rows, sums)
    expected = fitted.predict(rows)
    assert expected.shape == (60, 2)
    as_objects = np.empty(len(rows), object)
    as_objects[:] = rows
    for form in (tuple(rows), nan_padded(rows), as_objects, [row.tolist() for row in rows]):
        np.testing.assert_allclose(fitted.predict(form), expected, rtol=1e-12)
        np.testing.assert_allclose(clone(estimator).fit(form, sums).predict(rows), expected, rtol=1e-12)
    np.testing.assert_allclose([fitted.predict([row])[0] for row in rows], expected, rtol=1e-9)


def test_table_is_sequences_of_one_length():
    rng = np.random.default_rng(0)
    table, numbers = rng.normal(size=(20, 6)), rng.normal(size=20)
    flat = SequenceRegressor(**SMALL, epochs=3, features=2).fit(table, numbers)
    deep = SequenceRegressor(**SMALL, epochs=3).fit(table.reshape(20, 3, 2), numbers)
    assert np.array_equal(flat.predict(table), deep.predict(table.reshape(20, 3, 2)))
    assert (flat.n_features_in_, deep.n_features_in_) == (6, 2)


def test_single_feature_needs_no_axis():
    rng = np.random.default_rng(0)
    rows, numbers = [rng.normal(size=steps) for steps in (3, 5, 4, 3)], rng.normal(size=4)
    estimator = SequenceRegressor(**SMALL, epochs=2).fit(rows, numbers)
    assert np.array_equal(estimator.predict(rows), estimator.predict([row[:, None] for row in rows]))


def as_objects(rows):
    objects = np.empty(len(rows), object)
    objects[:] = rows
    return objects


ONE_FEATURE = {
    "list": list,
    "tuple": tuple,
    "columns": lambda rows: [row[:, None] for row in rows],
    "objects": as_objects,
    "padded": lambda rows: nan_padded([row[:, None] for row in rows]),
    "padded objects": lambda rows: nan_padded([row[:, None] for row in rows]).astype(object),
    "series": lambda rows: list(map(pytest.importorskip("pandas").Series, rows)),
    "frames": lambda rows: list(map(pytest.importorskip("pandas").DataFrame, rows)),
}
TABLES = {"table": np.array, "lists": lambda rows: [row.tolist() for row in rows]}


def one_feature(*lengths):
    """Sequences of one feature, and the prediction of an estimator fitted on four of them as columns."""
    rng = np.random.default_rng(0)
    rows, numbers = [rng.normal(size=steps) for steps in lengths], rng.normal(size=len(lengths))
    return rows, numbers, SequenceRegressor(**SMALL, epochs=2)


@pytest.mark.parametrize("convert", [*ONE_FEATURE.values(), *TABLES.values()], ids=[*ONE_FEATURE, *TABLES])
@pytest.mark.parametrize("lengths", [(4, 4, 4, 4), (3, 5, 4, 3)])
def test_forms_of_one_feature_are_equivalent(lengths, convert):
    rows, numbers, estimator = one_feature(*lengths)
    if convert is np.array and len(set(lengths)) > 1:
        pytest.skip("a table has rows of one length")
    columns = clone(estimator).fit([row[:, None] for row in rows], numbers)
    fitted = clone(estimator).fit(convert(rows), numbers)
    for others in (rows, rows[:1], [row[:2] for row in rows], [row[:2] for row in rows] + rows):
        expected = columns.predict([row[:, None] for row in others])
        np.testing.assert_allclose(fitted.predict(others), expected, rtol=1e-12)
        if convert not in TABLES.values():
            np.testing.assert_allclose(fitted.predict(convert(others)), expected, rtol=1e-12)
        if len({len(row) for row in others}) == 1 and convert not in TABLES.values():
            np.testing.assert_allclose(fitted.predict(np.array(others)), expected, rtol=1e-12)


def test_number_of_columns_of_a_table_is_fixed():
    rows, numbers, estimator = one_feature(4, 4, 4, 4)
    for convert in TABLES.values():
        fitted = clone(estimator).fit(convert(rows), numbers)
        assert fitted.n_features_in_ == 4
        with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 4 features"):
            fitted.predict(convert([row[:2] for row in rows]))


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("features", [1, 2])
def test_number_of_columns_is_fixed_for_tables_of_any_number_of_steps(features, steps, tmp_path):
    rng = np.random.default_rng(0)
    fitted = SequenceRegressor(**SMALL, epochs=1, features=features)
    fitted.fit(rng.normal(size=(4, steps * features)), rng.normal(size=4))
    fitted.save(tmp_path / "estimator.safetensors")
    for each in (fitted, load(tmp_path / "estimator.safetensors")):
        with pytest.raises(ValueError, match=f"X has {3 * features} features, but .* is expecting"):
            each.predict(np.ones((2, 3 * features)))


MISSING_CLASSES = [None, float("nan"), np.float32("nan"), Decimal("nan"), Decimal("sNaN"), "NA", "NaT"]


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("missing", MISSING_CLASSES, ids=str)
@pytest.mark.parametrize("form", ["list", "array", "series"])
@pytest.mark.parametrize(
    "others", [["a", "b", "c"], [0, 1, 2], [0.0, 1.0, 2.0]], ids=["text", "int", "float"]
)
def test_missing_class_of_a_sequence_is_named(row, missing, form, others):
    missing = getattr(pytest.importorskip("pandas"), missing) if isinstance(missing, str) else missing
    classes = [missing if n == row else each for n, each in enumerate(others)]
    if form == "array":
        classes = np.array(classes, object)
    if form == "series":
        classes = pytest.importorskip("pandas").Series(classes, dtype=object)
    message = rf"SequenceClassifier: y\[{row}\] is {missing}; expected a class"
    with pytest.raises(ValueError, match=message):
        SequenceClassifier(epochs=1).fit([np.ones(3)] * 3, classes)


def test_missing_class_of_an_array_of_numbers_is_named():
    with pytest.raises(ValueError, match=r"SequenceClassifier: y\[1\] is nan; expected a class"):
        SequenceClassifier(epochs=1).fit([np.ones(3)] * 3, np.array([0, np.nan, 1]))


def test_names_of_columns_are_those_of_the_last_fit():
    pandas = pytest.importorskip("pandas")
    frame, numbers = pandas.DataFrame({"a": [0.1, 0.2, 0.3]}), np.arange(3.0)
    estimator = SequenceRegressor(**SMALL, epochs=1).fit(frame, numbers)
    with pytest.raises(ValueError, match="Feature names unseen at fit time"):
        estimator.predict(frame.rename(columns={"a": "b"}))
    estimator.fit([frame.to_numpy()] * 3, numbers)
    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize("names", [["hr", "bp"], ["bp", "hr", "age"], ["x"]])
def test_names_of_columns_of_frames_in_a_list_are_checked(names, tmp_path):
    """Frames with columns in another order were read by position."""
    pandas = pytest.importorskip("pandas")
    rng, y = np.random.default_rng(0), np.arange(8.0)
    frames = [pandas.DataFrame(rng.normal(size=(4 + n % 3, len(names))), columns=names) for n in range(8)]
    estimator = SequenceRegressor(epochs=1, hidden_size=2, features=len(names)).fit(frames, y)
    assert estimator.feature_names_in_.tolist() == names
    expected = estimator.predict(frames)
    estimator.save(tmp_path / "x.safetensors")
    for each in (estimator, load(tmp_path / "x.safetensors")):
        np.testing.assert_array_equal(each.predict(frames), expected)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            np.testing.assert_array_equal(each.predict([frame.to_numpy() for frame in frames]), expected)
        others = [frame[names[::-1]] for frame in frames]
        others = others if len(names) > 1 else [frame.rename(columns=str.upper) for frame in frames]
        with pytest.raises(ValueError, match="feature names should match"):
            each.predict(others)
        with pytest.raises(ValueError, match="feature names should match"):
            each.predict([frames[0], others[1]])
        if len(names) > 1:
            with pytest.raises(ValueError, match=f"feature names should match(.|\n)*missing:\n- {names[-1]}"):
                each.predict([frame[names[:-1]] for frame in frames])
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.fit([*frames[:-1], others[-1]], y)
    estimator.fit([frame.to_numpy() for frame in frames], y)
    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.n_features_in_ == len(names)


def test_estimator_works_in_pipeline_and_grid_search(ragged):
    rows, classes, _ = ragged
    table = np.array([row[:3].ravel() for row in rows]) * 100
    line = make_pipeline(StandardScaler(), SequenceClassifier(**SMALL, epochs=10, features=2))
    search = GridSearchCV(line, {"sequenceclassifier__hidden_size": [2, 8]}, cv=2).fit(table, classes)
    assert search.best_params_["sequenceclassifier__hidden_size"] in (2, 8)
    lists = GridSearchCV(SequenceClassifier(**SMALL, epochs=3), {"lr": [0.01, 0.1]}, cv=2)
    assert len(lists.fit(rows, classes).predict(rows)) == len(rows)


def test_sample_weight_equals_repetition(ragged):
    rows, _, sums = ragged
    rows, numbers = rows[:10], sums[:10, 0]
    weights = np.array([1, 2, 0, 1, 1, 0, 3, 1, 1, 1])
    estimator = SequenceRegressor(**SMALL, epochs=5)
    weighted = estimator.fit(rows, numbers, sample_weight=weights).predict(rows)
    repeated = np.repeat(np.arange(10), weights)
    same = clone(estimator).fit([rows[place] for place in repeated], numbers[repeated]).predict(rows)
    np.testing.assert_allclose(weighted, same, rtol=1e-9)


def test_seed_and_pickle_reproduce_predictions(ragged):
    rows, classes, _ = ragged
    first, second = (SequenceClassifier(**SMALL, epochs=2).fit(rows, classes) for _ in range(2))
    assert np.array_equal(first.predict_proba(rows), second.predict_proba(rows))
    other = SequenceClassifier(**{**SMALL, "random_state": 1}, epochs=2).fit(rows, classes)
    assert not np.array_equal(first.predict_proba(rows), other.predict_proba(rows))
    loaded = pickle.loads(pickle.dumps(first))
    assert np.array_equal(first.predict_proba(rows), loaded.predict_proba(rows))


def test_cell_instance_is_accepted(ragged):
    rows, classes, _ = ragged
    with zoo.kernels.pure_python():
        cell = zoo.get_cell("lstm+zoneout", zoneout_p=0.5)
        estimator = SequenceClassifier(cell=cell, hidden_size=2, epochs=1, random_state=0)
        fitted = clone(estimator).fit(rows[:6], classes[:6])
        loaded = pickle.loads(pickle.dumps(fitted))
        assert np.array_equal(loaded.predict_proba(rows[:6]), fitted.predict_proba(rows[:6]))
    assert fitted.model_.cell == cell


WRONG = {
    "features": ([np.ones((3, 2)), np.ones((3, 1))], "features; expected the same number in each"),
    "nan": (
        [np.array([1.0, np.nan, 2.0]), np.ones(2)],
        "sequence 0, step 1, feature 0: the value is missing",
    ),
    "nan at the end": (
        [np.ones(2), np.array([1.0, 2.0, np.nan])],
        r"sequence 1, step 2, feature 0: the value is missing; .* Only in an array \(N, T, I\) may NaN pad",
    ),
    "nan at the end of objects": (
        as_objects([np.ones(2), np.array([1.0, 2.0, np.nan])]),
        "sequence 1, step 2, feature 0: the value is missing",
    ),
    "nan at the end of columns": (
        [[[1.0], [np.nan]], [[1.0], [2.0]]],
        "sequence 0, step 1, feature 0: the value is missing",
    ),
    "empty": ([np.ones(2), np.array([])], "sequence 1 has no step"),
    "masked": (np.ma.masked_array(np.ones((2, 3, 2)), True), "SequenceRegressor: found a masked array"),
    "masked rows": ([np.ma.masked_array(np.ones(2), True)] * 2, "SequenceRegressor: found a masked array"),
    "imaginary parts": (np.ones((2, 3, 2)) + 1j, r"sequence 0 is complex128\(3, 2\); expected real numbers"),
    "dates": ([np.array(["2024-01-01"], "M8[D]")] * 2, r"sequence 0 is datetime64\[D\]\(1,\); expected real"),
    "text": ([np.array(["a", "b"])] * 2, "sequence 0, step 0, feature 0: found 'a'; expected a real number"),
    "texts of a table": (
        [["a", 1.0], ["b", 2.0]],
        r"Regressor: X holds texts; .* to float: '?a'?\)\. Encode",
    ),
    "imaginary objects": (
        [np.array([2, 1j], object)] * 2,
        "sequence 0, step 1, feature 0: found 1j; expected a real number",
    ),
    "records": ([np.zeros(2, "i4,f4")] * 2, r"sequence 0 is \[.*\]\(2,\); expected real numbers"),
    "no sequences": ([], "SequenceRegressor: found no sequences; expected at least one"),
    "no sequences of an array": (np.ones((0, 3, 2)), "found no sequences; expected at least one"),
    "no features": (np.ones((2, 3, 0)), r"sequence 0 has the shape \(3, 0\); expected \(T, I\)"),
    "ragged steps": ([[[1.0], [1.0, 2.0]], [[1.0]]], "sequence 0 cannot be made an array: parts of the list"),
    "axes of an array": (np.ones((2, 2, 2, 2)), r"sequence 0 has the shape \(2, 2, 2\)"),
    "axes": ([np.ones((2, 2, 2)), np.ones((3, 2))], r"sequence 0 has the shape \(2, 2, 2\)"),
}


@pytest.mark.parametrize(("rows", "complaint"), WRONG.values(), ids=WRONG)
def test_invalid_sequences_raise(rows, complaint):
    with pytest.raises(ValueError, match=complaint):
        SequenceRegressor(**SMALL).fit(rows, [0.0, 1.0])


NOT_NUMBERS = {
    "missing": (np.nan, "the value is missing; fill it, or use `zoo.fit` with `missing='forward'`"),
    "none": (None, "the value is missing; fill it, or use `zoo.fit`"),
    "infinite": (np.inf, "found inf; expected a finite number."),
    "text": ("low", "found 'low'; expected a real number. Encode the column as numbers, or give `zoo.fit`"),
    "date": (
        np.datetime64("2024-01-01").item(),
        r"found datetime.date\(2024, 1, 1\); expected a real number",
    ),
}
FORMS = {
    "array": lambda rows: np.array(rows, object),
    "lists": lambda rows: rows,
    "flat": lambda rows: np.array(rows, object).reshape(-1),
    "pandas": lambda rows: pytest.importorskip("pandas").DataFrame(rows, columns=["u", "v", "w"]),
    "pandas nullable": lambda rows: FORMS["pandas"](rows).convert_dtypes(),
    "polars": lambda rows: pytest.importorskip("polars").DataFrame(
        {name: list(column) for name, column in zip("uvw", zip(*rows, strict=True), strict=True)},
        strict=False,
    ),
}


@pytest.mark.parametrize("make", [SequenceClassifier, StepRegressor])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", NOT_NUMBERS)
@pytest.mark.parametrize("at", [(0, 0, 0), (1, 2, 1)], ids=str)
def test_value_that_is_no_number_is_located(make, form, kind, at):
    rows = np.arange(24.0).reshape(2, 4, 3).tolist()
    rows[at[0]][at[1]][at[2]] = NOT_NUMBERS[kind][0]
    if form == "polars" and kind in ("text", "date"):  # a column of polars has one type
        for each in rows[at[0]]:
            each[at[2]] = NOT_NUMBERS[kind][0]
        at = (at[0], 0, at[2])
    feature = repr("uvw"[at[2]]) if form.startswith("pa") or form == "polars" else at[2]
    where = f"{make.__name__}: sequence {at[0]}, step {at[1]}, feature {feature}: {NOT_NUMBERS[kind][1]}"
    with pytest.raises(ValueError, match=where):
        make(**SMALL, features=3).fit([FORMS[form](each) for each in rows], [0, 1])


DAYS = np.datetime64("2024-01-01") + np.arange(12).reshape(4, 3)
TIMES = {
    "dates": DAYS,
    "durations": DAYS - DAYS[0, 0],
    "rows of a list": list(map(list, DAYS)),
    "datetimes": DAYS.astype("M8[s]").tolist(),
    "objects of date": DAYS.astype(object),
    "objects of datetime64": np.array([[*list(row), 0] for row in DAYS], object),
    "one among numbers": [[1.0, 2.0], [3.0, DAYS[0, 0].item()], [5.0, 6.0], [7.0, 8.0]],
}


@pytest.mark.parametrize("make", [SequenceClassifier, SequenceRegressor])
@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_tables_of_times_raise(make, times):
    estimator, fitted = make(**SMALL, epochs=1), make(**SMALL, epochs=1).fit(np.ones((4, 3)), [0, 1, 0, 1])
    for function in (lambda: estimator.fit(times, [0, 1, 0, 1]), lambda: fitted.predict(times)):
        with pytest.raises(
            ValueError, match=f"{make.__name__}: X contains .*; expected real numbers, such as"
        ):
            function()


@pytest.mark.parametrize("missing", [[0], range(8)])
@pytest.mark.parametrize("estimator", [SequenceClassifier(**SMALL), SequenceRegressor(**SMALL)])
def test_a_table_with_missing_values_is_one_sentence(estimator, missing):
    table = np.ones((8, 2))
    table[missing] = np.nan
    sentence = (
        f"{type(estimator).__name__}: X contains NaN; fill it, or use `zoo.fit` with `missing='forward'` or "
        f"`missing='mask'`."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        estimator.fit(table, np.arange(8) % 2)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_with_times_raise(library):
    package = pytest.importorskip(library)
    frame = package.DataFrame({"value": np.ones(4), "time": DAYS[:, 0]})
    with pytest.raises(ValueError, match=r"SequenceRegressor: X contains 2024-01-01.*; expected real"):
        SequenceRegressor(**SMALL).fit(frame, [0, 1, 0, 1])


def test_targets_and_weights_that_are_times_raise():
    with pytest.raises(
        ValueError, match="SequenceRegressor: y contains 2024-01-01, a datetime64; expected real"
    ):
        SequenceRegressor(**SMALL).fit(np.ones((4, 3)), DAYS[:, 0])
    with pytest.raises(ValueError, match="sample_weight contains 2024-01-01, a datetime64; expected real"):
        SequenceRegressor(**SMALL).fit(np.ones((4, 3)), np.ones(4), DAYS[:, 0])


FAILURES = {
    "of the rows": ((np.full((8, 2), np.nan), np.arange(8)), {}, {}),
    "of the targets": ((np.ones((8, 2)), np.full(8, np.nan)), {}, {}),
    "of the validation": ((np.ones((8, 2)), np.arange(8)), {"validation": (np.ones((2, 5)), [0, 1])}, {}),
    "of an option": ((np.ones((8, 2)), np.arange(8)), {}, {"lr": -1.0}),
    "of the cell": ((np.ones((8, 2)), np.arange(8)), {}, {"cell": "vanila"}),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize(
    "estimator",
    [
        SequenceClassifier(**SMALL, epochs=5),
        SequenceRegressor(**SMALL, epochs=5),
        SequenceForecaster(**SMALL, context=2, steps=5),
    ],
)
def test_failed_refit_keeps_the_last_fit(estimator, failure):
    data, arguments, options = failure
    fitted = clone(estimator).fit(np.arange(24.0).reshape(8, 3) % 5, np.arange(8) % 2)
    fitted.set_params(**options)
    before = dict(vars(fitted))
    with pytest.raises((ValueError, ZooError)):
        fitted.fit(*data, **arguments)
    assert vars(fitted).keys() == before.keys()
    assert all(value is before[name] for name, value in vars(fitted).items())


def test_other_number_of_features_raises(ragged):
    rows, classes, _ = ragged
    estimator = SequenceClassifier(**SMALL, epochs=1).fit(rows, classes)
    with pytest.raises(ValueError, match="found 3 features at a step, and it was fitted on 2"):
        estimator.predict([np.ones((4, 3))])
    with pytest.raises(ValueError, match="rows hold 5 numbers, which is not a multiple of features=2"):
        SequenceClassifier(**SMALL, features=2).fit(np.ones((2, 5)), [0, 1])


@pytest.mark.parametrize("name", ["epochs", "batch_size", "features"])
def test_invalid_parameter_raises_in_fit(name):
    estimator = SequenceRegressor(**SMALL, **{name: 0})
    with pytest.raises(UsageError, match=f"{name} is 0; expected a positive integer"):
        estimator.fit(np.ones((2, 2)), [0.0, 1.0])


def test_invalid_sample_weights_raise():
    for weights in ([0, 0], [1, -1], [1]):
        with pytest.raises(ValueError, match="sample_weight has the shape"):
            SequenceRegressor(**SMALL).fit(np.ones((2, 2)), [0.0, 1.0], sample_weight=weights)


def test_divergence_raises():
    with pytest.raises(ZooError, match=r"training diverged: after \d steps the loss is .*; lower `lr`"):
        SequenceRegressor(**SMALL, lr=1e200).fit(np.ones((2, 2)), [0.0, 1.0])


@pytest.mark.parametrize(
    ("factor", "shift"), [(1.0, 138.0), (20.0, -5.0), (1e-6, 1e3), (1e150, 0.0), (-3.0, 7.0)]
)
@pytest.mark.parametrize("outputs", [1, 2])
def test_predictions_do_not_depend_on_the_units_of_targets(factor, shift, outputs, ragged):
    """Targets around 138 gave an R squared of -37."""
    rows, _, sums = ragged
    numbers = sums[:, 0] if outputs == 1 else np.stack([sums[:, 0], 5 - 100 * sums[:, 0]], axis=1)
    settings = {**SMALL, "epochs": 8, "lr": 0.02}
    plain = SequenceRegressor(**settings).fit(rows, numbers, validation=(rows[:9], numbers[:9]))
    scaled = factor * numbers + shift
    other = SequenceRegressor(**settings).fit(rows, scaled, validation=(rows[:9], scaled[:9]))
    sign = 1.0 if factor > 0 else plain.score(rows, numbers) / other.score(rows, scaled)
    assert sign == pytest.approx(1, abs=0.3)
    if factor > 0:
        expected = factor * plain.predict(rows) + shift
        np.testing.assert_allclose(other.predict(rows), expected, rtol=1e-5, atol=1e-4 * factor)
        np.testing.assert_allclose(other.losses_, plain.losses_, rtol=1e-4)
        np.testing.assert_allclose(other.validation_losses_, plain.validation_losses_, rtol=1e-4)


def test_constant_targets_are_predicted():
    fitted = SequenceRegressor(**SMALL, epochs=200, lr=0.05).fit(np.ones((4, 2)), [138.0] * 4)
    np.testing.assert_allclose(fitted.predict(np.ones((1, 2))), 138, atol=0.1)


@pytest.mark.parametrize("given", [None, 3.0, [1.0, 2.0, 3.0], ["inf"], ["a"]])
def test_saved_units_of_targets_are_checked(given, ragged, tmp_path):
    """A file of an older version holds no units, and its model was trained without them."""
    rows, _, sums = ragged
    path = tmp_path / "estimator.safetensors"
    fitted = SequenceRegressor(**SMALL, epochs=1).fit(rows, sums[:, 0] + 50)
    fitted.save(path)
    stored = load_file(path)
    description = dict(stored.meta["estimator"]["fitted"])
    for name in ("target_mean_", "target_scale_"):
        array = description.pop(name)
        if given is not None:
            description[name] = {**array, "values": given, "dtype": "<U1" if given == ["a"] else "<f8"}
    meta = {**stored.meta, "estimator": {**stored.meta["estimator"], "fitted": description}}
    save_file(path, Checkpoint(stored.arrays, meta))
    if given is not None:
        with pytest.raises(CheckpointError, match="its description of the estimator"):
            load(path)
        return
    expected = (fitted.predict(rows) - fitted.target_mean_) / fitted.target_scale_
    np.testing.assert_allclose(load(path).predict(rows), expected, rtol=1e-9)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_patience_stops_at_the_best_epoch(ragged, bidirectional):
    rows, classes, _ = ragged
    settings = {**SMALL, "lr": 0.05, "bidirectional": bidirectional, "batch_size": 8}
    estimator = SequenceClassifier(**settings, epochs=200, patience=3, validation_fraction=0.25)
    estimator.fit(rows, classes)
    losses = estimator.validation_losses_
    assert len(losses) == len(estimator.losses_) < 200
    assert np.argmin(losses) == len(losses) - 4
    assert SequenceClassifier(**settings, epochs=2).fit(rows, classes).validation_losses_ == []


def test_validation_has_a_share_of_every_class(ragged, monkeypatch):
    rows, _, _ = ragged
    classes, counts = np.repeat(["a", "b"], [44, 16]), []
    monkeypatch.setattr(
        zoo.SequenceModel,
        "fit",
        lambda self, **given: counts.append(given["validation"]["targets"].sum()) or [],
    )
    SequenceClassifier(**SMALL, patience=1, validation_fraction=0.25).fit(rows, classes)
    assert counts == [4]


def test_bidirectional_layers_read_each_sequence_from_its_own_end(ragged):
    rows, classes, _ = ragged
    fitted = SequenceClassifier(**SMALL, bidirectional=True, epochs=2).fit(rows, classes)
    alone = [fitted.predict_proba([row])[0] for row in rows]
    np.testing.assert_allclose(fitted.predict_proba(rows), alone, rtol=1e-9)


def test_dropout_changes_training_and_not_prediction(ragged):
    rows, classes, _ = ragged
    plain, dropped = (
        SequenceClassifier(**SMALL, num_layers=2, dropout=p, epochs=2).fit(rows, classes) for p in (0, 0.5)
    )
    assert plain.losses_ != dropped.losses_
    assert np.array_equal(dropped.predict_proba(rows), dropped.predict_proba(rows))


@pytest.mark.parametrize(
    ("steps", "bidirectional", "given"),
    [((4, 5), False, False), ((4, 5), True, True), ((5, 5), True, False), ((2, 2, 9), False, True)],
)
def test_lengths_are_given_where_they_matter(steps, bidirectional, given):
    model = zoo.SequenceModel("vanilla", 1, 2, 3, bidirectional=bidirectional)
    rows = [np.ones((length, 1)) for length in steps]
    inputs, lengths, _ = arguments_of(rows, model, {})
    assert (inputs[:, :, 0].sum(axis=0) == steps).all()
    assert (lengths is not None) == given


def test_mostly_padded_sequences_are_learned():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(steps, 1)) for steps in (40, *rng.integers(2, 5, 30))]
    classes = [row.sum() > 0 for row in rows]
    estimator = SequenceClassifier(**SMALL, epochs=60, lr=0.02).fit(rows, classes)
    assert estimator.score(rows, classes) > 0.9
    alone = [estimator.predict_proba([row])[0] for row in rows]
    np.testing.assert_allclose(estimator.predict_proba(rows), alone, rtol=1e-9)


def test_tables_are_not_sequences():
    for table in (np.ones((2, 3)), [[1, 2], [3, 4]], [1, 2], "no", None, np.ones((2, 3), object)):
        assert as_rows(table, 1, "who") is None


def test_missing_scikit_learn_raises_with_install_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'recurrent-zoo\[sklearn\]'"):
        zoo_sklearn.SequenceClassifier  # noqa: B018


def timed_sequences():
    """Sequences of two features, a number and the time to it, and a leaky mean at the end."""
    rng = np.random.default_rng(0)
    rows = [np.stack([rng.normal(size=n), rng.uniform(size=n) ** 2], axis=1) for n in rng.integers(3, 9, 40)]
    means = []
    for row in rows:
        mean = 0.0
        for x, dt in row:
            mean += (1 - np.exp(-dt)) * (x - mean)
        means.append(mean)
    return rows, np.array(means)


def test_features_as_auxiliary_inputs():
    rows, means = timed_sequences()
    settings = {"cell": "ctrnn", "hidden_size": 8, "epochs": 60, "random_state": 0, "lr": 0.02}
    timed = SequenceRegressor(**settings, aux={"dt": -1}).fit(rows, means)
    assert timed.model_.stack.input_size == 1
    assert timed.n_features_in_ == 2
    blind = SequenceRegressor(**settings).fit([row[:, :1] for row in rows], means)
    assert timed.losses_[-1] < 0.5 * blind.losses_[-1]
    x, dt = np.zeros((2, 8, 40, 1))[0], np.zeros((8, 40))
    for n, row in enumerate(rows):
        x[: len(row), n], dt[: len(row), n] = row[:, :1], row[:, 1]
    outputs, _ = timed.model_.outputs(x, dt=dt)
    last = np.array([outputs[len(row) - 1, n, 0] for n, row in enumerate(rows)])
    expected = last * timed.target_scale_ + timed.target_mean_
    np.testing.assert_allclose(timed.predict(rows), expected, rtol=1e-5, atol=1e-6)


def test_cells_without_an_auxiliary_input_are_trained_without_its_feature(tmp_path):
    """A search over cells of both kinds had no score for those without the input."""
    rows, means = timed_sequences()
    settings = {"hidden_size": 3, "epochs": 2, "random_state": 0}
    blind = SequenceRegressor("gru", **settings).fit([row[:, :1] for row in rows], means)
    with pytest.warns(ZooWarning, match=r"cell 'gru' has no auxiliary input 'dt', so it does not read the"):
        timed = SequenceRegressor("gru", **settings, aux={"dt": -1}).fit(rows, means)
    expected = blind.predict([row[:, :1] for row in rows])
    np.testing.assert_array_equal(timed.predict(rows), expected)
    timed.save(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "x.safetensors").predict(rows), expected)
    search = GridSearchCV(SequenceRegressor(**settings, aux={"dt": -1}), {"cell": ["gru", "cfc"]}, cv=2)
    with pytest.warns(ZooWarning, match="no auxiliary input"):
        search.fit(rows, means)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("estimator", [SequenceClassifier, SequenceRegressor])
@pytest.mark.parametrize("convert", [list, tuple, lambda y: np.array(y, object)])
def test_targets_at_each_step_name_the_estimator_for_them(estimator, convert):
    """NumPy's error was about an inhomogeneous shape."""
    rows, _ = timed_sequences()
    y = convert([np.zeros(len(row), int) for row in rows])
    other = estimator.__name__.replace("Sequence", "Step")
    with pytest.raises(ValueError, match=rf"y holds vectors of 3 to 8 values; .* use {other}\."):
        estimator().fit(rows, y)


@pytest.mark.parametrize("aux", [{"dt": 2}, {"dt": 0, "other": 0}, {"dt": 0, "other": 1}, {"dt": 0.5}, 3])
def test_invalid_auxiliary_features(aux):
    rows, means = timed_sequences()
    with pytest.raises(UsageError, match="aux"):
        SequenceRegressor(cell="ctrnn", aux=aux).fit(rows, means)


@pytest.mark.parametrize("order", [["gap", "x"], ["x", "gap"]])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_auxiliary_feature_by_name_of_its_column(library, order, tmp_path):
    make = pytest.importorskip(library).DataFrame
    rows, means = (each[:6] for each in timed_sequences())
    frames = [make({"x": row[:, 0], "gap": row[:, 1]})[order] for row in rows]
    settings = {"cell": "ctrnn", "hidden_size": 3, "epochs": 1, "random_state": 0}
    with zoo.kernels.pure_python():
        expected = SequenceRegressor(**settings, aux={"dt": -1}).fit(rows, means).predict(rows)
        named = SequenceRegressor(**settings, aux={"dt": "gap"}).fit(frames, means)
        named.save(tmp_path / "x.safetensors")
        for estimator in (named, load(tmp_path / "x.safetensors")):
            np.testing.assert_array_equal(estimator.predict(frames), expected)
    with pytest.raises(
        UsageError, match=r"aux: dt is 'gaps'; expected one of '\w+', '\w+'\. Did you mean 'gap'"
    ):
        SequenceRegressor(**settings, aux={"dt": "gaps"}).fit(frames, means)
    table = "Each row of a table is a sequence; give a list with one data frame for each sequence"
    for data, advice in ((rows, "Names need data frames"), (make({"gap": means, "x": means}), table)):
        with pytest.raises(UsageError, match=rf"aux: dt is 'gap'; expected a number\. {advice}"):
            SequenceRegressor(**settings, aux={"dt": "gap"}).fit(data, means)


# ---- validation and weights ---------------------------------------------------------------------------


def test_given_validation_replaces_the_share(ragged):
    rows, classes, sums = ragged
    settings = {**SMALL, "epochs": 3, "batch_size": 16}
    fitted = SequenceClassifier(**settings).fit(rows, classes, validation=(rows[:9], classes[:9]))
    losses = fitted.validation_losses_
    assert len(losses) == 3
    assert min(losses) == pytest.approx(
        fitted.model_.evaluate(**_last_steps(fitted, rows[:9], classes[:9]))["loss"]
    )
    alone = SequenceClassifier(**settings).fit(rows, classes)
    assert fitted.losses_ == alone.losses_, "validation does not change the updates"
    numbers = SequenceRegressor(**settings, patience=1).fit(rows, sums, validation=(rows[:9], sums[:9]))
    assert len(numbers.validation_losses_) == len(numbers.losses_)


def _last_steps(fitted, rows, classes):
    inputs, lengths, _ = arguments_of(rows, fitted.model_, {})
    lengths = np.array([len(row) for row in rows]) if lengths is None else lengths
    return {"inputs": inputs, "targets": np.searchsorted(fitted.classes_, classes), "lengths": lengths}


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        (3, r"validation is 3; expected a pair \(X, y\)"),
        (([np.ones((4, 3))], ["first"]), "found 3 features at a step, and it was fitted on 2"),
        (([np.ones((4, 2))], ["third"]), "validation has the class 'third', which training lacks"),
        (([np.ones((4, 2))], ["first", "second"]), "inconsistent numbers of samples"),
    ],
)
def test_invalid_validation_raises(ragged, validation, words):
    rows, classes, _ = ragged
    with pytest.raises(ValueError, match=words):
        SequenceClassifier(**SMALL).fit(rows, classes, validation=validation)


@pytest.mark.parametrize("in_training", [1, 2, 3])
@pytest.mark.parametrize("in_validation", [1, 2, 3])
def test_targets_for_validation_are_as_many_as_in_training(in_training, in_validation):
    rng = np.random.default_rng(0)
    rows, targets, others = rng.normal(size=(6, 3, 2)), *rng.normal(size=(2, 6, 3))
    given, validation = targets[:, :in_training].squeeze(), (rows, others[:, :in_validation].squeeze())
    estimator = SequenceRegressor(**SMALL, epochs=1)
    if in_training == in_validation:
        assert len(estimator.fit(rows, given, validation=validation).validation_losses_) == 1
        return
    words = f"validation has {in_validation} targets? for each sequence, and training has {in_training}"
    with pytest.raises(ValueError, match=words):
        estimator.fit(rows, given, validation=validation)


def test_class_weight_equals_sample_weight(ragged):
    rows, classes, _ = ragged
    weights = np.where(classes == "first", 3.0, 1.0)
    settings = {**SMALL, "epochs": 3, "batch_size": len(rows)}
    by_class = SequenceClassifier(**settings, class_weight={"first": 3.0, "second": 1.0}).fit(rows, classes)
    by_sample = SequenceClassifier(**settings).fit(rows, classes, sample_weight=weights)
    np.testing.assert_allclose(by_class.predict_proba(rows), by_sample.predict_proba(rows), rtol=1e-9)
    few = np.r_[np.flatnonzero(classes == "first")[:4], np.flatnonzero(classes == "second")]
    chosen, of_chosen = [rows[n] for n in few], classes[few]
    even = SequenceClassifier(**settings, class_weight="balanced").fit(chosen, of_chosen)
    plain = SequenceClassifier(**settings).fit(chosen, of_chosen)
    assert even.predict_proba(rows)[:, 0].mean() > plain.predict_proba(rows)[:, 0].mean() + 0.01


# ---- files --------------------------------------------------------------------------------------------


def test_saved_estimators_are_loaded_without_pickle(ragged, tmp_path):
    rows, classes, sums = ragged
    path = tmp_path / "estimator.safetensors"
    settings = {
        **SMALL,
        "epochs": 1,
        "optimizer": zoo.get_optimizer("sgd", momentum=0.5),
        "lr": 0.02,
    }
    for made, targets in (
        (SequenceClassifier(**settings, class_weight={"first": 2.0, "second": 1.0}), classes),
        (SequenceClassifier(**settings), classes == "first"),
        (SequenceRegressor(**settings), sums[:, 0]),
        (SequenceRegressor(**{**settings, "cell": zoo.get_cell("vanilla")}), sums),
    ):
        fitted = made.fit(rows, targets)
        fitted.save(path)
        loaded = load(path)
        assert type(loaded) is type(made)
        np.testing.assert_array_equal(loaded.predict(rows), fitted.predict(rows))
        assert repr(loaded.get_params()) == repr(fitted.get_params())
        assert loaded.losses_ == fitted.losses_
        assert (zoo.load(path).theta == fitted.model_.theta).all()
    assert loaded.fit(rows, sums).predict(rows).shape == sums.shape
    with pytest.raises(ValueError, match="not fitted"):
        SequenceRegressor().save(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "os.system"},
        {"params": {"shell": "true"}},
        {"fitted": {}},
        {"fitted": {"_step_features": 3, "classes_": {"dtype": "<U1", "values": ["a", "b"]}}},
        {"fitted": {"_step_features": 2, "classes_": {"dtype": "<U1", "values": ["a"]}}},
        {"fitted": {"_step_features": 2, "classes_": {"dtype": "|V8", "values": ["a", "b"]}}},
    ],
)
def test_damaged_description_raises(ragged, tmp_path, changes):
    rows, classes, _ = ragged
    path = tmp_path / "estimator.safetensors"
    SequenceClassifier(**SMALL, epochs=1).fit(rows[:8], classes[:8]).save(path)
    stored = load_file(path)
    meta = {**stored.meta, "estimator": {**stored.meta["estimator"], **changes}}
    save_file(path, Checkpoint(stored.arrays, meta))
    with pytest.raises(CheckpointError, match="its description of the estimator"):
        load(path)


def test_loaded_estimator_names_no_file(ragged, tmp_path):
    rows, classes, _ = ragged
    path = tmp_path / "estimator.safetensors"
    (tmp_path / "evil.py").write_text("raise SystemExit('run')\n")
    fitted = SequenceClassifier(**SMALL, epochs=1).fit(rows[:8], classes[:8])
    fitted.set_params(cell=f"{tmp_path}/evil.py:Evil").save(path)
    loaded = load(path)
    assert loaded.cell == loaded.model_.cell
    assert len(loaded.fit(rows[:8], classes[:8]).predict(rows)) == len(rows)
    fitted.set_params(optimizer=f"{tmp_path}/evil.py:Evil").save(path)
    with pytest.raises(CheckpointError, match="its description of the estimator"):
        load(path)


def test_file_of_a_model_is_no_estimator(tmp_path):
    zoo.SequenceModel("vanilla", 1, 1, 2).save(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no estimator"):
        load(tmp_path / "model.safetensors")


# ---- forecasts ----------------------------------------------------------------------------------------

STEPS = 160
FORECAST = {**SMALL, "horizon": 4, "context": 10, "batch_size": 16, "lr": 0.02}


def wave(steps=STEPS):
    """A sine with noise, and the phase one step later, which is known in advance."""
    rng = np.random.default_rng(0)
    phase = np.arange(steps) / 3
    return np.sin(phase) * 5 + 20 + rng.normal(size=steps) / 10, np.sin(phase + 1 / 3)


@pytest.fixture(scope="module")
def forecaster():
    return SequenceForecaster(**FORECAST, steps=150, season=1).fit(wave()[0])


def test_forecast_continues_the_series(forecaster):
    series, _ = wave()
    expected = 5 * np.sin((STEPS + np.arange(4)) / 3) + 20
    np.testing.assert_allclose(forecaster.predict(), expected, atol=1.2)
    np.testing.assert_array_equal(forecaster.predict(series), forecaster.predict())
    assert not np.allclose(forecaster.predict(series[:100]), forecaster.predict())
    assert forecaster.forecast(steps=9, level=0).values.shape == (1, 9, 1, 1)
    with pytest.warns(ZooWarning, match="there is no interval"):  # it was trained on all rows
        assert forecaster.forecast().levels == ()
    with pytest.warns(ZooWarning, match="there is no interval") as caught:
        zoo.forecast(forecaster.forecaster_)
    assert caught[0].filename == __file__
    assert forecaster.losses_
    assert forecaster.validation_losses_ == []


def test_texts_have_an_embedding():
    series, _ = wave(60)
    words = np.tile(["u", "v", "w"], 20)
    model = SequenceForecaster("vanilla", horizon=2, context=6, steps=2, embedding=2, threads=1)
    with zoo.kernels.pure_python():
        model.fit({"word": words}, series)
        assert model.forecaster_.model.params["embedding"].shape == (3, 2)
        assert model.predict().shape == (2,)


def test_score_is_the_skill_over_the_naive_forecast(forecaster):
    series, _ = wave()
    origins = np.arange(9, STEPS - 4)
    actual = series[origins[:, None] + np.arange(1, 5)]
    model = [forecaster.predict(series[: n + 1]) for n in origins[::40]]
    backtest = forecaster.forecaster_.backtest(series, stride=1, part="all", level=0).forecast
    np.testing.assert_allclose(backtest.values[::40, :, 0, 0], model, rtol=1e-6)
    errors, of_naive = backtest.values[:, :, 0, 0] - actual, series[origins][:, None] - actual
    skill = 1 - np.abs(errors).mean() / np.abs(of_naive).mean()
    assert forecaster.score(series) == pytest.approx(skill, rel=1e-9)
    assert 0.3 < skill < 1


def test_forecaster_works_in_grid_search_with_time_series_split():
    series, phase = wave()
    made = SequenceForecaster(**FORECAST, steps=20)
    search = GridSearchCV(made, {"hidden_size": [2, 8]}, cv=TimeSeriesSplit(3), error_score="raise")
    assert search.fit(series).best_estimator_.predict().shape == (4,)
    line = make_pipeline(StandardScaler(), clone(made).set_params(hidden_size=4))
    name = "sequenceforecaster__horizon"
    search = GridSearchCV(line, {name: [2, 4]}, cv=TimeSeriesSplit(2), error_score="raise")
    search.fit(phase[:, None], series)
    assert len(search.predict(phase[-4:, None])) == search.best_params_[name]


def test_inputs_and_known_future():
    series, phase = wave()
    made = SequenceForecaster(**FORECAST, steps=60, known_future=["0"])
    fitted = made.fit(phase[:-4, None], series[:-4])
    whole = fitted.predict(phase[:, None], series[:-4])
    np.testing.assert_array_equal(fitted.predict(phase[-4:, None]), whole)
    assert not np.allclose(fitted.predict(-phase[-4:, None]), whole)
    assert fitted.forecaster_.spec.roles.known_future == ("0",)
    assert fitted.score(phase[:, None], series) > -1


def test_columns_of_a_data_frame_have_the_roles_that_their_names_have():
    series, phase = wave()
    days = np.datetime64("2024-01-01") + np.arange(STEPS)
    frame = {"day": days, "load": series, "price": phase, "color": np.where(phase > 0, "red", "blue")}
    chosen = SequenceForecaster(**FORECAST, steps=2, target="load").fit(frame)
    assert chosen.predict().shape == (4,)
    roles = chosen.forecaster_.spec.roles
    assert (roles.time, roles.input) == ("day", ("price", "color"))
    assert SequenceForecaster(**FORECAST, steps=2).fit(frame).predict().shape == (4, 2)
    with_y = SequenceForecaster(**FORECAST, steps=2).fit({"color": frame["color"]}, {"load": series})
    np.testing.assert_array_equal(
        with_y.predict(), with_y.predict({"color": frame["color"]}, {"load": series})
    )
    two = {"load": np.r_[series, series + 1], "name": np.repeat(["a", "b"], STEPS)}
    assert SequenceForecaster(**FORECAST, steps=2, series="name").fit(two).predict().shape == (2, 4, 1)
    numbers = {**two, "name": 10**16 + np.unique(two["name"], return_inverse=True)[1]}  # equal as float64
    assert SequenceForecaster(**FORECAST, steps=2, series="name").fit(numbers).predict().shape == (2, 4, 1)


def test_times_in_an_index_of_pandas_are_read():
    pandas = pytest.importorskip("pandas")
    series, phase = wave()
    days = pandas.date_range("2024-01-01", periods=STEPS)
    load = pandas.Series(series, days, name="load")
    fitted = SequenceForecaster(**FORECAST, steps=2).fit(load)
    assert fitted.forecaster_.spec.season == 7
    forecast = fitted.forecast(level=0).columns()
    assert list(forecast) == ["time", "load"]
    assert forecast["time"][0] == np.datetime64("2024-06-09")
    inputs = pandas.DataFrame({"phase": phase}, days)
    made = SequenceForecaster(**FORECAST, steps=2, known_future=["phase"])
    fitted = clone(made).fit(inputs[:-4], load[:-4])
    whole = fitted.predict(inputs, load[:-4])
    np.testing.assert_array_equal(fitted.predict(inputs[-4:]), whole)
    with pytest.raises(ValueError, match="X has no times; give them in a column 'time', or in the index"):
        made.set_params(known_future=["0"]).fit(phase[:-4, None], load[:-4]).predict(phase[-4:, None])


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "mapping"])
@pytest.mark.parametrize("target", ["load", ["load"], ["load", "price"], None])
def test_a_table_with_times_texts_and_numbers_of_any_library_has_forecasts(library, target):
    rng, days = (
        np.random.default_rng(0),
        np.datetime64("2024-01-01", "us") + np.arange(40) * np.timedelta64(1, "D"),
    )
    table = {"day": days, "load": rng.normal(size=40), "price": rng.normal(size=40), "color": [*"ab"] * 20}
    if library == "pyarrow":
        table = pytest.importorskip("pyarrow").table(table)
    elif library != "mapping":
        table = pytest.importorskip(library).DataFrame(table)
    made = SequenceForecaster(
        "vanilla", hidden_size=2, horizon=2, context=3, steps=1, threads=1, target=target
    )
    fitted = made.fit(table)
    assert fitted.forecaster_.spec.roles.time == "day"
    assert fitted.predict().shape == ((2,) if target == "load" else (2, 1) if target == ["load"] else (2, 2))


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("name", ["k", "known", "two, words"])
def test_known_future_may_be_one_name(name):
    rows = {name: np.arange(30.0) % 7, "load": np.sin(np.arange(30.0))}
    for given in (name, [name], (name,)):
        shape = {"hidden_size": 2, "horizon": 2, "context": 3, "steps": 1, "threads": 1}
        fitted = SequenceForecaster("vanilla", **shape, known_future=given).fit(rows)
        roles = fitted.forecaster_.spec.roles
        assert (roles.known_future, roles.target) == ((name,), ("load",))


@pytest.mark.usefixtures("plain_python")
def test_one_of_several_columns_of_times_has_to_be_named():
    """The index of pandas is one of them."""
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-01-01", periods=30)
    frame = pandas.DataFrame({"load": np.sin(np.arange(30.0)), "built": pandas.Timestamp("1999-05-01")}, days)
    made = SequenceForecaster("vanilla", hidden_size=2, horizon=2, context=3, steps=1, threads=1)
    with pytest.warns(zoo.ZooWarning, match="several columns of times: time, built.*name one with `time`"):
        assert made.fit(frame).forecaster_.spec.roles.time is None
    fitted = made.set_params(time="time").fit(frame)
    assert fitted.forecast(level=0).columns()["time"][0] == np.datetime64("2024-01-31")


def test_patience_of_a_forecaster():
    series, _ = wave()
    settings = {"patience": 2, "validation_fraction": 0.3, "output": "correction"}
    fitted = SequenceForecaster(**FORECAST, steps=60, **settings).fit(series)
    assert fitted.forecaster_.spec.lags > 0
    losses = fitted.validation_losses_
    best = int(np.argmin(losses))
    assert len(losses) == 20 or len(losses) == best + 3
    assert fitted.forecaster_.spec.split == "0.7,0.3"
    assert fitted.forecast().levels == (0.1, 0.5, 0.9)


def test_rows_for_validation_of_a_forecaster():
    """They are the end of the rows, whose share need not be a decimal number."""
    series, phase = wave()
    made = SequenceForecaster(**FORECAST, steps=20)
    given = made.fit(phase[:123, None], series[:123], validation=(phase[123:, None], series[123:]))
    assert given.forecast().levels == (0.1, 0.5, 0.9)
    assert len(given.validation_losses_) == 20
    shares = {"patience": 20, "validation_fraction": 37 / 160}
    whole = SequenceForecaster(**FORECAST, steps=20, **shares).fit(phase[:, None], series)
    np.testing.assert_array_equal(given.predict(), whole.predict())
    with pytest.raises(ValueError, match=r"validation is .*; expected a pair \(X, y\)"):
        made.fit(phase[:, None], series, validation=series)
    with pytest.raises(ValueError, match="validation is given with `series`; set validation_fraction"):
        SequenceForecaster(**FORECAST, series="0").fit(phase[:, None], series, validation=(phase, series))


ESTIMATORS = {
    "SequenceClassifier": (SequenceClassifier, [0, 1] * 4),
    "SequenceRegressor": (SequenceRegressor, np.arange(8.0)),
    "StepClassifier": (StepClassifier, [[0, 1, 1]] * 8),
    "StepRegressor": (StepRegressor, np.arange(24.0).reshape(8, 3)),
    "SequenceForecaster": (SequenceForecaster, None),
}


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_base_hidden_scales_the_updates_of_matrices_of_hidden_units(name, tmp_path):
    """The first update of Adam is the learning rate, whatever the gradient."""
    made, y = ESTIMATORS[name]
    rows = np.random.default_rng(0).normal(size=(8, 3))
    once = {"steps": 1, "horizon": 1, "context": 3} if y is None else {"epochs": 1}

    def fitted(**changes):
        estimator = made(**SMALL, **once, lr=0.01, clip=None, **changes)
        return estimator.fit(rows[:, 0]) if y is None else estimator.fit(rows, y)

    def params(estimator):
        return (estimator.forecaster_.model if y is None else estimator.model_).params

    plain, half, quarter = (params(fitted(base_hidden=base)) for base in (None, 4, 2))
    for key, array in plain.items():
        factor = 2 if key in ("l0.Whh", "Why") else 0
        difference = array - half[key]
        np.testing.assert_allclose(difference, factor * (half[key] - quarter[key]), rtol=1e-5, atol=1e-12)
        assert bool(np.abs(difference).max() > 1e-3) == bool(factor), key
    for array, other in zip(plain.values(), params(fitted(base_hidden=8)).values(), strict=True):
        np.testing.assert_array_equal(array, other)
    path = tmp_path / "estimator.safetensors"
    fitted(base_hidden=2).save(path)
    assert load(path).base_hidden == 2
    for base, words in (
        (0, "base_hidden is 0; expected"),
        (8001, "base_hidden is 8,001 and the model"),
    ):
        with pytest.raises(UsageError, match=words):
            fitted(base_hidden=base)
    with pytest.raises(UsageError, match="base_hidden is 2 and the updates of optimizer 'sgd' depend"):
        fitted(base_hidden=2, optimizer="sgd")


VALUES = {
    "numbers": np.arange(40.0),
    "dates": np.datetime64("2024-01-01") + np.arange(40),
    "texts": np.array([*"abcd"] * 10),
}


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(("fitted", "given"), [*itertools.permutations(VALUES, 2)])
def test_rows_that_follow_have_the_kinds_of_values_of_the_rows_of_training(fitted, given):
    y = np.sin(np.arange(30.0))
    roles = {"known_future": ["known"], "time": None if fitted == "texts" else "column"}
    made = SequenceForecaster("vanilla", hidden_size=2, horizon=2, context=3, steps=1, threads=1, **roles)
    known = np.arange(40.0) % 7
    rows = {"column": VALUES[fitted][:30], "known": known[:30]}
    after = {"column": VALUES[given][30:], "known": known[30:]}
    message = f"X has {given} in column 'column', and fit was given {fitted}; give {fitted} here, too"
    with pytest.raises(ValueError, match=message):
        made.fit(rows, y).forecast(after)
    with pytest.raises(ValueError, match=message):
        made.fit(rows, y, validation=(after, np.arange(10.0)))
    assert made.fit(rows, y).predict({**after, "column": VALUES[fitted][30:]}).shape == (2,)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(("fitted", "given"), [("numbers", "dates"), ("dates", "numbers")])
@pytest.mark.parametrize("call", ["forecast", "predict", "score"])
def test_a_cell_that_reads_the_time_reads_times_of_the_kind_of_training(fitted, given, call):
    shape = {"hidden_size": 2, "horizon": 2, "context": 3, "steps": 1, "threads": 1}
    made = SequenceForecaster("cfc", **shape, target="load", time="time", random_state=0)
    made.fit({"time": VALUES[fitted], "load": np.sin(np.arange(40.0))})
    with pytest.raises(zoo.DataError, match=r"the model reads the time between rows\. Give times"):
        getattr(made, call)({"time": VALUES[given], "load": np.sin(np.arange(40.0))})


def test_saved_forecaster(forecaster, tmp_path):
    series, _ = wave()
    path = tmp_path / "forecaster.safetensors"
    forecaster.save(path)
    loaded = load(path)
    np.testing.assert_array_equal(loaded.predict(series), forecaster.predict(series))
    values = zoo.forecast(path, {"0": series}, level=0).values
    np.testing.assert_array_equal(values, forecaster.forecast(level=0).values)
    assert repr(loaded) == repr(forecaster)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(forecaster)).predict(), forecaster.predict())
    with pytest.raises(ValueError, match="was loaded without its data; pass X, the rows before the forecast"):
        loaded.predict()
    named = SequenceForecaster(**FORECAST, steps=1).fit(wave()[1][:, None], series)
    named.save(path)
    with pytest.raises(ValueError, match="was loaded without its data; pass X and y, the rows before"):
        load(path).predict(wave()[1][:, None])


@pytest.mark.parametrize(
    ("settings", "given", "words"),
    [
        ({}, {"X": None}, "X and y are None; give the series"),
        ({}, {"X": {"y": wave()[0]}, "y": wave()[0]}, "X and y both have the column 'y'; rename one"),
        ({}, {"X": wave()[1][5:, None], "y": wave()[0]}, "X has 155 rows and y 160; expected as many"),
        ({}, {"X": wave()[1][:, None], "y": wave()[0][5:]}, "X has 160 rows and y 155; expected as many"),
        ({"horizon": 0}, {"X": wave()[0]}, "horizon is 0; expected a positive integer"),
        ({"steps": 2.5}, {"X": wave()[0]}, "steps is 2.5; expected a positive integer"),
        ({"patience": 1, "validation_fraction": 1}, {"X": wave()[0]}, "validation_fraction is 1; expected"),
        ({"loss": "cross_entropy"}, {"X": wave()[0]}, "is not a loss of numbers"),
        (
            {"output": "up"},
            {"X": wave()[0]},
            "output is 'up'; expected one of 'change', 'level', 'correction'",
        ),
        ({"target": "z"}, {"X": {"y": wave()[0]}}, "has no column 'z'"),
        ({"context": 200}, {"X": wave()[0]}, "has 160 rows in its training part"),
        (
            {},
            {"X": np.full(9, np.nan)},
            "X contains NaN; fill it, or set missing='forward' or missing='mask'",
        ),
    ],
)
def test_invalid_arguments_of_a_forecaster_raise(settings, given, words):
    with pytest.raises(ValueError, match=words):
        SequenceForecaster(**{**FORECAST, **settings}).fit(**given)


@pytest.mark.parametrize(
    "estimator",
    [SequenceClassifier, SequenceRegressor, SequenceForecaster, StepClassifier, StepRegressor],
)
def test_unknown_argument_has_a_suggestion(estimator):
    with pytest.raises(TypeError, match=r"unknown argument 'hidden'\. Did you mean 'hidden_size'\?"):
        estimator(hidden=8)


@pytest.mark.parametrize(
    ("estimator", "given", "near"),
    [
        (SequenceClassifier, "steps", "epochs"),
        (SequenceRegressor, "steps", "epochs"),
        (SequenceForecaster, "epochs", "steps"),
    ],
)
def test_duration_of_training_has_a_suggestion(estimator, given, near):
    with pytest.raises(TypeError, match=rf"unknown argument '{given}'\. Did you mean '{near}'\?"):
        estimator(**{given: 8})


class TimeSeries:
    """An object without numbers for NumPy, like the one of darts."""

    def values(self):
        return np.ones((4, 1))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self


@pytest.mark.parametrize("estimator", [SequenceClassifier, SequenceRegressor, SequenceForecaster])
@pytest.mark.parametrize("is_list", [False, True])
def test_object_of_another_library_names_its_conversion(estimator, is_list):
    x = [TimeSeries(), TimeSeries()] if is_list else TimeSeries()
    words = (
        rf"^{estimator.__name__}: X: found a TimeSeries; expected an array\. Convert .* method values\(\)\.$"
    )
    with pytest.raises(ValueError, match=words):
        estimator().fit(x, [0, 1])


@pytest.mark.parametrize("kind", ["frame", "series"])
def test_nested_data_frame_names_its_conversion(kind):
    pandas = pytest.importorskip("pandas")
    columns = {name: [pandas.Series(np.arange(n + 2.0)) for n in range(6)] for name in "ab"}
    y, X = np.arange(6.0), pandas.DataFrame(columns)
    X = X if kind == "frame" else X["a"]
    with pytest.raises(
        ValueError, match=r"found a Series in a cell of a .*; expected numbers, a row for each"
    ):
        SequenceForecaster().fit(X)
    with pytest.raises(ValueError, match=r"found a Series in a cell of a .*; expected a list of") as caught:
        SequenceRegressor().fit(X, y)
    arrays = eval(str(caught.value).partition("(T, I), ")[2][:-1], {"np": np, "pandas": pandas, "X": X})
    model = SequenceRegressor(**SMALL, epochs=1).fit(arrays, y)
    assert model.n_features_in_ == (2 if kind == "frame" else 1)


def test_panel_names_its_conversion():
    pandas = pytest.importorskip("pandas")
    index = pandas.MultiIndex.from_product([range(6), range(4)], names=["series", "time"])
    X, y = pandas.DataFrame({"a": np.arange(24.0), "b": np.arange(24.0)}, index), np.arange(6.0)
    words = "X: found 24 rows with an index of 2 levels and 6 targets; expected a list of arrays"
    for model in (SequenceClassifier(), SequenceRegressor()):
        with pytest.raises(ValueError, match=words) as caught:
            model.fit(X, y)
    arrays = str(caught.value).partition("(T, I), ")[2][:-1]
    model = SequenceRegressor(**SMALL, epochs=1).fit(eval(arrays, {"X": X}), y)
    assert model.n_features_in_ == 2
    with pytest.raises(ValueError, match="validation: found 24 rows"):
        model.fit(X, np.arange(24.0), validation=(X, y))


@pytest.mark.parametrize(
    "convert", [list, np.array, lambda y: np.array(y, object)], ids=["list", "U", "object"]
)
def test_texts_for_a_regressor_name_the_classifier(convert):
    x, texts = [np.ones((3, 1))] * 4, convert(["up", "down", "up", "down"])
    words = "SequenceRegressor: y holds texts; expected numbers. For classes use SequenceClassifier."
    with pytest.raises(ValueError, match=words):
        SequenceRegressor(cell="vanilla", epochs=1).fit(x, texts)
    with pytest.raises(ValueError, match=words):
        SequenceRegressor(cell="vanilla", epochs=1).fit(x, [1.0, 2.0, 3.0, 4.0], validation=(x, texts))


def test_form_of_fit_is_required(forecaster):
    series, phase = wave()
    with pytest.raises(ValueError, match="fit was given no y; give the same here"):
        forecaster.predict(series, series)
    with pytest.raises(ValueError, match="X has 2 features, but SequenceForecaster is expecting 1 features"):
        forecaster.predict(np.stack([series, phase], axis=1))


@pytest.mark.parametrize(
    ("name", "words"),
    [("X", ".*, and the data of training had "), ("y", "no column 'time'; its columns are a ")],
)
def test_a_forecaster_names_its_data_in_an_error_about_times(name, words):
    """A cell that reads the time between rows needs times of the same kind."""
    pandas = pytest.importorskip("pandas")
    values, times = np.sin(np.arange(40.0)), pandas.date_range("2024-01-01", periods=40, freq="h")
    dated, plain = pandas.Series(values, times, name="a"), pandas.Series(values, name="a")
    settings = {**FORECAST, "cell": "cfc", "steps": 1}
    given, other = ((None, dated), (None, plain))
    if name == "X":
        settings["target"] = "a"
        given, other = (
            (pandas.DataFrame({"t": column, "a": values}), None) for column in (times, np.arange(40.0))
        )
    with pure_python():
        model = SequenceForecaster(**settings).fit(*given)
        with pytest.raises(ZooError, match=f"^SequenceForecaster: {name} has {words}"):
            model.predict(*other)


@pytest.mark.parametrize("as_array", [False, True], ids=["list", "object array"])
@pytest.mark.parametrize("estimator", [SequenceClassifier, SequenceRegressor, StepClassifier, StepRegressor])
def test_cross_validation_by_group_tests_unknown_groups(estimator, as_array):
    """Each fold is fitted without the sequences of the tested groups, and each sequence is tested once."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(rng.integers(2, 5), 1)) for _ in range(16)]
    groups = np.array([0, 1, 2, 3] * 4)
    y = ["ab"[number // 4 % 2] for number in range(16)] if is_classifier(estimator()) else np.arange(16.0)
    if estimator in (StepClassifier, StepRegressor):
        y = [[label] * len(part) for label, part in zip(y, X, strict=True)]
    given = X
    if as_array:
        given = np.empty(len(X), object)
        given[:] = X
    model = estimator(cell="vanilla", hidden_size=2, epochs=1, threads=1, random_state=0)
    with pure_python():
        scores = cross_validate(
            model, given, y, groups=groups, cv=GroupKFold(2), return_estimator=True, return_indices=True
        )
        tested = scores["indices"]["test"]
        assert sorted(np.concatenate(tested)) == list(range(16))
        for train, test, fitted, score in zip(
            scores["indices"]["train"], tested, scores["estimator"], scores["test_score"], strict=True
        ):
            assert not set(groups[train]) & set(groups[test])
            alone = clone(model).fit([X[each] for each in train], [y[each] for each in train])
            own = [X[each] for each in test], [y[each] for each in test]
            assert score == fitted.score(*own) == alone.score(*own)
