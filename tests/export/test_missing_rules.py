"""Missing values in exported models: one rule for each column, for all languages."""

from __future__ import annotations

import numpy as np
import pytest
from data_models import forecaster, labelled, predictor, rich_table

from zoo.export.c_raw_templates import MISSING
from zoo.export.exported_data import exported_data

TREATMENTS = ["reject", "forward", "mask"]


def without_gaps(table):
    """A table whose missing values are replaced."""
    return {
        name: np.array([5.0 if each is None or each != each else each for each in column])
        if column.dtype.kind == "f"
        else np.array(["red" if each is None else each for each in column])
        for name, column in table.items()
    }


@pytest.mark.parametrize("missing", TREATMENTS)
@pytest.mark.parametrize(
    "columns", [("y", "load"), ("y", "load", "colour", "holiday")], ids=["numbers", "texts"]
)
def test_columns_of_a_table(missing, columns):
    table = without_gaps(rich_table()[0])
    data = exported_data(forecaster({name: table[name] for name in columns}, missing=missing))
    of_numbers = {"reject": "error", "forward": "before", "mask": "before"}[missing]
    of_texts = {"reject": "error", "forward": "before", "mask": "gap"}[missing]
    rules = {"y": of_numbers, "load": of_numbers, "colour": of_texts, "holiday": of_texts}
    assert data.missing == {name: rules[name] for name in columns}
    assert data.starts_at_mean == (missing == "mask")
    assert frozenset(data.missing.values()) in MISSING


@pytest.mark.parametrize(("missing", "has_gaps"), [*((each, False) for each in TREATMENTS), ("mask", True)])
def test_channels_of_sequences(missing, has_gaps):
    data = exported_data(predictor(labelled(missing=has_gaps)[0], missing=missing))
    usual = "before" if missing == "forward" else "error"
    second = "gap" if has_gaps and missing == "mask" else usual
    assert list(data.missing.values()) == [usual, second, usual]
    assert not data.starts_at_mean
    assert frozenset(data.missing.values()) in MISSING
