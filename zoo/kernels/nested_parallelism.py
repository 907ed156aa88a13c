"""Nested parallelism: idle workers of a thread pool compute parts of a large matrix product.

A batch of few rows has fewer shards than the machine has processors. The workers without a shard then wait in
*slots* of one table per process. A thread that computes a large product claims some of them, publishes a part
of the product for each, computes the first part, and takes back the parts that no worker has begun. All parts
have the same order of sums, so their number changes no bit of a result.

The recurrent matrix of 512 LSTM units has 4 MB. One thread reads it from the last-level cache at every step.
Of several threads, each one always reads the same columns, which stay in its second-level cache if they fit.

The table is an array of int64 words, known to the linker by a symbol: the matrix product is LLVM code that no
argument could pass it to.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.np.arrayobj import populate_array

from zoo.array_types import Array
from zoo.kernels.atomics import compare_exchange, fetch_add, load, spin_wait, store, yield_address
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import is_pure_python, njit

MIN_PART = 1 << 17
"""Multiply-adds of the smallest part, which take 2 to 5 us. Publishing parts takes about 0.4 us."""

# Indices of words. Words that different threads write are at least a cache line of 128 bytes apart.
IDLE, BUSY, RUN_PARTS, _YIELD = 0, 16, 32, 33
_FIRST_SLOT, _SLOT_WORDS, _SLOTS = 48, 16, 62
_CODE, _DATA, _PART, _PARTS, _SUCCEEDED = range(1, 6)  # in a slot, after its state

# States of a slot: without a worker; with a worker that waits; claimed by a thread; with a part that nobody
# has begun; with a part that the worker computes; with a part that it has finished.
_FREE, _WAITING, _CLAIMED, _READY, _RUNNING, _DONE = range(6)

_tools: Any = cgutils  # Numba's helpers are untyped
_SIZE = ir.IntType(64)

_table = np.zeros(_FIRST_SLOT + _SLOT_WORDS * _SLOTS, np.int64)
_SYMBOL = "zoo.idle_workers"
llvm.add_symbol(_SYMBOL, _table.ctypes.data)


def table_in(module: ir.Module) -> Any:
    """The table in an LLVM module: a pointer to its words."""
    if _SYMBOL not in module.globals:
        ir.GlobalVariable(module, ir.ArrayType(_SIZE, _table.size), _SYMBOL)  # defined by add_symbol
    return module.globals[_SYMBOL].bitcast(_SIZE.as_pointer())


@intrinsic
def worker_table(_typing: Any) -> Any:
    """The words of the table."""
    kind: Any = types.Array  # Numba's own types are untyped
    populate: Any = populate_array

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, _args: Any) -> Any:
        made = context.make_array(signature.return_type)(context, builder)
        shape, strides = [_SIZE(_table.size)], [_SIZE(8)]
        populate(made, table_in(builder.module), shape, strides, strides[0], None)
        return made._getvalue()

    return kind(types.int64, 1, "C")(), emit


# Parts have Numba's calling convention: (data, part, parts), the first being the address of their arguments.
_PART_TYPE = types.boolean(*[types.int64] * 3)


@intrinsic
def bind_parts(typing: Any, function: Any, arguments: Any) -> Any:
    """Bind the arguments of ``function(part, parts, *arguments)``: addresses of code and data.

    Both are valid until the caller returns. ``function`` returns True.
    """
    callee = function.get_call_type(typing, (types.int64, types.int64, *arguments), {})
    result = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        data = _tools.alloca_once_value(builder, args[1])
        code = new_part_function(builder.module, f"{builder.function.name}.part")
        inside = ir.IRBuilder(code.append_basic_block())
        address, part, parts = code.args[2:]
        values = inside.load(inside.inttoptr(address, data.type))
        elements = [inside.extract_value(values, n) for n in range(len(arguments))]
        implementation = context.get_function(function, callee)
        succeeded = implementation(inside, [part, parts, *elements])
        context.add_linking_libs(getattr(implementation, "libs", ()))
        context.call_conv.return_value(inside, context.get_return_value(inside, types.boolean, succeeded))
        pair = [builder.ptrtoint(each, _SIZE) for each in (code, data)]
        return context.make_tuple(builder, result, pair)

    return result(function, arguments), emit


def new_part_function(module: ir.Module, name: str) -> ir.Function:
    """A new function with the type of a part."""
    convention = cpu_target.target_context.call_conv
    kind = convention.get_function_type(_PART_TYPE.return_type, _PART_TYPE.args)
    function = ir.Function(module, kind, name=module.get_unique_name(name))
    function.linkage = "internal"
    return function


def call_at(builder: ir.IRBuilder, address: Any, arguments: Sequence[Any]) -> Any:
    """Call the function with the type of a part that is at an address; whether it succeeded."""
    convention = cpu_target.target_context.call_conv
    kind = convention.get_function_type(_PART_TYPE.return_type, _PART_TYPE.args)
    function = builder.inttoptr(address, kind.as_pointer())
    returned = _PART_TYPE.return_type, _PART_TYPE.args
    status, succeeded = convention.call_function(builder, function, *returned, arguments)
    return builder.and_(status.is_ok, succeeded)


@intrinsic
def _call_part(_typing: Any, _code: Any, _data: Any, _part: Any, _parts: Any) -> Any:
    """Call the part at an address; whether it succeeded."""

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return call_at(builder, args[0], args[1:])

    return types.boolean(*[types.int64] * 4), emit


@intrinsic
def share_parts(_typing: Any, _code: Any, _data: Any, _max_parts: Any) -> Any:
    """:func:`run_parts` by its address in the table, which is valid where there are idle workers."""

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        address = builder.load(builder.gep(table_in(builder.module), [_SIZE(RUN_PARTS)]))
        return call_at(builder, address, args)

    return _PART_TYPE, emit


@njit
def run_parts(code: int, data: int, max_parts: int) -> bool:
    """Compute all parts of some work with the idle workers; return whether all succeeded.

    The threads that compute tasks share the idle workers equally.

    Args:
        code: From :func:`bind_parts`.
        data: From :func:`bind_parts`.
        max_parts: The largest number of parts.
    """
    table = worker_table()
    wanted = load(table, IDLE) // max(1, load(table, BUSY)) + 1
    wanted, parts, end = min(wanted, max_parts), 1, _FIRST_SLOT
    claimed = 0
    for number in range(_SLOTS):
        if parts >= wanted:
            break
        slot = _FIRST_SLOT + number * _SLOT_WORDS
        if load(table, slot) == _WAITING and compare_exchange(table, slot, _WAITING, _CLAIMED):
            table[slot + _CODE], table[slot + _DATA], table[slot + _PART] = code, data, parts
            claimed |= 1 << number
            parts += 1
            end = slot + 1
    for slot in range(_FIRST_SLOT, end, _SLOT_WORDS):
        if _is_claimed(claimed, slot):
            table[slot + _PARTS] = parts
            store(table, slot, _READY)
    succeeded = _call_part(code, data, 0, parts)
    for slot in range(_FIRST_SLOT, end, _SLOT_WORDS):
        if _is_claimed(claimed, slot):
            if compare_exchange(table, slot, _READY, _CLAIMED):  # its worker is late, or asleep
                table[slot + _SUCCEEDED] = _call_part(code, data, table[slot + _PART], parts)
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
def count_busy(change: int) -> None:
    """Change the number of threads that share the idle workers."""
    fetch_add(worker_table(), BUSY, change)


@njit
def part_limit(work: int, max_parts: int) -> int:
    """The largest number of parts of some work; 1 without idle workers.

    Args:
        work: Number of multiply-adds.
        max_parts: The number of parts that it can be divided into.
    """
    if worker_table()[IDLE] == 0:
        return 1
    return min(work // MIN_PART, max_parts)


@njit
def enter_slot(table: Array) -> int:
    """Let a worker wait for parts; return its slot, or -1 if there is none."""
    for number in range(_SLOTS):
        slot = _FIRST_SLOT + number * _SLOT_WORDS
        if load(table, slot) == _FREE and compare_exchange(table, slot, _FREE, _WAITING):
            fetch_add(table, IDLE, 1)
            return slot
    return -1


@njit
def compute_part(table: Array, slot: int) -> bool:
    """Compute the part in a worker's slot; return whether there was one."""
    if load(table, slot) != _READY or not compare_exchange(table, slot, _READY, _RUNNING):
        return False
    code, data, part, parts = (
        table[slot + _CODE],
        table[slot + _DATA],
        table[slot + _PART],
        table[slot + _PARTS],
    )
    table[slot + _SUCCEEDED] = _call_part(code, data, part, parts)
    store(table, slot, _DONE)
    return True


@njit
def leave_slot(table: Array, slot: int) -> None:
    """Let a worker leave its slot, after the part that it may have."""
    fetch_add(table, IDLE, -1)
    waited = 0
    while not compare_exchange(table, slot, _WAITING, _FREE):
        compute_part(table, slot)
        waited = spin_wait(waited, table[_YIELD])


def is_worthwhile(product_size: int) -> bool:
    """Whether idle workers should compute parts of products with this number of multiply-adds."""
    is_compiled = not (is_pure_python() or numba.config.DISABLE_JIT)  # type: ignore[attr-defined]
    return is_compiled and product_size >= 2 * MIN_PART


@functools.cache
def enable() -> None:
    """Compile :func:`run_parts` and enter its address in the table, for products of this process."""
    dispatcher: Any = run_parts.dispatcher
    signature = (types.int64,) * 3
    dispatcher.compile(signature)
    overload = dispatcher.overloads[signature]
    _table[_YIELD] = yield_address()
    _table[RUN_PARTS] = overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name)


def _free_all_slots() -> None:
    """Free all slots: a forked child has the table, but no workers."""
    _table[IDLE] = _table[BUSY] = 0
    _table[_FIRST_SLOT::_SLOT_WORDS] = _FREE


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all_slots)
