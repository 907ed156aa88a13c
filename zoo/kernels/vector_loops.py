"""Loops over the elements of a few rows of one length, as vector instructions.

LLVM vectorises such loops itself, but not well for rows of some dozens of elements. It takes four vectors at
a time, computes the rest of the row element by element, and tests whether rows overlap. A sum of 32 products
took three times as long as one of 64 (AVX-512, float32). These loops take one vector at a time, and the rest
of a row as a vector with a mask.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.instructions import SIZE, ArrayFields, builder_tools, emitted_by, is_contiguous
from zoo.kernels.llvm_math import (
    IRValue,
    broadcast,
    element_size,
    first_lanes,
    masked_load,
    masked_store,
)
from zoo.kernels.processor import lanes

Formula = Callable[..., tuple[Any, ...]]


def vector_loop(written: int, read: int, sums: int = 0) -> Callable[[Formula], Callable[..., Any]]:
    """Decorate the formula of one element of a loop.

    The loop takes the rows that it writes, the rows that it reads and numbers, like the formula. The formula
    returns the new elements of the rows that are written, then a term of each sum. The loop returns the sum,
    or a tuple of several.

    Args:
        written: Rows that the loop writes. A row may be the same array as another.
        read: Rows that it only reads.
        sums: Sums.
    """
    rows = written + read

    def decorate(formula: Formula) -> Callable[..., Any]:
        def plain(*operands: Any) -> Any:
            results = formula(*operands)
            totals = tuple(np.sum(terms, dtype=operands[0].dtype) for terms in results[written:])
            for row, value in zip(operands[:written], results, strict=False):
                row[:] = value
            return (totals if sums > 1 else totals[0]) if sums else None

        def emitter(_typing: Any, *kinds: Any) -> Any:
            if not all(is_contiguous(kind) and kind.ndim == 1 for kind in kinds[:rows]):
                return None
            dtype = kinds[0].dtype
            several: Any = types.UniTuple
            result = (types.void, dtype)[sums] if sums < 2 else several(dtype, sums)
            signature = result(*kinds[:rows], *([dtype] * (len(kinds) - rows)))

            def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
                fields = zip(kinds[:rows], args[:rows], strict=True)
                arrays = [ArrayFields(context, builder, kind, value) for kind, value in fields]
                totals = _emit_loop(builder, arrays, args[rows:], lanes(dtype), formula, written, sums)
                if sums > 1:
                    return context.make_tuple(builder, result, totals)
                return totals[0] if sums else context.get_dummy_value()

            return signature, emit

        functools.update_wrapper(plain, formula)
        operands = inspect.signature(formula).parameters.values()
        typing = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        emitter.__signature__ = inspect.Signature([typing, *operands])  # type: ignore[attr-defined]
        return emitted_by(emitter)(plain)

    return decorate


def _emit_loop(
    builder: ir.IRBuilder,
    arrays: Sequence[ArrayFields],
    numbers: Sequence[Any],
    count: int,
    formula: Formula,
    written: int,
    sums: int,
) -> list[Any]:
    """The loop; the values of its sums."""
    scalar = arrays[0]["data"].type.pointee
    width = element_size(scalar)
    vector = ir.VectorType(scalar, count)
    pointers = [builder.bitcast(array["data"], vector.as_pointer()) for array in arrays]
    operands = [IRValue(builder, broadcast(builder, number, count)) for number in numbers]
    totals = [builder_tools.alloca_once_value(builder, vector(None)) for _ in range(sums)]

    def body(index: Any, mask: Any) -> None:
        addresses = [builder.gep(pointer, [index]) for pointer in pointers]
        rows = [
            builder.load(address, align=width)
            if mask is None
            else masked_load(builder, address, mask, vector(None), width)
            for address in addresses
        ]
        results = formula(*(IRValue(builder, row) for row in rows), *operands)
        for value, address in zip(results[:written], addresses, strict=False):
            if mask is None:
                builder.store(value.value, address, align=width)
            else:
                masked_store(builder, value.value, address, mask, width)
        for total, term in zip(totals, results[written:], strict=True):
            builder.store((IRValue(builder, builder.load(total)) + term).value, total)

    length = arrays[0].shape[0]
    whole = builder.udiv(length, SIZE(count))
    with builder_tools.for_range(builder, whole) as loop:
        body(loop.index, None)
    rest = builder.sub(length, builder.mul(whole, SIZE(count)))
    with builder.if_then(builder.icmp_unsigned("!=", rest, SIZE(0))):
        body(whole, first_lanes(builder, rest, count))
    return [sum_lanes(builder, builder.load(total), scalar, count) for total in totals]


def sum_lanes(builder: ir.IRBuilder, value: Any, scalar: Any, count: int) -> Any:
    """The sum of the lanes of a vector."""
    name = f"llvm.vector.reduce.fadd.v{count}f{32 if scalar == ir.FloatType() else 64}"
    kind = ir.FunctionType(scalar, [scalar, value.type])
    function = builder_tools.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [scalar(0.0), value], fastmath=("reassoc",))
