"""Parts of labelled sequences, and batches of an evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.classification.evaluation import evaluation_batches, last_part, split_sequences, step_weights
from zoo.data.table import DataColumn


def counts(codes, split="70,15,15", seed=0, stratify=True):
    parts = split_sequences(np.array(codes), split, seed, stratify)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(codes)))
    return [np.bincount(np.array(codes)[numbers], minlength=2).tolist() for numbers in parts.values()]


@pytest.mark.parametrize(
    ("first", "second", "split", "expected"),
    [
        (70, 30, "70,15,15", [[49, 21], [11, 5], [10, 4]]),
        (20, 20, "50,25,25", [[10, 10], [5, 5], [5, 5]]),
        (20, 2, "70,15,15", [[14, 1], [3, 0], [3, 1]]),
        (20, 3, "90,5,5", [[18, 1], [1, 1], [1, 1]]),
        (10, 1, "70,15,15", [[7, 1], [2, 0], [1, 0]]),
        (10, 10, "100", [[10, 10], [0, 0], [0, 0]]),
        (10, 10, "80,20", [[8, 8], [2, 2], [0, 0]]),
    ],
)
def test_every_class_is_divided_by_the_shares(first, second, split, expected):
    assert counts([0] * first + [1] * second, split) == expected


def test_the_seed_decides_the_parts_and_nothing_else():
    codes = np.arange(40) % 2
    one, same, other = (split_sequences(codes, "50,25,25", seed, True) for seed in (0, 0, 1))
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)
    numbers = split_sequences(np.linspace(0, 1, 40), "50,25,25", 0, False)
    assert [len(each) for each in numbers.values()] == [20, 10, 10]
    assert (last_part(one), last_part({**one, "test": one["test"][:0]})) == ("test", "valid")


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


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_in_one_part(seed):
    names = np.array([3, 3, 5, 9, 9, 9, 2, 3, 4, 5, 2, 1])
    groups = DataColumn("person", "category", names)
    parts = split_sequences(np.arange(12) % 2, "60,20,20", seed, True, groups)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(12))
    of_parts = [set(names[numbers]) for numbers in parts.values()]
    assert [len(each) for each in of_parts] == [4, 1, 1]
    assert not of_parts[0] & of_parts[1] | of_parts[0] & of_parts[2] | of_parts[1] & of_parts[2]
