"""Words of memory that several threads read and write, and what a thread does while it waits for one.

Every word is an int64. Reading acquires and writing releases: what a thread wrote before it wrote a word,
another sees that has read the word.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.intrinsics import intrinsic

_WORD = 8
_YIELD = ir.FunctionType(ir.IntType(32), [])

# Moments in 5 us.
_SHORT = 200

# Tells a core that it waits, so that it saves power and leaves the loop faster: by the start of the target.
_PAUSES: dict[str, tuple[str, tuple[int, ...]]] = {
    "x86_64": ("llvm.x86.sse2.pause", ()),
    "i686": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (1,)),
    "arm64": ("llvm.aarch64.hint", (1,)),
}


@intrinsic
def load(_typing: Any, words: Any, _place: Any) -> Any:
    """``words[place]``, for int64."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature, args), "acquire", _WORD)

    return types.int64(words, types.int64), emit


@intrinsic
def store(_typing: Any, words: Any, _place: Any, _value: Any) -> Any:
    """``words[place] = value``."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(context, builder, signature, args), "release", _WORD)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), emit


@intrinsic
def fetch_add(_typing: Any, words: Any, _place: Any, _value: Any) -> Any:
    """``words[place] += value``; what it was before."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _address(context, builder, signature, args), args[2], "acq_rel")

    return types.int64(words, types.int64, types.int64), emit


@intrinsic
def swap_if(_typing: Any, words: Any, _place: Any, _expected: Any, _value: Any) -> Any:
    """``words[place] = value`` if it is what was expected; whether it was."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        place = _address(context, builder, signature, args)
        return builder.extract_value(builder.cmpxchg(place, args[2], args[3], "acq_rel", "acquire"), 1)

    return types.boolean(words, types.int64, types.int64, types.int64), emit


@intrinsic
def rest(_typing: Any, _waited: Any, _let_others_run: Any) -> Any:
    """Wait a moment, of 25 ns, for another thread; after 5 us it may be waiting for this one's processor.

    Args:
        _waited: What this returned before; at first 0.
        _let_others_run: The address of the system's function that does; 0 if there is none.
    """

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        waited, address = args
        _pause(builder)
        is_long = builder.icmp_signed(">", waited, waited.type(_SHORT))
        is_known = builder.icmp_signed("!=", address, address.type(0))
        with builder.if_then(builder.and_(is_long, is_known)):
            builder.call(builder.inttoptr(address, _YIELD.as_pointer()), [])
        return builder.add(waited, waited.type(1))

    return types.int64(types.int64, types.int64), emit


def _pause(builder: ir.IRBuilder) -> None:
    """Do nothing for a moment."""
    target = builder.module.triple.partition("-")[0]
    if target in _PAUSES:
        name, numbers = _PAUSES[target]
        given = [ir.IntType(32)(number) for number in numbers]
        kind = ir.FunctionType(ir.VoidType(), [number.type for number in given])
        builder.call(builder.module.declare_intrinsic(name, (), kind), given)


def _address(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
    """Where the word is that the first two arguments name."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])
