"""The sum of the gradients of shards, which threads compute in any order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.layers.parameters import sum_flattened
from zoo.layers.sharding import GradientSum

SHAPES = ((3, 4), (5,), (), (0, 2))
SIZE = 12 + 5 + 1


def gradients_of(shards: int) -> list[list[Any]]:
    """Numbers of very different size, whose sum depends on the order."""
    rng = np.random.default_rng(shards)
    return [
        [(rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6)).astype(np.float32) for shape in SHAPES]
        for _ in range(shards)
    ]


def sum_in_order(gradients: Sequence[list[Any]]) -> Any:
    first, *others = [np.concatenate([each.reshape(-1) for each in shard]) for shard in gradients]
    for each in others:
        first = first + each
    return first


@given(order=st.permutations(range(7)))
def test_the_order_of_arrival_changes_no_bit(order: list[int]) -> None:
    gradients, total = gradients_of(len(order)), np.full(SIZE, np.nan, np.float32)
    gradient_sum = GradientSum(total, len(gradients))
    for shard in order:
        gradient_sum.add(shard, gradients[shard])
    np.testing.assert_array_equal(total, sum_in_order(gradients))


def test_a_shard_that_ends_during_an_addition_is_added() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(list[Any]):
        """Gradients whose addition waits."""

        def __iter__(self) -> Any:
            entered.set()
            assert go_on.wait(10)
            return super().__iter__()

    gradients, total = gradients_of(4), np.empty(SIZE, np.float32)
    gradient_sum = GradientSum(total, len(gradients))
    gradient_sum.add(1, gradients[1])  # waits for the first
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(gradient_sum.add, 0, Slow(gradients[0]))
        assert entered.wait(10)
        for shard in (3, 2):
            gradient_sum.add(shard, gradients[shard])  # returns at once
        go_on.set()
        first.result()
    np.testing.assert_array_equal(total, sum_in_order(gradients))


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_a_single_gradient_waits_for_the_next_one(shards: int) -> None:
    gradients, total = gradients_of(shards), np.full(SIZE, np.nan, np.float32)
    gradient_sum = GradientSum(total, shards)
    gradient_sum.add(0, gradients[0])
    assert np.isnan(total).all() == (shards > 1)
    for shard in range(1, shards):
        gradient_sum.add(shard, gradients[shard])
    np.testing.assert_array_equal(total, sum_in_order(gradients))


def test_large_gradients_are_summed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.layers.parameters._SUM_BLOCK", 5)
    gradients, total = gradients_of(5), np.full(SIZE, np.nan, np.float32)
    sum_flattened(gradients[:2], total, adds=False)
    sum_flattened(gradients[2:], total, adds=True)
    np.testing.assert_array_equal(total, sum_in_order(gradients))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads: int) -> None:
    gradients, total = gradients_of(40), np.empty(SIZE, np.float32)
    gradient_sum = GradientSum(total, len(gradients))
    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(gradient_sum.add, range(40), gradients))
    np.testing.assert_array_equal(total, sum_in_order(gradients))
