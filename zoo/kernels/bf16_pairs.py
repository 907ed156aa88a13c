"""Pairs of bfloat16, the operands of matrix products: the values of two adjacent k, in 32 bits as int32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.amx_microkernel import DEPTH
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.gemm_microkernel import block_size, copy_transposed
from zoo.kernels.instructions import SIZE, ArrayFields, builder_tools
from zoo.kernels.jit import njit
from zoo.kernels.llvm_math import LANE, BFloatType, first_lanes, masked_load, masked_store
from zoo.kernels.processor import has_amx

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


@intrinsic
def _pairs_multiple(_typing: Any) -> Any:
    """The number of pairs of which the depth of operands is a multiple, a compile-time constant."""
    return types.intp(), lambda context, *_: context.get_constant(types.intp, DEPTH if has_amx() else 1)


@njit(inline=True)
def _padded_pairs(depth: int) -> int:
    """Pairs of a number of elements, with the zeros that follow them."""
    multiple: int = _pairs_multiple()
    return ((depth + 1) // 2 + multiple - 1) // multiple * multiple


@njit(shared=True)
def pairs_in_rows(a: Array, start: int, stride: int, rows: int, depth: int) -> Array:
    """Pairs of adjacent elements of each row, ``(rows, K)``.

    Args:
        a: Any contiguous array, read in rows ``stride`` elements apart.
        start: The first element of the first row.
        stride: Elements from one row to the next.
        rows: Number of rows.
        depth: Elements of a row. Zero is the partner of the last of an odd number. On AMX, zeros extend the
            row to a multiple of 16 pairs; K is ``(depth + 1) // 2`` otherwise.
    """
    pairs = kernels.empty((rows, _padded_pairs(depth)), _LIKE)
    flat, width = kernels.flat(pairs), pairs.shape[1]
    for r in range(rows):
        _round_row(pairs, r * width, a, start + r * stride, depth)
        for n in range(r * width + (depth + 1) // 2, (r + 1) * width):
            flat[n] = 0
    return pairs


@njit(shared=True)
def pairs_of_rows(a: Array, a0: int, width: int, start: int, count: int) -> Array:
    """Pairs of adjacent rows of ``a[start : start + count, a0 : a0 + width]``, ``(K, width)``.

    Zero is the partner of the last of an odd number of rows. On AMX, rows of zeros extend K to a multiple of
    16; it is ``(count + 1) // 2`` otherwise.
    """
    stride = a.shape[1]
    pairs = kernels.empty((_padded_pairs(count), width), _LIKE)
    for r in range(count // 2):
        _pair_rows(pairs, r * width, a, (start + 2 * r) * stride + a0, stride, width)
    if count % 2 == 1:
        last = kernels.zeros((2, width), a)
        for n in range(width):
            last[0, n] = a[start + count - 1, a0 + n]
        _pair_rows(pairs, count // 2 * width, last, 0, width, width)
    flat = kernels.flat(pairs)
    for n in range((count + 1) // 2 * width, flat.size):
        flat[n] = 0
    return pairs


@njit(shared=True)
def pairs_in_columns(a: Array, a0: int, width: int, start: int, count: int) -> Array:
    """The transpose of :func:`pairs_of_rows`, ``(width, K)``."""
    rows = pairs_of_rows(a, a0, width, start, count)
    depth, block = rows.shape[0], block_size(rows)
    pairs = kernels.empty((width, depth), _LIKE)
    whole, whole_depth = width // block * block, depth // block * block
    for n in range(0, whole, block):
        for k in range(0, whole_depth, block):
            copy_transposed(pairs, n * depth + k, depth, rows, k * width + n, width)
    target, source = kernels.flat(pairs), kernels.flat(rows)
    for n in range(width):
        for k in range(whole_depth if n < whole else 0, depth):
            target[n * depth + k] = source[k * width + n]
    return pairs


def round_to_bf16(a: Array) -> Array:
    """The nearest bfloat16 numbers as float32, ties to even, as the processor rounds: subnormals to zero."""
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = np.where(np.isnan(a), bits | np.uint32(0x400000), rounded)
    rounded = np.where(np.abs(a) < np.finfo(np.float32).tiny, bits & np.uint32(0x80000000), rounded)
    values: Array = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
    return values


def add_products(a: Array, b: Array, c: Array, on_tiles: bool | None = None) -> None:
    """``c += a @ b`` for bfloat16 numbers ``a (M, K)`` and ``b (K, N)``: the bits of the processor, in NumPy.

    Each sum is rounded once to float32, as by a fused multiply-add. Subnormal operands and sums are zero.
    ``vdpbf16ps`` adds the second product of a pair before the first, and the sum of all is added to c.
    ``tdpbf16ps`` of AMX sums the first and the second products of 16 pairs, and adds the total of both to c.
    See ``TDPBF16PS`` in Intel's Software Developer's Manual, volume 2.

    Args:
        a: Left operand.
        b: Right operand.
        c: Changed.
        on_tiles: Whether to sum as AMX. None if this processor has it.
    """
    if has_amx() if on_tiles is None else on_tiles:
        for first in range(0, a.shape[1], 2 * DEPTH):
            block = slice(first, first + 2 * DEPTH)
            left, right = _pad(a[:, block], 2 * DEPTH), _pad(b[block].T, 2 * DEPTH).T
            even, odd = (_sum_products(left[:, n::2], right[n::2]) for n in (0, 1))
            c[...] = _flush(_flush(c.astype(np.float64)) + _flush(even + odd))
    else:
        left, right = _pad(a, 2), _pad(b.T, 2).T
        order = np.arange(left.shape[1]) ^ 1
        c += _sum_products(left[:, order], right[order]).astype(np.float32)


def _pad(rows: Array, step: int) -> Array:
    """The rows as float64, with zeros up to a multiple of ``step`` elements."""
    return np.pad(rows.astype(np.float64), ((0, 0), (0, -rows.shape[1] % step)))


def _sum_products(a: Array, b: Array) -> Array:
    """``a @ b`` in the order of k."""
    total = np.zeros((len(a), b.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for left, right in zip(a.T, b, strict=True):
            # In float64 the product is exact, and the sum is too wherever a float32 would be a tie.
            total = _flush(total + left[:, np.newaxis] * right)
    return total


def _flush(total: Array) -> Array:
    """Round float64 sums to float32, and subnormal ones to zero."""
    smallest = float(np.finfo(np.float32).tiny) * (1 - 2.0**-25)  # rounds to a normal number
    flushed = np.where(np.abs(total) < smallest, np.copysign(0.0, total), total)
    with np.errstate(over="ignore", invalid="ignore"):
        return flushed.astype(np.float32).astype(np.float64)
