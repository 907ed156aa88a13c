"""The thread pool: worker threads run compiled tasks without Python, and Python functions.

The caller publishes numbered compiled tasks and runs tasks too. Workers poll the pool in a loop, join, and
take tasks with atomic operations until none is left. The caller then waits until no worker is active. It does
not wait for workers that are busy elsewhere or asleep. A worker starts its first task 0.2 us after the
publication. A sleeping thread takes 50 us to wake, and in Python it waits for the interpreter too: a step of
25 symbols in 16 sequences with 32 units then took longer in two threads than in one.

The pool's state is an array of int64 words. Loads acquire and stores release: a thread that has read a word
sees everything that another thread wrote before it wrote that word.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from zoo.array_types import Array
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import njit
from zoo.processes import available_processors

R = TypeVar("R")

_WORD = 8  # bytes

_YIELD_TYPE = ir.FunctionType(ir.IntType(32), [])

# Rounds of waiting in 5 us.
_ROUNDS_BEFORE_YIELD = 200

# Spin-wait hints, which save power and leave the loop faster, by the start of the target triple.
_PAUSES: dict[str, tuple[str, tuple[int, ...]]] = {
    "x86_64": ("llvm.x86.sse2.pause", ()),
    "i686": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (1,)),
    "arm64": ("llvm.aarch64.hint", (1,)),
}


@intrinsic
def load(_typing: Any, words: Any, _index: Any) -> Any:
    """``words[index]``, for int64."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature, args), "acquire", _WORD)

    return types.int64(words, types.int64), emit


@intrinsic
def store(_typing: Any, words: Any, _index: Any, _value: Any) -> Any:
    """``words[index] = value``."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(context, builder, signature, args), "release", _WORD)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), emit


@intrinsic
def fetch_add(_typing: Any, words: Any, _index: Any, _value: Any) -> Any:
    """``words[index] += value``; return the value before."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _address(context, builder, signature, args), args[2], "acq_rel")

    return types.int64(words, types.int64, types.int64), emit


@intrinsic
def compare_exchange(_typing: Any, words: Any, _index: Any, _expected: Any, _value: Any) -> Any:
    """``words[index] = value`` if it is ``expected``; return whether it was."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        pointer = _address(context, builder, signature, args)
        return builder.extract_value(builder.cmpxchg(pointer, args[2], args[3], "acq_rel", "acquire"), 1)

    return types.boolean(words, types.int64, types.int64, types.int64), emit


@intrinsic
def spin_wait(_typing: Any, _waited: Any, _yield_address: Any) -> Any:
    """Wait 25 ns for another thread; after 5 us of waiting, yield the processor, which it may need.

    Args:
        _waited: The last result of this function; at first 0.
        _yield_address: Address of the system's function that yields the processor; 0 if there is none.
    """

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        waited, address = args
        _pause(builder)
        is_long = builder.icmp_signed(">", waited, waited.type(_ROUNDS_BEFORE_YIELD))
        is_known = builder.icmp_signed("!=", address, address.type(0))
        with builder.if_then(builder.and_(is_long, is_known)):
            builder.call(builder.inttoptr(address, _YIELD_TYPE.as_pointer()), [])
        return builder.add(waited, waited.type(1))

    return types.int64(types.int64, types.int64), emit


def _pause(builder: ir.IRBuilder) -> None:
    target = builder.module.triple.partition("-")[0]
    if target in _PAUSES:
        name, values = _PAUSES[target]
        arguments = [ir.IntType(32)(value) for value in values]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(builder.module.declare_intrinsic(name, (), kind), arguments)


def _address(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
    """Pointer to the word of the first two arguments, an array and an index."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


_tools: Any = cgutils  # Numba's helpers are untyped

_ADDRESS = ir.IntType(64)

# Indices of words. Words that different threads write are far apart: a cache line has 64 bytes, or 128.
_STATE, _NEXT, _TURN = 0, 16, 32

_CODE, _DATA, _COUNT, _FAILED, _INTERRUPTED, _YIELD = range(48, 54)

_WORDS = 64

# The state is the number of active workers, a flag for published tasks, and how often tasks were published.
_PUBLISHED = 1 << 15
_GENERATION = 1 << 16


def new_pool_state(yield_address: int) -> Array:
    """The words of a pool without tasks.

    Args:
        yield_address: As in :func:`spin_wait`.
    """
    pool_state = np.zeros(_WORDS, np.int64)
    pool_state[_YIELD] = yield_address
    return pool_state


@intrinsic
def bind_task(typing: Any, function: Any, some: Any, others: Any) -> Any:
    """Bind the arguments of a task, ``function(number, *some, *others)``: addresses of code and data.

    Both are valid until the caller returns. ``function`` returns whether it succeeded.
    """
    callee = function.get_call_type(typing, (types.int64, *some, *others), {})
    result = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        slots = [_tools.alloca_once_value(builder, each) for each in args[1:]]
        data = _tools.pack_array(builder, [builder.ptrtoint(slot, _ADDRESS) for slot in slots])
        data = _tools.alloca_once_value(builder, data)
        code = _new_task_function(context, builder)
        inside = ir.IRBuilder(code.append_basic_block())
        number, pointer = context.call_conv.decode_arguments(inside, _TASK.args, code)
        addresses = inside.load(inside.bitcast(pointer, data.type))
        arguments = [number]
        for n, kinds in enumerate((some, others)):
            address = inside.extract_value(addresses, n)
            values = inside.inttoptr(address, slots[n].type)
            arguments += [inside.load(_tools.gep_inbounds(inside, values, 0, m)) for m in range(len(kinds))]
        implementation = context.get_function(function, callee)
        succeeded = implementation(inside, arguments)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        context.call_conv.return_value(inside, context.get_return_value(inside, types.boolean, succeeded))
        pair = [builder.ptrtoint(each, _ADDRESS) for each in (code, data)]
        return context.make_tuple(builder, result, pair)

    return result(function, some, others), emit


_TASK = types.boolean(types.int64, types.voidptr)


def _new_task_function(context: Any, builder: ir.IRBuilder) -> Any:
    """A new function of a number and a data pointer, with Numba's calling convention."""
    module = builder.module
    shape = context.call_conv.get_function_type(_TASK.return_type, _TASK.args)
    function = ir.Function(module, shape, name=module.get_unique_name(f"{builder.function.name}.task"))
    function.linkage = "internal"
    return function


@intrinsic
def _run_task(_typing: Any, _code: Any, _data: Any, _number: Any) -> Any:
    """Call a bound task; its result, or False if it raised an exception."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(_TASK.return_type, _TASK.args)
        function = builder.inttoptr(args[0], kind.as_pointer())
        arguments = [args[2], builder.inttoptr(args[1], context.get_value_type(types.voidptr))]
        status, result = convention.call_function(builder, function, _TASK.return_type, _TASK.args, arguments)
        return builder.and_(status.is_ok, result)

    return types.boolean(types.int64, types.int64, types.int64), emit


@njit
def _drain(pool_state: Array) -> None:
    """Run the next task until none is left."""
    number = fetch_add(pool_state, _NEXT, 1)
    while number < pool_state[_COUNT]:
        if not _run_task(pool_state[_CODE], pool_state[_DATA], number):
            store(pool_state, _FAILED, 1)
        number = fetch_add(pool_state, _NEXT, 1)


@njit(shared=True)
def parallel_for(pool_state: Array, count: int, code: int, data: int) -> bool:
    """Run tasks 0 to ``count - 1``; return whether all succeeded.

    Args:
        pool_state: From :func:`new_pool_state`. Only one thread at a time may call this with the same pool.
        count: Number of tasks.
        code: From :func:`bind_task`.
        data: From :func:`bind_task`.
    """
    pool_state[_CODE], pool_state[_DATA], pool_state[_COUNT], pool_state[_FAILED] = code, data, count, 0
    store(pool_state, _NEXT, 0)
    store(pool_state, _TURN, 0)
    fetch_add(pool_state, _STATE, _GENERATION + _PUBLISHED)
    _drain(pool_state)
    fetch_add(pool_state, _STATE, -_PUBLISHED)
    waited = 0
    while load(pool_state, _STATE) % _PUBLISHED != 0:
        waited = spin_wait(waited, pool_state[_YIELD])
    return pool_state[_FAILED] == 0  # type: ignore[no-any-return]


@njit(shared=True)
def wait_for_turn(pool_state: Array, number: int) -> None:
    """Within a task, wait until all tasks of lower numbers have passed their turns."""
    waited = 0
    while load(pool_state, _TURN) != number and load(pool_state, _FAILED) == 0:
        waited = spin_wait(waited, pool_state[_YIELD])


@njit
def pass_turn(pool_state: Array, number: int) -> None:
    """Within a task, pass the turn to the task of the next number."""
    store(pool_state, _TURN, number + 1)


@njit
def worker_loop(pool_state: Array, max_rounds: int) -> None:
    """Run tasks whenever they are published.

    It does not return to Python in between, where threads would block each other.

    Args:
        pool_state: From :func:`new_pool_state`.
        max_rounds: Rounds of waiting for tasks before it returns. Python can interrupt it earlier.
    """
    last, waited = 0, 0
    while waited < max_rounds and load(pool_state, _INTERRUPTED) == 0:
        state = load(pool_state, _STATE)
        generation = state // _GENERATION
        is_new = state % _GENERATION >= _PUBLISHED and generation != last
        if is_new and compare_exchange(pool_state, _STATE, state, state + 1):
            _drain(pool_state)
            fetch_add(pool_state, _STATE, -1)
            last, waited = generation, 0
        waited = spin_wait(waited, pool_state[_YIELD])


# Rounds of waiting, about a millisecond, nearly all in calls that yield the processor. The time between two
# training steps is shorter.
_ROUNDS_BEFORE_SLEEP = 2_000


class ThreadPool:
    """Worker threads that run compiled tasks, and Python functions.

    They wait for compiled tasks in compiled code for a millisecond, and then sleep.

    Args:
        count: Number of threads.
    """

    def __init__(self, count: int) -> None:
        self._pool_state = new_pool_state(yield_address())
        # Jobs of the workers; None ends one. Unlike an Event, SimpleQueue wakes a thread without Python code.
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._functions: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock, self._run_count, self._is_closed = threading.Lock(), 0, False
        self._polling_workers: list[None] = []  # an element for each worker that polls, or will
        names = [f"zoo-{number}" for number in range(count)]
        self._threads = [threading.Thread(target=self._run_jobs, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    @property
    def count(self) -> int:
        """Number of threads."""
        return len(self._threads)

    def run(self, work: Callable[[Array], R]) -> R:
        """``work(pool_state)`` with these threads, or without workers if another call uses them."""
        if not self._lock.acquire(blocking=False):
            return work(new_pool_state(yield_address()))
        try:
            self._run_count += 1
            while len(self._polling_workers) < self.count:
                self._wake_worker()
            return work(self._pool_state)
        finally:
            self._lock.release()

    def submit(self, function: Callable[[], R]) -> Future[R]:
        """Run a Python function in one of the threads."""
        future: Future[R] = Future()
        self._functions.append((future, function))
        self._queue.put(self._run_function)
        if self._polling_workers:
            self._pool_state[_INTERRUPTED] = 1
        return future

    def close(self) -> None:
        """Stop and join the threads."""
        self._is_closed = True
        self._pool_state[_INTERRUPTED] = 1
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _wake_worker(self) -> None:
        self._polling_workers.append(None)
        self._queue.put(self._run_compiled_tasks)

    def _run_jobs(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

    def _run_compiled_tasks(self) -> None:
        run_count = self._run_count
        self._pool_state[_INTERRUPTED] = 0
        if self._functions or self._is_closed:
            self._pool_state[_INTERRUPTED] = 1
        worker_loop(self._pool_state, _ROUNDS_BEFORE_SLEEP)
        self._polling_workers.pop()
        if run_count != self._run_count and not self._is_closed:  # that call may have counted on this worker
            self._wake_worker()

    def _run_function(self) -> None:
        future, function = self._functions.popleft()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # raised by Future.result
                future.set_exception(error)


def thread_pool(threads: int) -> ThreadPool:
    """The workers of calls in up to ``threads`` threads, the caller's included.

    There are no more threads than processors: waiting threads would keep others from working.
    """
    return _cached_pool(max(0, min(threads, available_processors()) - 1))


def run_with_pool(work: Callable[[Array], R], threads: int) -> R:
    """``work(pool_state)`` with a pool of up to ``threads`` threads, the caller's included."""
    return thread_pool(threads).run(work) if threads > 1 else work(new_pool_state(yield_address()))


@functools.cache
def _cached_pool(count: int) -> ThreadPool:
    return ThreadPool(count)


@functools.cache
def yield_address() -> int:
    """Address of the system's function that yields the processor; 0 if there is none."""
    library, name = ("kernel32", "SwitchToThread") if sys.platform == "win32" else (None, "sched_yield")
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.cast(getattr(ctypes.CDLL(library), name), ctypes.c_void_p).value or 0
    return 0


if hasattr(os, "register_at_fork"):
    # A forked child inherits the workers but not their threads.
    os.register_at_fork(after_in_child=_cached_pool.cache_clear)
