"""``StepTransformer``: transformers of scikit-learn for the steps of sequences."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.feature_selection import SelectFdr, SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler

from zoo.sklearn import SequenceClassifier, StepClassifier, StepTransformer

SCALERS = [
    StandardScaler(),
    MinMaxScaler(),
    make_pipeline(SimpleImputer(), StandardScaler()),
    VarianceThreshold(),
    OneHotEncoder(handle_unknown="ignore"),  # its result is sparse
]


def sequences_of(seed, count, features):
    """Sequences of any lengths, rounded so that values occur several times."""
    rng = np.random.default_rng(seed)
    return [rng.normal(5, 3, (steps, features)).round() for steps in rng.integers(1, 9, count)]


@given(st.integers(0, 99), st.integers(2, 6), st.integers(1, 3), st.sampled_from(SCALERS))
def test_steps_are_transformed_as_one_table(seed, count, features, transformer):
    sequences, others = sequences_of(seed, count, features), sequences_of(seed + 100, count + 1, features)
    if np.ptp(np.concatenate(sequences), axis=0).min() == 0:
        return  # a threshold of the variance removes all
    made = StepTransformer(transformer).fit(sequences)
    expected = clone(transformer).fit(np.concatenate(sequences))
    for each in (sequences, others):
        result = made.transform(each)
        assert [len(row) for row in result] == [len(row) for row in each]
        for row, given_row in zip(result, each, strict=True):
            own = expected.transform(given_row)
            np.testing.assert_allclose(row, own.toarray() if hasattr(own, "toarray") else own, atol=1e-12)
    assert made.n_features_in_ == features


@given(st.integers(0, 99), st.integers(1, 3), st.sampled_from(["f8", "f4", object]))
def test_padding_of_an_array_is_no_step(seed, features, dtype):
    sequences = sequences_of(seed, 4, features)
    padded = np.full((4, 9, features), np.nan)
    for number, row in enumerate(sequences):
        padded[number, : len(row)] = row
    made = StepTransformer(StandardScaler())
    rows = made.fit_transform([row.astype(np.float32 if dtype == "f4" else np.float64) for row in sequences])
    for one, other in zip(made.fit_transform(padded.astype(dtype)), rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_digits_in_an_array_of_objects_stay_texts():
    array = np.array([[["1"], ["2"]], [["2"], ["2"]]], object)
    made = StepTransformer(OneHotEncoder()).fit(array)
    assert made.transformer_.categories_[0].tolist() == ["1", "2"]
    assert made.transform(array)[1].tolist() == [[0, 1], [0, 1]]


def test_missing_values_at_the_end_of_a_list_are_steps():
    sequences = [np.array([1.0, 2.0, np.nan]), np.array([np.nan, 3.0])]
    filled = StepTransformer(SimpleImputer()).fit_transform(sequences)
    assert [row[:, 0].tolist() for row in filled] == [[1.0, 2.0, 2.0], [2.0, 3.0]]


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("as_frame", [False, True])
def test_columns_of_data_frames_have_transformers_of_their_own(library, as_frame):
    frame_of = pytest.importorskip(library).DataFrame
    rng = np.random.default_rng(0)
    frames = [
        frame_of({"x": rng.normal(size=n), "color": rng.choice(["rot", "grün"], n), "n": np.arange(n)})
        for n in rng.integers(2, 6, 20)
    ]
    columns = make_column_transformer(
        (StandardScaler(), ["x", "n"]), (OneHotEncoder(sparse_output=False), ["color"]), sparse_threshold=0
    )
    if as_frame:
        columns.set_output(transform=library)
    made = StepTransformer(columns).fit(frames)
    result = made.transform(frames)
    assert [row.shape for row in result] == [(len(frame), 4) for frame in frames]
    assert all(hasattr(row, "columns") == as_frame for row in result)
    shuffled = [frame[["n", "x", "color"]] if n == 3 else frame for n, frame in enumerate(frames)]
    with pytest.raises(
        ValueError, match=r"sequence 3 has the columns \['n', 'x', 'color'\], and sequence 0 has"
    ):
        made.transform(shuffled)
    with pytest.raises(ValueError, match="sequence 1 is not a data frame, and others are"):
        made.transform([frames[0], np.zeros((2, 3))])
    labels = ["up" if frame["x"][0] > 0 else "down" for frame in frames]
    line = make_pipeline(made, SequenceClassifier("vanilla", 4, epochs=2, threads=1, random_state=0))
    assert line.fit(frames, labels).predict(frames).shape == (20,)


@given(
    st.lists(st.sampled_from(["pandas", "polars", "default", None]), min_size=1, max_size=3),
    st.sampled_from([StandardScaler(), SimpleImputer(), VarianceThreshold()]),
    st.booleans(),
    st.booleans(),
)
def test_output_is_set_as_for_the_transformer(kinds, transformer, is_fitted, is_pipeline):
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    sequences = [np.arange(6.0).reshape(3, 2) ** 2, np.ones((2, 2))]
    made, own = StepTransformer(clone(transformer)), clone(transformer)
    line = make_pipeline(made) if is_pipeline else made
    if is_fitted:
        line.fit(sequences)
    for kind in kinds:
        assert line.set_output(transform=kind) is line
        own.set_output(transform=kind)
    expected = own.fit_transform(np.concatenate(sequences))
    result = clone(line).fit_transform(sequences) if not is_fitted else line.transform(sequences)
    assert [type(row) for row in result] == [type(expected)] * 2
    np.testing.assert_allclose(np.concatenate([np.asarray(row) for row in result]), np.asarray(expected))


class Bare(BaseEstimator):
    """A transformer without the interface for data frames."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize(
    ("transformer", "error", "words"),
    [
        (Bare(), ValueError, r"StepTransformer: Bare has no `set_output`; expected a transformer with it"),
        (StandardScaler, TypeError, r"StepTransformer: transformer is .*Call the class, StandardScaler\(\)"),
        (np.log, TypeError, "For a function use FunctionTransformer"),
        (None, TypeError, "StepTransformer: transformer is None"),
    ],
)
def test_output_of_others_cannot_be_set(transformer, error, words):
    with pytest.raises(error, match=words):
        StepTransformer(transformer).set_output(transform="pandas")


def test_pipelines_are_searched_and_validated():
    sequences = sequences_of(0, 24, 2)
    classes = np.array(["a", "b"])[[int(row[0, 0] > 5) for row in sequences]]
    small = {"hidden_size": 4, "epochs": 1, "threads": 1, "random_state": 0}
    line = make_pipeline(StepTransformer(StandardScaler()), SequenceClassifier("vanilla", **small))
    assert len(cross_val_score(line, sequences, classes, cv=3, error_score="raise")) == 3
    search = GridSearchCV(line, {"steptransformer__transformer": SCALERS[:2]}, cv=2, error_score="raise")
    assert search.fit(sequences, classes).best_params_
    steps = [np.where(row[:, 0] > 5, "a", "b").tolist() for row in sequences]
    tagger = make_pipeline(StepTransformer(StandardScaler()), StepClassifier("vanilla", **small))
    assert [len(each) for each in tagger.fit(sequences, steps).predict(sequences)] == [*map(len, sequences)]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((3, 4)), "X is float64(3, 4); expected a list of sequences (T, I) or an array (N, T, I)"),
        ("abc", "X is 'abc'; expected a list of sequences (T, I)"),
        (None, "X is None; expected a list of sequences (T, I)"),
        ([], "found no sequences; expected at least one"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], "sequence 1 has 3 features and sequence 0 has 2; expected"),
        ([np.zeros((2, 2)), np.zeros((2, 3, 1))], "sequence 1 is float64(2, 3, 1); expected (T, I)"),
        ([np.zeros(2), 5.0], "sequence 1 is 5.0; expected (T, I)"),
    ],
)
def test_data_that_are_no_sequences(data, sentence):
    made = StepTransformer(StandardScaler()).fit(sequences_of(0, 3, 2))
    for call in (made.fit, made.transform):
        with pytest.raises(ValueError, match=re.escape(f"StepTransformer: {sentence}")):
            call(data)


@pytest.mark.parametrize("as_list", [False, True])
def test_masked_arrays_name_the_conversion(as_list):
    masked = np.ma.masked_array(np.arange(12).reshape(2, 3, 2), mask=np.arange(12).reshape(2, 3, 2) == 11)
    made = StepTransformer(StandardScaler())
    with pytest.raises(ValueError, match=r"StepTransformer: found a masked array; .*filled\(np\.nan\)"):
        made.fit(list(masked) if as_list else masked)
    filled = masked.astype(float).filled(np.nan)  # the advice
    assert [len(row) for row in StepTransformer(SimpleImputer()).fit_transform(list(filled))] == [3, 3]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_names_its_type_and_the_conversions(library):
    frame = pytest.importorskip(library).DataFrame({"id": [0, 0, 1], "x": [1.0, 2.0, 3.0]})
    made, cure = StepTransformer(StandardScaler()), "[rows for _, rows in X.groupby('id')]"
    with pytest.raises(ValueError, match=re.escape(cure)) as error:
        made.fit(frame)
    assert str(error.value).startswith("StepTransformer: X is a DataFrame; expected a list of sequences")
    assert [len(row) for row in made.fit_transform([frame])] == [3]
    if library == "pandas":
        assert [len(row) for row in made.fit_transform([rows for _, rows in frame.groupby("id")])] == [2, 1]


@pytest.mark.parametrize(
    ("transformer", "sentence"),
    [
        (None, "transformer is None; expected a transformer with fit and transform"),
        ("passthrough", "transformer is 'passthrough'; expected a transformer"),
        (np.log, "such as StandardScaler(). For a function use FunctionTransformer(log)."),
        (StandardScaler, "Call the class, StandardScaler()."),
        (LogisticRegression(), "transformer is LogisticRegression(); expected a transformer"),
        (SelectFdr(), "SelectFdr needs y, and steps have no classes here; expected a transformer"),
    ],
    ids=str,
)
def test_other_objects_than_transformers_are_an_error(transformer, sentence):
    with pytest.raises(TypeError, match=re.escape(sentence)):
        StepTransformer(transformer).fit(sequences_of(0, 3, 2))


def test_a_transformer_that_drops_rows_is_an_error():
    made = StepTransformer(FunctionTransformer(lambda rows: rows[::2])).fit(sequences_of(0, 3, 2))
    with pytest.raises(ValueError, match=r"returned .* rows for .* steps; expected a row for each step"):
        made.transform(sequences_of(0, 3, 2))
    with pytest.raises(TypeError, match=r"unknown argument 'transfomer'. Did you mean 'transformer'"):
        StepTransformer(transfomer=SelectKBest())
