"""The thread pool, and slices of a batch in compiled code."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

import zoo
from zoo.kernels import threadpool
from zoo.kernels.atomics import fetch_add, load, spin_wait, yield_address
from zoo.kernels.batch_slicing import copy_all, copy_columns, flatten_into, slice_rows
from zoo.kernels.bound_calls import bind_call
from zoo.kernels.threadpool import (
    ThreadPool,
    count_turns,
    parallel_for,
    pass_turn,
    run_with_pool,
    wait_for_turn,
)

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="compiled code alone")


@zoo.njit
def count_task(number, _count, pool_state, done):
    done[number] += 1
    return True


@zoo.njit
def count_all(pool_state, count, done):
    code, data = bind_call(count_task, (pool_state,), (done,))
    return parallel_for(pool_state, count, code, data)


@zoo.njit
def turn_task(number, _count, pool_state, order, place, wrong, raises):
    total = 0.0
    for n in range((number % 7) * 1000):
        total += n
    if number == wrong:
        if raises:
            raise ValueError("a failed task")
        return False
    for turn in range(order.shape[0]):
        wait_for_turn(pool_state, number, turn)
        order[turn, place[turn]] = number
        place[turn] += 1
        pass_turn(pool_state, number, turn)
    return total >= 0


@zoo.njit
def turns(pool_state, count, order, place, wrong, raises):
    code, data = bind_call(turn_task, (pool_state, order), (place, wrong, raises))
    return parallel_for(pool_state, count, code, data)


@zoo.njit
def meeting_task(number, _count, pool_state, here):
    """Wait for all other tasks to begin, in vain if one thread has to run two."""
    fetch_add(here, 0, 1)
    waited = 0
    while load(here, 0) < here[1] and waited < 50_000_000:
        waited = spin_wait(waited, here[2])
    return load(here, 0) == here[1]


@zoo.njit
def meet(pool_state, count, here):
    code, data = bind_call(meeting_task, (pool_state,), (here,))
    return parallel_for(pool_state, count, code, data)


def all_meet(workers, count):
    here = np.array([0, count, yield_address()])
    return workers.run(lambda pool_state: meet(pool_state, count, here))


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compile first: workers fall asleep while a kernel compiles."""
    assert run_with_pool(lambda pool_state: meet(pool_state, 1, np.array([0, 1, 0])), 1)


@pytest.fixture(params=[1, 3], ids=["one worker", "three workers"])
def workers(request):
    threads = ThreadPool(request.param)
    yield threads
    threads.close()


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_every_task_runs_once(workers, count):
    for times in range(1, 50):
        done = np.zeros(max(count, 1), np.int64)
        for _ in range(times):
            assert workers.run(lambda pool_state, done=done: count_all(pool_state, count, done))
        assert set(done[:count]) <= {times}


@pytest.mark.parametrize("number_of_turns", [1, 3, count_turns(10**9)])
def test_turns_are_in_order(workers, number_of_turns):
    for count in (1, 2, 3, 50):
        for _ in range(10):
            order, place = np.full((number_of_turns, count), -1), np.zeros(number_of_turns, np.int64)
            assert workers.run(
                lambda pool_state, a=order, b=place: turns(pool_state, a.shape[1], a, b, -1, False)
            )
            np.testing.assert_array_equal(order, np.tile(np.arange(count), (number_of_turns, 1)))


@pytest.mark.parametrize("raises", [False, True])
def test_no_wait_for_the_turn_of_a_failed_task(workers, raises):
    for wrong in (0, 7, 19):
        order, place = np.full((2, 20), -1), np.zeros(2, np.int64)
        assert not workers.run(
            lambda pool_state, a=order, b=place, n=wrong: turns(pool_state, 20, a, b, n, raises)
        )
        order, place = np.full((2, 20), -1), np.zeros(2, np.int64)
        assert workers.run(lambda pool_state, a=order, b=place: turns(pool_state, 20, a, b, -1, False))


def test_all_threads_run_at_the_same_time(workers):
    for _ in range(20):
        assert all_meet(workers, 1 + workers.count)


def test_sleeping_workers_wake_up():
    workers = ThreadPool(1)
    for _ in range(5):
        assert all_meet(workers, 2)
        deadline = time.monotonic() + 30
        while workers._polling_workers and time.monotonic() < deadline:
            time.sleep(0.001)
        assert not workers._polling_workers
    workers.close()


def test_caller_runs_alone_while_workers_are_busy():
    workers = ThreadPool(1)
    pools = []

    def outer(pool):
        pools.append(pool)
        return workers.run(pools.append)

    workers.run(outer)
    workers.run(pools.append)
    workers.close()
    assert pools[0] is pools[2]
    assert pools[0] is not pools[1]


def test_concurrent_calls_do_not_interfere():
    def work(results):
        for _ in range(300):
            done = np.zeros(40, np.int64)
            ok = run_with_pool(lambda pool_state, a=done: count_all(pool_state, len(a), a), 2)
            results.append(ok and set(done) == {1})

    results = []
    threads = [threading.Thread(target=work, args=(results,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1200
    assert all(results)


def test_submitted_functions_run_while_workers_wait_for_tasks(workers):
    for _ in range(20):
        assert all_meet(workers, 1 + workers.count)  # workers poll the pool from now on
        barrier = threading.Barrier(workers.count + 1)
        futures = [workers.submit(lambda b=barrier: b.wait(30)) for _ in range(workers.count)]
        barrier.wait(30)
        for future in futures:
            future.result(30)


def test_submitted_function_passes_on_its_error(workers):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workers.submit(fail).result(30)
    assert workers.submit(lambda: 3).result(30) == 3
    assert all_meet(workers, 1 + workers.count)


def test_cancelled_function_does_not_run():
    workers = ThreadPool(1)
    start, end = threading.Event(), threading.Event()
    first = workers.submit(lambda: start.set() or end.wait(30))
    assert start.wait(30)
    second = workers.submit(lambda: 1 / 0)
    assert second.cancel()
    end.set()
    assert first.result(30)
    assert workers.submit(lambda: 2).result(30) == 2
    workers.close()


def test_no_more_threads_than_processors(monkeypatch):
    counts = []

    class Recorder(ThreadPool):
        def __init__(self, count):
            counts.append(count)
            super().__init__(0)

    monkeypatch.setattr(threadpool, "ThreadPool", Recorder)
    monkeypatch.setattr(threadpool, "available_processors", lambda: 3)
    threadpool._cached_pool.cache_clear()
    for threads in (1, 2, 64):
        run_with_pool(lambda pool_state: None, threads)
    threadpool._cached_pool.cache_clear()
    assert counts == [1, 2]


def _run_in_child(pipe):
    done = np.zeros(9, np.int64)
    pipe.send((run_with_pool(lambda pool_state: count_all(pool_state, 9, done), 2), done.tolist()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.*JAX:RuntimeWarning")  # which another test may have imported
def test_forked_child_starts_its_own_workers():
    done = np.zeros(9, np.int64)
    assert run_with_pool(lambda pool_state: count_all(pool_state, 9, done), 2)
    context = multiprocessing.get_context("fork")
    parent_end, child_end = context.Pipe()
    child = context.Process(target=_run_in_child, args=(child_end,))
    child.start()
    assert parent_end.poll(60)
    assert parent_end.recv() == (True, [1] * 9)
    child.join(60)
    assert child.exitcode == 0


@zoo.njit
def parts_of(columns, rows, first, end):
    return copy_columns(columns, first, end), slice_rows(rows, first, end)[1][0].copy()


@zoo.njit
def put(sources, targets, flat, adds, first, end):
    return copy_all(sources, targets), flatten_into(sources, flat, adds, first, end)


@pytest.mark.parametrize(("first", "end"), [(0, 5), (0, 2), (2, 5), (4, 5)])
def test_slices_hold_the_rows_of_a_shard(first, end):
    rng = np.random.default_rng(0)
    tokens, numbers = rng.integers(9, size=(7, 5)).astype(np.int32), rng.normal(size=(7, 5, 3))
    state = rng.normal(size=(5, 2, 4)).astype(np.float32)
    columns, one = parts_of((tokens, ((numbers,), ())), ((), (state,)), first, end)
    np.testing.assert_array_equal(columns[0], tokens[:, first:end])
    np.testing.assert_array_equal(columns[1][0][0], numbers[:, first:end])
    np.testing.assert_array_equal(one, state[first:end])
    assert all(part.flags.carray for part in (columns[0], columns[1][0][0]))


def test_flatten_into_copies_and_adds():
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(3, 5)), rng.normal(size=4)
    targets, flat = (np.zeros((3, 5)), np.zeros(4)), np.ones(19)
    expected = np.concatenate([source.reshape(-1) for source in sources])
    assert put(sources, targets, flat, True, 0, 19) == (True, True)
    np.testing.assert_array_equal(flat, expected + 1)
    assert put(sources, targets, flat, False, 0, 19) == (True, True)
    np.testing.assert_array_equal(flat, expected)
    for source, target in zip(sources, targets, strict=True):
        np.testing.assert_array_equal(source, target)


def test_flatten_into_writes_a_part():
    sources, targets = (np.arange(15.0).reshape(3, 5), np.arange(15.0, 19)), (np.zeros((3, 5)), np.zeros(4))
    for first in range(20):
        for end in range(first, 20):
            flat = np.full(19, 100.0)
            assert put(sources, targets, flat, True, first, end) == (True, True)
            expected = np.where((np.arange(19) >= first) & (np.arange(19) < end), 100 + np.arange(19), 100)
            np.testing.assert_array_equal(flat, expected)


def test_mismatched_sources_are_not_copied():
    sources, targets, flat = (np.ones((3, 5)), np.ones(4)), (np.zeros((3, 4)), np.zeros(4)), np.zeros(18)
    assert put(sources, targets, flat, False, 0, 18) == (False, False)
    assert not targets[0].any()
    assert targets[1].all()
    assert not flat.any()
