"""Work in pieces that threads take from a gate, and the arrays of a batch in compiled code."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

import zoo
from zoo.kernels.batch_slicing import copy_each, lay_out, own_columns, own_rows
from zoo.kernels.threadpool import await_turn, end_turn, fetch_add, load, pieces, rest, share_out
from zoo.layers import worker_threads

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="compiled code alone")


@zoo.njit
def count_piece(number, gate, done):
    done[number] += 1
    return True


@zoo.njit
def count_all(gate, count, done):
    code, data = pieces(count_piece, (gate,), (done,))
    return share_out(gate, count, code, data)


@zoo.njit
def turn_piece(number, gate, order, place, wrong, raises):
    total = 0.0
    for n in range((number % 7) * 1000):
        total += n
    if number == wrong:
        if raises:
            raise ValueError("a piece that goes wrong")
        return False
    await_turn(gate, number)
    order[place[0]] = number
    place[0] += 1
    end_turn(gate, number)
    return total >= 0


@zoo.njit
def turns(gate, count, order, place, wrong, raises):
    code, data = pieces(turn_piece, (gate, order), (place, wrong, raises))
    return share_out(gate, count, code, data)


@zoo.njit
def meeting_piece(number, gate, here):
    """Wait for all other pieces to have begun, in vain if one thread has to do two."""
    fetch_add(here, 0, 1)
    waited = 0
    while load(here, 0) < here[1] and waited < 50_000_000:
        waited = rest(waited, here[2])
    return load(here, 0) == here[1]


@zoo.njit
def meet(gate, count, here):
    code, data = pieces(meeting_piece, (gate,), (here,))
    return share_out(gate, count, code, data)


def all_meet(crew, count):
    here = np.array([0, count, worker_threads._sched_yield_address()])
    return crew.share(lambda gate: meet(gate, count, here))


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Helpers do not stay awake until a kernel is compiled."""
    assert worker_threads.run_with_pool(lambda gate: meet(gate, 1, np.array([0, 1, 0])), 1)


@pytest.fixture(params=[1, 3], ids=["one helper", "three helpers"])
def crew(request):
    made = worker_threads.WorkerThreads(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_every_piece_is_done_once(crew, count):
    for times in range(1, 50):
        done = np.zeros(max(count, 1), np.int64)
        for _ in range(times):
            assert crew.share(lambda gate, done=done: count_all(gate, count, done))
        assert set(done[:count]) <= {times}


def test_turns_are_in_order(crew):
    for count in (1, 2, 3, 50):
        for _ in range(20):
            order, place = np.full(count, -1), np.zeros(1, np.int64)
            assert crew.share(lambda gate, a=order, b=place: turns(gate, len(a), a, b, -1, False))
            np.testing.assert_array_equal(order, np.arange(count))


@pytest.mark.parametrize("raises", [False, True])
def test_nobody_waits_for_the_turn_of_a_piece_that_went_wrong(crew, raises):
    for wrong in (0, 7, 19):
        order, place = np.full(20, -1), np.zeros(1, np.int64)
        assert not crew.share(lambda gate, a=order, b=place, n=wrong: turns(gate, 20, a, b, n, raises))
        order, place = np.full(20, -1), np.zeros(1, np.int64)
        assert crew.share(lambda gate, a=order, b=place: turns(gate, 20, a, b, -1, False))


def test_all_threads_work_at_the_same_time(crew):
    for _ in range(20):
        assert all_meet(crew, 1 + len(crew._threads))


def test_helpers_that_went_to_sleep_come_back():
    crew = worker_threads.WorkerThreads(1)
    for _ in range(5):
        assert all_meet(crew, 2)
        deadline = time.monotonic() + 30
        while crew._awake.is_set() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert not crew._awake.is_set()
    crew.close()


def test_who_comes_while_helpers_are_busy_works_alone():
    crew = worker_threads.WorkerThreads(1)
    gates = []

    def outer(gate):
        gates.append(gate)
        return crew.share(gates.append)

    crew.share(outer)
    crew.share(gates.append)
    crew.close()
    assert gates[0] is gates[2]
    assert gates[0] is not gates[1]


def test_threads_that_share_at_once_do_not_meet():
    def work(found):
        for _ in range(300):
            done = np.zeros(40, np.int64)
            ok = worker_threads.run_with_pool(lambda gate, a=done: count_all(gate, len(a), a), 2)
            found.append(ok and set(done) == {1})

    found = []
    threads = [threading.Thread(target=work, args=(found,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1200
    assert all(found)


def test_no_more_threads_than_processors(monkeypatch):
    asked = []

    class Helpers(worker_threads.WorkerThreads):
        def __init__(self, count):
            asked.append(count)
            super().__init__(0)

    monkeypatch.setattr(worker_threads, "WorkerThreads", Helpers)
    monkeypatch.setattr(worker_threads, "available_threads", lambda: 3)
    worker_threads._worker_threads.cache_clear()
    for threads in (1, 2, 64):
        worker_threads.run_with_pool(lambda gate: None, threads)
    worker_threads._worker_threads.cache_clear()
    assert asked == [1, 2]


def _share_in_child(pipe):
    done = np.zeros(9, np.int64)
    pipe.send((worker_threads.run_with_pool(lambda gate: count_all(gate, 9, done), 2), done.tolist()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.*JAX:RuntimeWarning")  # which another test may have imported
def test_a_forked_child_has_helpers_of_its_own():
    done = np.zeros(9, np.int64)
    assert worker_threads.run_with_pool(lambda gate: count_all(gate, 9, done), 2)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_share_in_child, args=(theirs,))
    child.start()
    assert ours.poll(60)
    assert ours.recv() == (True, [1] * 9)
    child.join(60)
    assert child.exitcode == 0


@zoo.njit
def parts_of(columns, rows, first, end):
    return own_columns(columns, first, end), own_rows(rows, first, end)[1][0].copy()


@zoo.njit
def put(sources, targets, flat, adds):
    return copy_each(sources, targets), lay_out(sources, flat, adds)


@pytest.mark.parametrize(("first", "end"), [(0, 5), (0, 2), (2, 5), (4, 5)])
def test_the_rows_of_a_shard_are_cut_out(first, end):
    rng = np.random.default_rng(0)
    tokens, numbers = rng.integers(9, size=(7, 5)).astype(np.int32), rng.normal(size=(7, 5, 3))
    state = rng.normal(size=(5, 2, 4)).astype(np.float32)
    columns, one = parts_of((tokens, ((numbers,), ())), ((), (state,)), first, end)
    np.testing.assert_array_equal(columns[0], tokens[:, first:end])
    np.testing.assert_array_equal(columns[1][0][0], numbers[:, first:end])
    np.testing.assert_array_equal(one, state[first:end])
    assert all(part.flags.carray for part in (columns[0], columns[1][0][0]))


def test_arrays_are_laid_out_and_added():
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(3, 5)), rng.normal(size=4)
    targets, flat = (np.zeros((3, 5)), np.zeros(4)), np.ones(19)
    expected = np.concatenate([source.reshape(-1) for source in sources])
    assert put(sources, targets, flat, True) == (True, True)
    np.testing.assert_array_equal(flat, expected + 1)
    assert put(sources, targets, flat, False) == (True, True)
    np.testing.assert_array_equal(flat, expected)
    for source, target in zip(sources, targets, strict=True):
        np.testing.assert_array_equal(source, target)


def test_what_does_not_fit_is_left_alone():
    sources, targets, flat = (np.ones((3, 5)), np.ones(4)), (np.zeros((3, 4)), np.zeros(4)), np.zeros(18)
    assert put(sources, targets, flat, False) == (False, False)
    assert not targets[0].any()
    assert targets[1].all()
    assert not flat.any()
