"""Pairs of bfloat16, the operands of ``vdpbf16ps``: the values of two adjacent k, in 32 bits as int32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import SIZE, ArrayFields, builder_tools
from zoo.kernels.jit import njit
from zoo.kernels.llvm_math import LANE, BFloatType, first_lanes, masked_load, masked_store

_LIKE = np.empty(0, np.int32)
"""An array of the dtype of pairs."""
_LANES = 16
_FLOATS = ir.VectorType(ir.FloatType(), _LANES)


def _by_vectors(builder: ir.IRBuilder, size: Any, body: Callable[[Any, Any], None]) -> None:
    """Emit ``body(start, rest)`` for every 16 elements of a row; ``rest`` is None if all are in the row."""
    whole = builder.and_(size, SIZE(-_LANES))
    with builder_tools.for_range_slice(builder, SIZE(0), whole, SIZE(_LANES), SIZE) as (start, _):
        body(start, None)
    rest = builder.sub(size, whole)
    with builder.if_then(builder.icmp_signed(">", rest, SIZE(0)), likely=False):
        body(whole, rest)


def _load(builder: ir.IRBuilder, address: Any, rest: Any) -> Any:
    pointer = builder.bitcast(address, _FLOATS.as_pointer())
    if rest is None:
        return builder.load(pointer, align=4)
    return masked_load(builder, pointer, first_lanes(builder, rest, _LANES), _FLOATS(None), 4)


def _store(builder: ir.IRBuilder, value: Any, address: Any, count: int, rest: Any) -> None:
    """Store a vector of bfloat16 as pairs, of which ``rest`` are in the row."""
    kind = ir.VectorType(LANE, count)
    pairs, pointer = builder.bitcast(value, kind), builder.bitcast(address, kind.as_pointer())
    if rest is None:
        builder.store(pairs, pointer, align=4)
    else:
        masked_store(builder, pairs, pointer, first_lanes(builder, rest, count), 4)


def _round(builder: ir.IRBuilder, name: str, *values: Any) -> Any:
    """Round vectors of float32 to one vector of bfloat16."""
    result = ir.VectorType(BFloatType(), _LANES * len(values))
    kind = ir.FunctionType(result, [value.type for value in values])
    instruction = f"llvm.x86.avx512bf16.{name}.512"
    return builder.call(builder.module.declare_intrinsic(instruction, (), kind), values)


def _addresses(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> list[Any]:
    """Address of an element of the target and of the source."""
    arrays = [ArrayFields(context, builder, signature.args[n], args[n]) for n in (0, 2)]
    return [builder.gep(array["data"], [args[n]]) for array, n in zip(arrays, (1, 3), strict=True)]


@intrinsic
def _round_row(_typing: Any, pairs: Any, p0: Any, a: Any, a0: Any, size: Any) -> Any:
    """Write pairs of adjacent elements of a row; the partner of the last of an odd number is zero."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        target, source = _addresses(context, builder, signature, args)

        def body(start: Any, rest: Any) -> None:
            rounded = _round(builder, "cvtneps2bf16", _load(builder, builder.gep(source, [start]), rest))
            written = rest and builder.lshr(builder.add(rest, SIZE(1)), SIZE(1))
            address = builder.gep(target, [builder.lshr(start, SIZE(1))])
            _store(builder, rounded, address, _LANES // 2, written)

        _by_vectors(builder, args[4], body)
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (pairs, p0, a, a0, size))), emit


@intrinsic
def _pair_rows(_typing: Any, pairs: Any, p0: Any, a: Any, a0: Any, stride: Any, size: Any) -> Any:
    """Write pairs of the elements of two rows that are ``stride`` elements apart."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        target, source = _addresses(context, builder, signature, args)
        order = [lane // 2 + _LANES * (lane % 2) for lane in range(2 * _LANES)]
        mask = ir.Constant(ir.VectorType(LANE, 2 * _LANES), order)

        def body(start: Any, rest: Any) -> None:
            first = builder.gep(source, [start])
            rows = [_load(builder, each, rest) for each in (first, builder.gep(first, [args[4]]))]
            both = _round(builder, "cvtne2ps2bf16", *reversed(rows))  # the last operand is the low half
            mixed = builder.shuffle_vector(both, both, mask)
            _store(builder, mixed, builder.gep(target, [start]), _LANES, rest)

        _by_vectors(builder, args[5], body)
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (pairs, p0, a, a0, stride, size))), emit


@njit(shared=True)
def pairs_in_rows(a: Array, start: int, stride: int, rows: int, depth: int) -> Array:
    """Pairs of adjacent elements of each row, ``(rows, (depth + 1) // 2)``.

    Args:
        a: Any contiguous array, read in rows ``stride`` elements apart.
        start: The first element of the first row.
        stride: Elements from one row to the next.
        rows: Number of rows.
        depth: Elements of a row; zero is the partner of the last of an odd number.
    """
    pairs = kernels.empty((rows, (depth + 1) // 2), _LIKE)
    for r in range(rows):
        _round_row(pairs, r * pairs.shape[1], a, start + r * stride, depth)
    return pairs


@njit(shared=True)
def pairs_of_rows(a: Array, a0: int, width: int) -> Array:
    """Pairs of adjacent rows of ``a[:, a0 : a0 + width]``, ``((K + 1) // 2, width)`` for K rows."""
    rows, stride = a.shape
    pairs = kernels.empty(((rows + 1) // 2, width), _LIKE)
    for r in range(rows // 2):
        _pair_rows(pairs, r * width, a, 2 * r * stride + a0, stride, width)
    if rows % 2 == 1:
        last = kernels.zeros((2, width), a)  # the partner of the last row is zero
        for n in range(width):
            last[0, n] = a[rows - 1, a0 + n]
        _pair_rows(pairs, rows // 2 * width, last, 0, width, width)
    return pairs


def round_to_bf16(a: Array) -> Array:
    """The nearest bfloat16 numbers as float32, ties to even, as the processor rounds: subnormals to zero."""
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = np.where(np.isnan(a), bits | np.uint32(0x400000), rounded)
    rounded = np.where(np.abs(a) < np.finfo(np.float32).tiny, bits & np.uint32(0x80000000), rounded)
    values: Array = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
    return values


def add_products(a: Array, b: Array, c: Array) -> None:
    """``c += a @ b`` for bfloat16 numbers ``a (M, K)`` and ``b (K, N)``: the bits of the processor, in NumPy.

    ``vdpbf16ps`` adds the second product of a pair before the first. Each sum is rounded once to float32, as
    by a fused multiply-add. Subnormal operands and sums are zero. The last sum is a float32 addition to c.
    """
    rows, depth = a.shape
    left, right = np.zeros((rows, depth + depth % 2)), np.zeros((depth + depth % 2, b.shape[1]))
    left[:, :depth], right[:depth] = a, b
    total = np.zeros(c.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, depth, 2):
            for k in (first + 1, first):
                # In float64 the product is exact, and the sum is too wherever a float32 would be a tie.
                total = _flush(total + left[:, k : k + 1] * right[k])
        c += total.astype(np.float32)


def _flush(total: Array) -> Array:
    """Round float64 sums to float32, and subnormal ones to zero."""
    smallest = float(np.finfo(np.float32).tiny) * (1 - 2.0**-25)  # rounds to a normal number
    flushed = np.where(np.abs(total) < smallest, np.copysign(0.0, total), total)
    with np.errstate(over="ignore"):
        return flushed.astype(np.float32).astype(np.float64)
