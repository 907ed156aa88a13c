"""The register tile: the one loop in which nearly all the time of zoo is spent.

``c[:rows, :columns] += a @ b`` with all of c in vector registers while k runs: per k, ``VECTORS`` loads of a packed panel
of b, ``rows`` broadcasts of a, and ``rows * VECTORS`` fused multiply-adds. On packed weights it reaches 98 % of one
core's peak, where OpenBLAS, which packs anew at every call, reaches 20 to 70 % at the sizes of recurrent cells.
Written as LLVM vector code, since LLVM's own vectoriser finds neither the register block nor the broadcasts.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

VECTORS = 2


@functools.cache
def _features() -> frozenset[str]:
    """Instruction-set features of the processor that Numba compiles for (``NUMBA_CPU_NAME`` restricts them)."""
    return frozenset(cpu_target.target_context.codegen().magic_tuple()[2].split(","))


def lanes(dtype: Any) -> int:
    """Numbers of this Numba type in one vector register."""
    register = 64 if "+avx512f" in _features() else 32 if "+avx" in _features() else 16
    return register * 8 // int(dtype.bitwidth)


def tile_rows() -> int:
    """Rows of the tile: accumulators, a panel's vectors and a broadcast must fit in the registers, 32 or 16."""
    return 8 if "+avx512f" in _features() or not _features() & {"+sse2"} else 4


@functools.cache
def make_tile(rows: int) -> Any:
    """The intrinsic ``tile(a, a0, row_stride, k_stride, b, b0, depth, c, c0, ldc)`` for a number of rows.

    All arrays are flat. Row r, step k of a is at ``a0 + r * row_stride + k * k_stride``; the panel b starts at ``b0`` and
    holds ``VECTORS`` vectors a step; row r of c starts at ``c0 + r * ldc``.
    """

    @intrinsic
    def tile(
        typing: Any, a: Any, a0: Any, row_stride: Any, k_stride: Any, b: Any, b0: Any, depth: Any, c: Any, c0: Any, ldc: Any
    ) -> Any:
        signature = types.void(a, types.intp, types.intp, types.intp, b, types.intp, types.intp, c, types.intp, types.intp)
        return signature, functools.partial(_emit, rows)

    return tile


def _emit(rows: int, context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
    a_type, _, _, _, b_type, _, _, c_type, _, _ = signature.args
    a_array, a0, row_stride, k_stride, b_array, b0, depth, c_array, c0, ldc = args
    a = _pointer(context, builder, a_type, a_array, a0)
    b = _pointer(context, builder, b_type, b_array, b0)
    c = _pointer(context, builder, c_type, c_array, c0)
    scalar = context.get_value_type(a_type.dtype)
    width = lanes(a_type.dtype)
    vector = ir.VectorType(scalar, width)
    size = a_type.dtype.bitwidth // 8
    name = f"llvm.fma.v{width}f{a_type.dtype.bitwidth}"
    fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
    undefined, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), width), None)

    def at(base: Any, index: Any) -> Any:
        return builder.gep(base, [index])

    def load(base: Any, index: Any) -> Any:
        return builder.load(builder.bitcast(at(base, index), vector.as_pointer()), align=size)

    def constant(value: int) -> Any:
        return ir.Constant(depth.type, value)

    places = [
        [builder.add(builder.mul(ldc, constant(r)), constant(v * width)) for v in range(VECTORS)] for r in range(rows)
    ]
    sums = [[cgutils.alloca_once_value(builder, load(c, place)) for place in row] for row in places]
    with cgutils.for_range(builder, depth, intp=depth.type) as loop:
        step = builder.mul(loop.index, constant(VECTORS * width))
        panel = [load(b, builder.add(step, constant(v * width))) for v in range(VECTORS)]
        column = builder.mul(loop.index, k_stride)
        for r in range(rows):
            value = builder.load(at(a, builder.add(column, builder.mul(row_stride, constant(r)))))
            spread = builder.shuffle_vector(builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0)), undefined, zeros)
            for total, vectors in zip(sums[r], panel, strict=True):
                builder.store(builder.call(fma, [spread, vectors, builder.load(total)]), total)
    for row, row_places in zip(sums, places, strict=True):
        for total, place in zip(row, row_places, strict=True):
            builder.store(builder.load(total), builder.bitcast(at(c, place), vector.as_pointer()), align=size)
    return context.get_dummy_value()


def _pointer(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, offset: Any) -> Any:
    """Address of an element of a flat array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])
