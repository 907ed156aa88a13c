"""Idle workers compute parts of large matrix products, and change no bit of them."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo import kernels
from zoo.kernels import nested_parallelism, threadpool
from zoo.kernels.atomics import fetch_add
from zoo.kernels.bound_calls import bind_call
from zoo.kernels.nested_parallelism import (
    MIN_PART,
    compute_parts,
    enter_slot,
    leave_slot,
    run_parts,
)
from zoo.kernels.threadpool import ThreadPool
from zoo.layers import sharding
from zoo.layers.batch import MIN_DIVIDED_MATRIX

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="compiled code alone")


@zoo.njit
def product(a: Any, panels: Any, c: Any) -> None:
    kernels.add_matmul(a, panels, c)


@zoo.njit
def product_and_bias(a: Any, panels: Any, bias: Any, c: Any) -> None:
    kernels.affine(a, panels, bias, c)


@zoo.njit
def product_alone(a: Any, panels: Any, c: Any) -> None:
    kernels.set_matmul(a, panels, c)


@zoo.njit
def gradient(a: Any, b: Any, c: Any) -> None:
    kernels.add_matmul_ta(a, b, c)


@zoo.njit
def count_part(part: int, parts: int, counts: Any, failing: int) -> bool:
    fetch_add(counts, part, 1)
    fetch_add(counts, 63, parts)
    return part != failing


@zoo.njit
def count_parts(counts: Any, max_parts: int, failing: int) -> bool:
    """Run parts that count themselves; element 63 has the number of parts, once for each of them."""
    code, data = bind_call(count_part, (counts, failing), ())
    return run_parts(code, data, max_parts)


@zoo.njit
def enter(leaders: int) -> int:
    return enter_slot(leaders)


@zoo.njit
def leave(slot: int) -> None:
    leave_slot(slot)


def idle_workers() -> int:
    return int(nested_parallelism._table[nested_parallelism._IN_SLOTS])


def wait_for_idle(count: int) -> None:
    deadline = time.monotonic() + 30
    while idle_workers() < count:
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def wait_for_no_idle() -> None:
    deadline = time.monotonic() + 30
    while idle_workers():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def with_idle(workers: ThreadPool, work: Callable[[], Any], leaders: int = 1) -> Any:
    """``work()`` when all workers are idle."""

    def wait_and_work(_pool_state: Any) -> Any:
        wait_for_idle(workers.count)
        return work()

    wait_for_no_idle()  # workers of the last call with another number of leaders
    return workers.run(wait_and_work, leaders)


@pytest.fixture(scope="module", params=[1, 3], ids=["one worker", "three workers"])
def workers(request: Any) -> Iterator[ThreadPool]:
    threads = ThreadPool(request.param)
    nested_parallelism.enable()
    yield threads
    threads.close()
    wait_for_no_idle()


def test_all_idle_workers_take_a_part(workers: ThreadPool) -> None:
    for max_parts in (2, 3, 4, 60):
        counts = np.zeros(64, np.int64)
        assert with_idle(workers, partial(count_parts, counts, max_parts, -1))
        parts = min(max_parts, 1 + workers.count)
        np.testing.assert_array_equal(counts[:63], np.arange(63) < parts)
        assert counts[63] == parts**2


@pytest.mark.parametrize("leaders", [1, 2, 3, 9])
def test_threads_share_the_idle_workers(workers: ThreadPool, leaders: int) -> None:
    counts = np.zeros(64, np.int64)
    assert with_idle(workers, partial(count_parts, counts, 60, -1), leaders)
    assert counts[:63].sum() == 1 + math.ceil(workers.count / leaders)


def test_a_failed_part_is_reported(workers: ThreadPool) -> None:
    for failing in range(1 + workers.count):
        assert not with_idle(workers, partial(count_parts, np.zeros(64, np.int64), 60, failing))
    assert with_idle(workers, partial(count_parts, np.zeros(64, np.int64), 60, 99))


def test_parts_of_a_worker_that_does_not_begin_are_taken_back() -> None:
    nested_parallelism.enable()
    slots = [enter(1), enter(1)]  # of workers that never look into them
    for _ in range(3):
        counts = np.zeros(64, np.int64)
        assert count_parts(counts, 60, -1)
        np.testing.assert_array_equal(counts[:63], np.arange(63) < 3)
        assert not count_parts(counts, 60, 2)
    for slot in slots:
        leave(slot)
    assert idle_workers() == 0


def test_no_more_workers_than_slots() -> None:
    slots = [enter(1) for _ in range(100)]
    entered = [slot for slot in slots if slot >= 0]
    assert idle_workers() == len(entered) == len(set(entered)) < 100
    for slot in entered:
        leave(slot)
    assert idle_workers() == 0


@zoo.njit
def count_parts_of_work(counts: Any, work: int, failing: int) -> bool:
    return compute_parts(count_part, (counts, failing), work, 3)


def test_large_work_is_divided_among_idle_workers(workers: ThreadPool) -> None:
    def parts_of(*works: int) -> list[int]:
        counts = [np.zeros(64, np.int64) for _ in works]
        assert all(count_parts_of_work(*each, -1) for each in zip(counts, works, strict=True))
        return [int(each[:63].sum()) for each in counts]

    works = 0, MIN_PART, 2 * MIN_PART, 3 * MIN_PART, 99 * MIN_PART
    wait_for_no_idle()
    assert parts_of(*works) == [1] * 5
    most = min(3, 1 + workers.count)
    assert with_idle(workers, partial(parts_of, *works)) == [1, 1, 2, most, most]


def test_a_failed_part_of_work_is_reported(workers: ThreadPool) -> None:
    def is_successful(work: int, failing: int) -> bool:
        return count_parts_of_work(np.zeros(64, np.int64), work, failing)

    wait_for_no_idle()
    assert [is_successful(work, 0) for work in (0, 99 * MIN_PART)] == [False, False]
    assert not with_idle(workers, partial(is_successful, 99 * MIN_PART, 1))
    assert with_idle(workers, partial(is_successful, 99 * MIN_PART, 9))


@given(data=st.data())
def test_products_have_the_same_bits(workers: ThreadPool, data: Any) -> None:
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    rows, depth, width = (data.draw(st.integers(1, limit)) for limit in (40, 300, 700))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    a, w, b = (
        rng.standard_normal(shape).astype(dtype) for shape in ((rows, depth), (depth, width), (rows, width))
    )
    panels = kernels.pack(w)

    def results() -> tuple[Any, ...]:
        c, dw = np.ones((rows, width), dtype), np.ones((depth, width), dtype)
        with_bias, alone = np.full_like(c, np.nan), np.full_like(c, np.nan)
        product(a, panels, c)
        product_and_bias(a, panels, b[0], with_bias)
        product_alone(a, panels, alone)
        gradient(a, b, dw)
        return c, with_bias, alone, dw, kernels.pack(w), kernels.pack_transposed(w)

    by_one_thread, shared = results(), with_idle(workers, results)
    for one, other in zip(by_one_thread, shared, strict=True):
        np.testing.assert_array_equal(one, other)
    for addend, result in zip((1, b[0], 0), shared[:3], strict=True):
        np.testing.assert_allclose(result, addend + a @ w, rtol=1e-3, atol=1e-3)


def test_two_threads_compute_products_at_once(workers: ThreadPool) -> None:
    rng = np.random.default_rng(0)
    a, w = rng.standard_normal((6, 256)), rng.standard_normal((256, 512))
    panels, expected, wrong = kernels.pack(w), np.zeros((6, 512)), []
    product(a, panels, expected)

    def multiply() -> None:
        for _ in range(200):
            c = np.zeros_like(expected)
            product(a, panels, c)
            if not np.array_equal(c, expected):
                wrong.append(c)

    def work() -> None:
        threads = [threading.Thread(target=multiply) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with_idle(workers, work)
    assert not wrong


def test_workers_are_idle_only_during_the_call(workers: ThreadPool) -> None:
    with_idle(workers, lambda: None)
    wait_for_no_idle()
    assert workers.run(lambda _: time.sleep(0.01) or idle_workers()) == 0


def _run_in_child(pipe: Any) -> None:
    counts = np.zeros(64, np.int64)
    pipe.send((idle_workers(), count_parts(counts, 60, -1), int(counts[:63].sum())))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.*JAX:RuntimeWarning")  # which another test may have imported
def test_a_forked_child_has_no_idle_workers(workers: ThreadPool) -> None:
    context = multiprocessing.get_context("fork")
    parent_end, child_end = context.Pipe()
    child = context.Process(target=_run_in_child, args=(child_end,))
    count_parts(np.zeros(64, np.int64), 2, -1)  # compiled before the fork
    with_idle(workers, child.start)
    assert parent_end.poll(60)
    assert parent_end.recv() == (0, True, 1)
    child.join(60)
    assert child.exitcode == 0


@pytest.fixture
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (threadpool, sharding):
        monkeypatch.setattr(module, "available_processors", lambda: 4)


@pytest.mark.usefixtures("four_processors")
@pytest.mark.parametrize("units", [256, 512])
@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (1, 2), (1, 3), (9, 2), (9, 3), (9, 4)])
def test_idle_workers_take_parts_of_an_interpreted_pass(
    batch: int, threads: int, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if there are fewer idle workers than shards, and while large matrices are packed."""
    entered = []
    run = ThreadPool.run

    def wait_and_run(pool: ThreadPool, work: Any, leaders: int = 0) -> Any:
        if leaders:
            entered.append((pool.count, leaders))
        return run(pool, lambda state: (wait_for_idle(pool.count if leaders else 0), work(state))[1], leaders)

    monkeypatch.setattr(ThreadPool, "run", wait_and_run)
    shards = 1 if batch < 8 else 2
    is_packed_by_all = threads > 1 and 4 * units**2 >= MIN_DIVIDED_MATRIX
    preparation = [(threads - 1, 1)] if is_packed_by_all else []
    interpreted_pass = [(threads - shards, shards)] if threads > shards else []
    rnn = zoo.Recurrent("lstm", 7, units, threads=threads)
    y, _ = rnn.forward(np.ones((2, batch, 7), np.float32))
    assert entered == preparation + interpreted_pass
    entered.clear()
    rnn.backward(y)
    assert entered == preparation + interpreted_pass


@pytest.mark.usefixtures("four_processors")
@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
@pytest.mark.parametrize("batch", [1, 3, 9, 40])
def test_threads_without_a_shard_change_no_bit(cell: str, batch: int) -> None:
    rng = np.random.default_rng(batch)
    x = rng.standard_normal((5, batch, 7)).astype(np.float32)
    tokens = rng.integers(5, size=(6, batch)).astype(np.int32)
    results = []
    for threads in (1, 3, 4):
        rnn = zoo.Recurrent(cell, 7, 512, threads=threads)
        model = zoo.LanguageModel(range(5), cell=cell, hidden_size=512, threads=threads)
        y, _ = rnn.forward(x)
        rnn.backward(y)
        losses = [model.loss_and_grad(tokens[:-1], tokens[1:])[0] for _ in range(10)]  # compiled at last
        sampled = list(model.sample([1], 20)) if (cell, batch) == ("lstm", 1) else []
        results.append((y, rnn.grad.copy(), model.grad.copy(), losses, sampled))
    for alone, *divided in zip(*results, strict=True):
        for other in divided:
            np.testing.assert_array_equal(alone, other)
