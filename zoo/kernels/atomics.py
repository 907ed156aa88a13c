"""Atomic operations on int64 words, and waiting for another thread, in compiled code.

Loads acquire and stores release: a thread that has read a word sees everything that another thread wrote
before it wrote that word.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.float_formats import intrinsic

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


@functools.cache
def yield_address() -> int:
    """Address of the system's function that yields the processor; 0 if there is none."""
    library, name = ("kernel32", "SwitchToThread") if sys.platform == "win32" else (None, "sched_yield")
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.cast(getattr(ctypes.CDLL(library), name), ctypes.c_void_p).value or 0
    return 0
