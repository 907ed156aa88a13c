"""Sequences for training, validation and test: by class, by group, or one sequence cut by time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.classification.sequence_parts import SequenceParts, divide, split_sequences
from zoo.classification.spec import SequenceSpec
from zoo.data import LabelledSequences
from zoo.data.labelled_sequences import POOLING
from zoo.data.split import parse_split
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


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_in_one_part(seed):
    names = np.array([3, 3, 5, 9, 9, 9, 2, 3, 4, 5, 2, 1])
    groups = DataColumn("person", "category", names)
    parts = split_sequences(np.arange(12) % 2, "60,20,20", seed, True, groups)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(12))
    of_parts = [set(names[numbers]) for numbers in parts.values()]
    assert [len(each) for each in of_parts] == [4, 1, 1]
    assert not of_parts[0] & of_parts[1] | of_parts[0] & of_parts[2] | of_parts[1] & of_parts[2]


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.sampled_from(POOLING),
    st.sampled_from(["70,15,15", "80,20", "50,0,50", "100"]),
    st.integers(0, 9),
)
def test_each_row_lies_in_one_part(lengths, pooling, split, seed):
    """Whole sequences are divided, and only one sequence with a label at each step is cut."""
    rows = int(np.sum(lengths))
    data = LabelledSequences.from_arrays(np.arange(rows)[:, None], np.zeros(len(lengths)), lengths=lengths)
    parts = divide(data.with_step_labels() if pooling == "none" else data, spec_of(pooling, split, seed))
    assert parts.is_cut == (pooling == "none" and len(lengths) == 1)
    assert (parts.offsets[0], parts.offsets[-1]) == (0, rows)
    numbers = [number for name in ("train", "valid", "test") for number in parts.numbers(name)]
    assert sorted(numbers) == parts.numbers("all").tolist() == list(range(len(parts.offsets) - 1))
    if parts.is_cut:
        assert numbers == sorted(numbers)  # in the order of time
        shares = np.cumsum(parse_split(split))
        np.testing.assert_allclose(parts.offsets[parts.train + 1], np.floor(rows * shares[0] + 1e-9))
    else:
        assert parts.offsets is data.offsets
    assert all(share or not size for share, size in zip(parse_split(split), parts.sizes, strict=True))


def spec_of(pooling, split, seed):
    """The inputs and outputs of sequences with one channel and a number as label."""
    named = {"label": "label", "classes": (), "series": None, "time": None, "columns": ("0",)}
    units = {"mean": (0.0,), "scale": (1.0,), "label_mean": 0.0, "label_scale": 1.0}
    others = {"channels": ("0",), "categories": {}, "masked": (), "missing": "reject"}
    return SequenceSpec(**named, **units, **others, pooling=pooling, split=split, seed=seed)


@pytest.mark.parametrize("sizes", [(3, 2, 1), (3, 0, 2), (3, 2, 0), (3, 0, 0)])
def test_empty_parts_are_replaced(sizes):
    """Without a validation part, training chooses the best model; the last part is scored at the end."""
    offsets = np.arange(sum(sizes) + 1)
    train, valid, test = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:2])
    parts = SequenceParts(train, valid, test, offsets)
    assert parts.sizes == list(sizes)
    assert parts.validated == ("valid" if sizes[1] else "train")
    assert parts.last == ("test" if sizes[2] else parts.validated)
