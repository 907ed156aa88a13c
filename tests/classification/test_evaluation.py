"""Batches and weights of an evaluation of labelled sequences."""

from __future__ import annotations

import numpy as np

from zoo.classification.evaluation import evaluation_batches, step_weights


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
