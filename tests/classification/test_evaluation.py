"""Batches and weights of an evaluation of labelled sequences."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.classification.evaluation import _absent_classes, evaluation_batches, step_weights
from zoo.classification.metrics import class_scores


def test_batches_hold_every_sequence_once():
    lengths = np.random.default_rng(0).integers(1, 3000, 400)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    batches = evaluation_batches(offsets, np.arange(5, 400))
    assert sorted(np.concatenate(batches).tolist()) == list(range(5, 400))
    assert max(len(rows) * lengths[rows].max() for rows in batches) <= 2**17


def test_step_weights():
    sizes = np.array([2, 1])
    assert step_weights(sizes, "last").tolist() == [[0, 1], [1, 0]]
    assert step_weights(sizes, "mean").tolist() == [[0.5, 1], [0.5, 0]]
    assert step_weights(sizes, "none").tolist() == [[1, 1], [1, 0]]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_classes_without_a_label_are_named(codes):
    classes = ("a", "b", "c", "d")
    predictions = np.full((len(codes), 4), 0.25)
    scores = class_scores("y", np.array(codes), {"model": predictions, "majority class": predictions})
    text = _absent_classes(scores, SimpleNamespace(classes=classes))
    assert re.findall("'(.)'", text) == [name for code, name in enumerate(classes) if code not in codes]
    assert text.count(" or ") == (text.count("'") > 2)
