"""Nested parallelism: idle workers of a thread pool compute parts of a large matrix product.

A batch of few rows has fewer shards than the machine has processors. The workers without a shard then wait in
*slots* of one table per process. A thread that computes a large product claims some of them, publishes a part
of the product for each, computes the first part, and takes back the parts that no worker has begun. All parts
have the same order of sums, so their number changes no bit of a result.

The recurrent matrix of 512 LSTM units has 4 MB. One thread reads it from the last-level cache at every step.
Of several threads, each one usually reads the same columns. They stay in its second-level cache if they fit.

The table is an array of int64 words, known to the linker by a symbol: the matrix product is LLVM code that no
argument could pass it to. Workers in slots therefore serve all threads of the process, even the thread of a
layer that has ``threads=1``.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.np.arrayobj import populate_array

from zoo.array_types import Array
from zoo.kernels.atomics import compare_exchange, fetch_add, load, spin_wait, store, yield_address
from zoo.kernels.bound_calls import bound_signature, call_bound, emit_bound_call, emit_call
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import is_pure_python, njit

MIN_PART = 1 << 17
"""Multiply-adds of the smallest part, which take 2 to 5 us. Publishing parts takes about 0.4 us."""

# Indices of words: the number of workers in slots, the address of `run_parts`, that of the system's function
# that yields the processor, and slots.
_IN_SLOTS, _RUN_PARTS, _YIELD = 0, 16, 17
_FIRST_SLOT, _SLOT_WORDS = 32, 16  # 128 bytes: a cache line, or two
_SLOTS = 62  # `run_parts` has a bit for each of them in an int64
_STATE, _LEADERS, _CODE, _DATA, _PART, _PARTS, _SUCCEEDED = range(7)  # in a slot

# States of a slot: without a worker; with a worker that waits; claimed by a thread; with a part that nobody
# has begun; with a part that the worker computes; with a part that it has finished.
_FREE, _WAITING, _CLAIMED, _READY, _RUNNING, _DONE = range(6)


def _aligned_zeros(size: int) -> Array:
    """Zeros ``(size,)`` int64 that start at a slot's alignment."""
    words = np.zeros(size + _SLOT_WORDS, np.int64)
    return words[-(words.ctypes.data // 8) % _SLOT_WORDS :][:size]


_SYMBOL, _SIZE = "zoo.idle_workers", ir.IntType(64)
_table = _aligned_zeros(_FIRST_SLOT + _SLOT_WORDS * _SLOTS)
llvm.add_symbol(_SYMBOL, _table.ctypes.data)


def _emit_table(builder: ir.IRBuilder) -> Any:
    """A pointer to the words of the table."""
    variables = builder.module.globals
    if _SYMBOL not in variables:
        ir.GlobalVariable(builder.module, ir.ArrayType(_SIZE, _table.size), _SYMBOL)  # defined by add_symbol
    return variables[_SYMBOL].bitcast(_SIZE.as_pointer())


def emit_has_idle_workers(builder: ir.IRBuilder) -> Any:
    """Emit a test whether there are workers in slots."""
    word = builder.gep(_emit_table(builder), [_SIZE(_IN_SLOTS)])
    # "acquire": the address of `run_parts` was written before the first worker entered its slot.
    return builder.icmp_signed(">", builder.load_atomic(word, "acquire", 8), _SIZE(0))


def emit_run_parts(builder: ir.IRBuilder, code: Any, data: Any, max_parts: Any) -> Any:
    """Emit a call of :func:`run_parts` by its address in the table. It is valid if there are idle workers."""
    address = builder.load(builder.gep(_emit_table(builder), [_SIZE(_RUN_PARTS)]))
    return emit_call(builder, address, [code, data, max_parts])


@intrinsic
def compute_parts(typing: Any, function: Any, operands: Any, _work: Any, _max_parts: Any) -> Any:
    """``function(part, parts, *operands)`` for each part of some work; whether all succeeded.

    Idle workers compute parts if the work is large. Small work is one part.

    Args:
        typing: Numba's typing context.
        function: A function that returns whether it succeeded.
        operands: A tuple.
        _work: Number of multiply-adds, or the number that takes as long.
        _max_parts: The number of parts that the work can be divided into.
    """
    callee = bound_signature(typing, function, operands)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        code, data = emit_bound_call(context, builder, function, callee, args[1:2])
        limit = builder.sdiv(args[2], _SIZE(MIN_PART))
        limit = builder.select(builder.icmp_signed("<", limit, args[3]), limit, args[3])
        is_large = builder.icmp_signed(">", limit, _SIZE(1))
        is_divided = builder.and_(is_large, emit_has_idle_workers(builder))
        with builder.if_else(is_divided, likely=False) as (divided, whole):
            with divided:
                results = [(emit_run_parts(builder, code, data, limit), builder.block)]
            with whole:
                results += [(emit_call(builder, code, [data, _SIZE(0), _SIZE(1)]), builder.block)]
        succeeded = builder.phi(ir.IntType(1))
        for result in results:
            succeeded.add_incoming(*result)
        return succeeded

    return types.boolean(function, operands, types.int64, types.int64), emit


@intrinsic
def worker_table(_typing: Any) -> Any:
    """The words of the table."""
    kind: Any = types.Array  # Numba's own types are untyped
    populate: Any = populate_array

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, _args: Any) -> Any:
        made = context.make_array(signature.return_type)(context, builder)
        shape, strides = [_SIZE(_table.size)], [_SIZE(8)]
        populate(made, _emit_table(builder), shape, strides, strides[0], None)
        return made._getvalue()

    return kind(types.int64, 1, "C")(), emit


@njit
def run_parts(code: int, data: int, max_parts: int) -> bool:
    """Compute all parts of some work with the idle workers; return whether all succeeded.

    The threads that divide products share the idle workers: of three workers, each of two threads claims up
    to two.

    Args:
        code: From :func:`zoo.kernels.bound_calls.bind_call`. The number is the index of a part, and the
            count is the number of parts.
        data: From the same.
        max_parts: The largest number of parts.
    """
    table = worker_table()
    workers = load(table, _IN_SLOTS)
    claimed, parts, end, wanted = 0, 1, _FIRST_SLOT, min(max_parts, 1 + workers)
    for number in range(_SLOTS):
        if parts >= wanted:
            break
        slot = _FIRST_SLOT + number * _SLOT_WORDS
        if load(table, slot) == _WAITING and compare_exchange(table, slot, _WAITING, _CLAIMED):
            leaders = table[slot + _LEADERS]
            wanted = min(wanted, 1 + (workers + leaders - 1) // leaders)
            table[slot + _CODE], table[slot + _DATA], table[slot + _PART] = code, data, parts
            claimed |= 1 << number
            parts += 1
            end = slot + 1
    for slot in range(_FIRST_SLOT, end, _SLOT_WORDS):
        if _is_claimed(claimed, slot):
            table[slot + _PARTS] = parts
            store(table, slot, _READY)
    succeeded = call_bound(code, data, 0, parts)
    for slot in range(_FIRST_SLOT, end, _SLOT_WORDS):
        if _is_claimed(claimed, slot):
            if compare_exchange(table, slot, _READY, _CLAIMED):  # its worker is late, or asleep
                table[slot + _SUCCEEDED] = call_bound(code, data, table[slot + _PART], parts)
            else:
                waited = 0
                while load(table, slot) != _DONE:
                    waited = spin_wait(waited, table[_YIELD])
            succeeded &= table[slot + _SUCCEEDED] != 0
            store(table, slot, _WAITING)
    return succeeded  # type: ignore[no-any-return]


@njit(inline=True)
def _is_claimed(claimed: int, slot: int) -> bool:
    return claimed >> (slot - _FIRST_SLOT) // _SLOT_WORDS & 1 == 1


@njit
def poll_slot(slot: int, leaders: int) -> tuple[int, bool]:
    """Let a worker enter a slot, compute a part, or leave its slot.

    Args:
        slot: The slot of the worker; -1 if it has none.
        leaders: The number of threads whose products it helps to compute; 0 to leave.

    Returns:
        The slot of the worker, or -1, and whether it has computed a part.
    """
    table = worker_table()
    if slot >= 0 and table[slot + _LEADERS] == leaders:
        return slot, _compute_part(table, slot)
    if slot >= 0:
        leave_slot(slot)
    return enter_slot(leaders) if leaders > 0 else -1, False


@njit
def enter_slot(leaders: int) -> int:
    """Let a worker wait for parts; return its slot, or -1 if there is none."""
    table = worker_table()
    for number in range(_SLOTS):
        slot = _FIRST_SLOT + number * _SLOT_WORDS
        if load(table, slot) == _FREE and compare_exchange(table, slot, _FREE, _CLAIMED):
            table[slot + _LEADERS] = leaders
            fetch_add(table, _IN_SLOTS, 1)
            store(table, slot, _WAITING)
            return slot
    return -1


@njit
def _compute_part(table: Array, slot: int) -> bool:
    """Compute the part in a worker's slot; return whether there was one."""
    if load(table, slot) != _READY or not compare_exchange(table, slot, _READY, _RUNNING):
        return False
    code, data, part = table[slot + _CODE], table[slot + _DATA], table[slot + _PART]
    table[slot + _SUCCEEDED] = call_bound(code, data, part, table[slot + _PARTS])
    store(table, slot, _DONE)
    return True


@njit
def leave_slot(slot: int) -> None:
    """Let a worker leave its slot, after the part that it may have."""
    table = worker_table()
    fetch_add(table, _IN_SLOTS, -1)
    waited = 0
    while not compare_exchange(table, slot, _WAITING, _FREE):
        _compute_part(table, slot)
        waited = spin_wait(waited, table[_YIELD])


def is_worthwhile(product_size: int) -> bool:
    """Whether idle workers should compute parts of products with this number of multiply-adds."""
    is_compiled = not (is_pure_python() or numba.config.DISABLE_JIT)  # type: ignore[attr-defined]
    return is_compiled and product_size >= 2 * MIN_PART


@functools.cache
def enable() -> None:
    """Compile :func:`run_parts` and enter its address in the table, before the first worker enters a slot."""
    dispatcher: Any = run_parts.dispatcher
    signature = (types.int64,) * 3
    dispatcher.compile(signature)
    overload = dispatcher.overloads[signature]
    _table[_YIELD] = yield_address()
    _table[_RUN_PARTS] = overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name)


def _free_all_slots() -> None:
    """Free all slots: a forked child has the table, but no workers."""
    _table[_IN_SLOTS] = 0
    _table[_FIRST_SLOT::_SLOT_WORDS] = _FREE


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all_slots)
