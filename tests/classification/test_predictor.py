"""The inputs of a model for data in other units."""

from __future__ import annotations

import numpy as np
import pytest
from data_models import labelled, predictor, timed_table

import zoo
from zoo.classification.evaluation import pooled
from zoo.errors import DataError, UsageError, ZooWarning


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("missing", ["reject", "mask"])
@pytest.mark.parametrize(
    "settings", [{"pooling": "last"}, {"pooling": "mean"}, {"bidirectional": True}], ids=str
)
def test_outputs_for_the_inputs_of_a_predictor_are_its_predictions(missing, settings):
    sequences, parts = labelled(missing=missing == "mask")
    trained = predictor(sequences, dtype="float64", missing=missing, **settings)
    given = trained.inputs(parts)
    assert given["inputs"].shape == (given["lengths"].max(), len(parts), len(trained.spec.input_names))
    assert given["lengths"].tolist() == [len(part) for part in parts]
    outputs, _ = trained.model.outputs(**given)
    expected = trained.predict(parts).values
    np.testing.assert_allclose(pooled(outputs, given["lengths"], trained.spec), expected, rtol=1e-9)


@pytest.mark.usefixtures("plain_python")
def test_traces_of_the_inputs_of_a_predictor_are_those_of_its_predictions():
    sequences, parts = labelled()
    trained = predictor(sequences, dtype="float64")
    given = trained.inputs()  # of training
    h = zoo.analysis.trace(trained.model, given["inputs"], ["h"])["l0.h"]
    last = h[given["lengths"] - 1, np.arange(len(parts))]
    logits = last @ trained.model.params["Why"] + trained.model.params["by"]
    odds = trained.predict().values[:, 1] / trained.predict().values[:, 0]
    np.testing.assert_allclose(np.exp(logits[:, 1] - logits[:, 0]), odds, rtol=1e-9)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("embedding", [None, 2])
@pytest.mark.parametrize("cell", ["vanilla", "ctrnn"])
def test_inputs_of_a_table_have_texts_and_times_that_the_cell_reads(cell, embedding):
    table = timed_table()
    settings = {"series": "id", "label": "way", "time": "t", "embedding": embedding}
    trained = predictor(table, cell, **settings, dtype="float64")
    given = trained.inputs(table)
    assert given["inputs"].shape == (5, 20, len(trained.spec.input_names))
    assert ("dt" in given) == (cell == "ctrnn")
    outputs, _ = trained.model.outputs(**given)
    expected = trained.predict(table).values
    np.testing.assert_allclose(pooled(outputs, given["lengths"], trained.spec), expected, rtol=1e-9)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cell", ["vanilla", "ctrnn"])
def test_traces_of_padded_sequences_are_those_of_each_alone(cell):
    """The example of the docstring: ``dt`` reaches the cell, and padding is 0 with the last ``dt``."""
    whole = timed_table()
    sizes = np.random.default_rng(0).integers(2, 6, 20)
    is_step = (np.arange(5) < sizes[:, None]).reshape(-1)
    table = {name: column[is_step] for name, column in whole.items()}
    trained = predictor(whole, cell, series="id", label="way", time="t", dtype="float64")
    given = trained.inputs(table)
    lengths = given.pop("lengths")
    assert lengths.tolist() == sizes.tolist()
    h = zoo.analysis.trace(trained.model, names=["h"], **given)["l0.h"]
    for n, name in enumerate(dict.fromkeys(whole["id"])):
        alone = trained.inputs({key: column[table["id"] == name] for key, column in table.items()})
        del alone["lengths"]
        expected = zoo.analysis.trace(trained.model, names=["h"], **alone)["l0.h"][:, 0]
        np.testing.assert_allclose(h[: lengths[n], n], expected, rtol=1e-12)
        assert not given["inputs"][lengths[n] :, n].any()
        if cell == "ctrnn":
            assert (given["dt"][lengths[n] :, n] == given["dt"][lengths[n] - 1, n]).all()


def test_inputs_of_other_channels_are_an_error():
    sequences, parts = labelled()
    with pytest.raises(DataError, match="channel"):
        predictor(sequences).inputs([part[:, :2] for part in parts])


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("data", [5, 0.5, b"x", True, {1}, object])
@pytest.mark.parametrize("method", ["inputs", "predict", "evaluate"])
def test_data_that_are_neither_sequences_nor_a_path_are_an_error(method, data):
    trained = predictor(labelled()[0])
    with pytest.raises(UsageError, match=r"data is .*; expected sequences, a table or the path of a file\."):
        getattr(trained, method)(data)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("embedding", [None, 2])
@pytest.mark.parametrize("pooling", ["last", "mean", "none"])
@pytest.mark.parametrize("rows", [[0], [7, 8, 99], [43]], ids=str)
def test_sequences_with_an_unseen_text_have_no_prediction(rows, pooling, embedding):
    table = timed_table()
    settings = {"series": "id", "label": "way", "time": "t", "embedding": embedding, "pooling": pooling}
    trained = predictor(table, **settings, dtype="float64")
    other = {**table, "state": table["state"].astype(object)}
    other["state"][rows] = "idle"
    numbers = sorted({row // 5 for row in rows})
    is_lost = np.isin(np.arange(20), numbers)
    is_lost = np.repeat(is_lost, 5) if pooling == "none" else is_lost
    plain = trained.predict(table)
    more = f" and {len(numbers) - 1} more have" if len(numbers) > 1 else " has"
    sentence = f"table, row {rows[0]}, column 'state': found 'idle', which did not occur in training; .*"
    with pytest.warns(ZooWarning, match=f"{sentence} sequence 's{numbers[0]}'{more} no prediction."):
        given = trained.predict(other)
    np.testing.assert_allclose(given.values, np.where(is_lost[:, None], np.nan, plain.values), rtol=1e-12)
    assert given.predicted.tolist() == np.where(is_lost, "", plain.predicted).tolist()
    assert [row["way"] for row in given.to_json()] == [text or None for text in given.predicted.tolist()]
    assert {row["p_a"] is None for row in given.to_json()} == {False, True}
    for read in (trained.inputs, trained.evaluate):
        with pytest.raises(DataError, match=sentence):
            read(other)
    with pytest.raises(DataError, match=sentence.replace(f"row {rows[0]}", "row 0")):
        trained.predict({**other, "state": np.full(100, "idle")})
