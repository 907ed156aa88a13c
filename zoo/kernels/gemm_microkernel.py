"""The GEMM micro-kernel: a register tile, the loop in which zoo spends nearly all its time.

``c[:rows, :columns] += a @ b`` with all sums in vector registers while k runs: per k, a few loads of a
packed panel of b, a broadcast of a for each row, and one fused multiply-add per sum. On packed weights it
reaches 93 to 98 % of one core's peak with 4 rows and more, on AVX2 and AVX-512. OpenBLAS, which packs at
every call, reaches 20 to 70 % at the sizes of recurrent cells. A core has about eight multiply-adds in
flight, so fewer rows take more vectors at once. A single row is then limited by loading its weights from the
cache. It is written as LLVM vector code, since LLVM's vectoriser finds neither the register block nor the
broadcasts. Every element of ``a @ b`` is one sum in the order of k, in whatever tile, and is then added to c,
or to the element of a row such as a bias.

Operands of int32 are pairs of bfloat16, whose two products take one instruction (zoo.kernels.bf16_pairs).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.llvm_math import LANE, BFloatType, broadcast, first_lanes, masked_load, masked_store
from zoo.kernels.processor import lanes, target_processor, vector_registers
from zoo.kernels.product_emitter import (
    INDEX,
    SCALARS,
    ProductEmitter,
    index_range,
    internal_function,
    is_null,
    mark_distinct,
    minimum,
    sum_type,
)

_MIN_VECTOR_BYTES = 16
"""Bytes of the smallest vector, for columns that fit into it."""
_EDGE_ROWS = 8
"""Rows of a one-vector tile: with fewer, a multiply-add would wait for the previous one."""


@dataclass(frozen=True)
class TileShape:
    """The tiles of a processor. Their sums, and what a step of k reads, fit in its vector registers.

    Args:
        vectors: Vectors in a row of a panel.
        widths: For 1, 2, ... rows, the numbers of vectors of their tiles, wide ones first.
    """

    vectors: int
    widths: tuple[tuple[int, ...], ...]

    @property
    def height(self) -> int:
        """Rows of the tallest tile."""
        return len(self.widths)

    @property
    def max_panels(self) -> int:
        """Panels that all rows multiply before the next ones. The widest tile fills them."""
        return self.panels(self.widths[0][0])

    def panels(self, width: int) -> int:
        """The smallest number of whole panels that tiles of this many vectors fill."""
        return math.lcm(width, self.vectors) // self.vectors


# A matrix of 512 columns comes from the third-level cache, which a core reads faster as two streams: with
# tiles of 2 instead of 4 vectors, 5 rows reached 235 instead of 250 GF/s on an AMD EPYC (Zen 5). Tiles of 3
# rows and 8 vectors have too few registers: 175 instead of 250 GF/s for 128 columns.
AVX512_TILES = TileShape(2, ((16, 8, 4, 2), (8, 4, 2), (4, 2), (4, 2), (4, 2), (4, 2), (2,), (2,)))
# The main tiles have at least nine sums, and tiles for leftover rows and columns have fewer. With eight sums,
# of 4 rows and 2 vectors, a core always waited for one of them. On an AMD EPYC (Zen 3), 3, 4, 6 and 8 rows
# reach 89, 97, 99 and 98 of 104 GF/s, not 73, 87, 74 and 90. Other tiles were compared there over 36 products
# of 1 to 32 rows and two gradients (geometric means): up to 4, 5 or 7 rows 0.86 to 0.88, one vector in a
# panel with up to 12 rows 0.86, three vectors with up to 4 or 5 rows 0.99 and 0.87, four vectors 0.77; three
# rows of four vectors instead of three 1.01. So tuning on each machine would choose these again.
AVX_TILES = TileShape(2, ((12, 4, 2), (6, 4, 2), (3, 2), (3, 2), (2,), (2,)))
# SSE needs an extra instruction for a broadcast, and more copies: fewer rows of more vectors took it from
# 0.65 to 0.70 of peak. Six other tiles reach 0.87 to 0.99 of this one.
SSE_TILES = TileShape(4, ((8, 4), (4,)))


@functools.cache
def tile_shape() -> TileShape:
    """The tiles of the processor that Numba compiles for."""
    if vector_registers() == 32:
        return AVX512_TILES
    return AVX_TILES if "+avx" in target_processor().features else SSE_TILES


@intrinsic
def panel_width(_typing: Any, like: Any) -> Any:
    """Columns of a panel for the dtype of ``like``, a compile-time constant."""
    columns = tile_shape().vectors * lanes(like.dtype)
    return types.intp(like), lambda context, *_: context.get_constant(types.intp, columns)


@intrinsic
def tile_height(_typing: Any) -> Any:
    """Rows of a tile of many rows, a compile-time constant."""
    return types.intp(), lambda context, *_: context.get_constant(types.intp, tile_shape().height)


def _make_copy(count: Callable[[Any], int]) -> Any:
    """An intrinsic that copies a constant number of elements in as few instructions as possible."""

    @intrinsic
    def copy(_typing: Any, target: Any, t0: Any, source: Any, s0: Any) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            arrays = [context.make_array(signature.args[n])(context, builder, args[n]) for n in (0, 2)]
            to, start = [builder.gep(array.data, [args[n]]) for array, n in zip(arrays, (1, 3), strict=True)]
            _copy_bytes(builder, to, start, INDEX(count(target.dtype) * int(target.dtype.bitwidth) // 8))
            return context.get_dummy_value()

        return types.void(*map(types.unliteral, (target, t0, source, s0))), emit

    return copy


@intrinsic
def copy_panel_part(_typing: Any, target: Any, t0: Any, source: Any, s0: Any, size: Any) -> Any:
    """Copy ``size`` elements to the front of a panel's row, and pad it with zeros."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        count, width = lanes(target.dtype), int(target.dtype.bitwidth) // 8
        vector = ir.VectorType(SCALARS[target.dtype], count)
        to, start = (
            builder.bitcast(builder.gep(array.data, [args[n + 1]]), vector.as_pointer())
            for n in (0, 2)
            for array in [context.make_array(signature.args[n])(context, builder, args[n])]
        )
        for v in range(tile_shape().vectors):
            mask = first_lanes(builder, args[4], count, v * count)
            value = masked_load(
                builder, builder.gep(start, [INDEX(v)]), mask, ir.Constant(vector, None), width
            )
            builder.store(value, builder.gep(to, [INDEX(v)]), align=width)
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (target, t0, source, s0, size))), emit


copy_panel_row = _make_copy(lambda dtype: tile_shape().vectors * lanes(dtype))
copy_tile_column = _make_copy(lambda _: tile_shape().height)


@intrinsic
def block_size(_typing: Any, like: Any) -> Any:
    """Side of the square block of :func:`copy_transposed`, a compile-time constant."""
    return types.intp(like), lambda context, *_: context.get_constant(types.intp, lanes(like.dtype))


@intrinsic
def copy_transposed(_typing: Any, target: Any, t0: Any, t_row: Any, source: Any, s0: Any, s_row: Any) -> Any:
    """Transpose a square block of :func:`block_size` rows and columns into another array.

    Both arrays are flat; their blocks start at ``t0`` and ``s0``, and rows are ``t_row`` and ``s_row`` apart.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        count, size = lanes(target.dtype), int(target.dtype.bitwidth) // 8
        vector = ir.VectorType(SCALARS[target.dtype], count)

        def rows(n: int) -> list[Any]:
            data = context.make_array(signature.args[n])(context, builder, args[n]).data
            starts = (builder.add(args[n + 1], builder.mul(args[n + 2], INDEX(r))) for r in range(count))
            return [builder.bitcast(builder.gep(data, [start]), vector.as_pointer()) for start in starts]

        columns = _transpose(builder, [builder.load(row, align=size) for row in rows(3)])
        for value, pointer in zip(columns, rows(0), strict=True):
            builder.store(value, pointer, align=size)
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (target, t0, t_row, source, s0, s_row))), emit


def _transpose(builder: ir.IRBuilder, rows: list[Any]) -> list[Any]:
    """Transpose a square matrix of row vectors: pairs of rows exchange halves, quarters, and so on."""
    count = len(rows)
    for distance in (1 << step for step in range(count.bit_length() - 1)):
        even = [lane if not lane & distance else count + lane - distance for lane in range(count)]
        odd = [lane + distance if not lane & distance else count + lane for lane in range(count)]
        masks = [ir.Constant(ir.VectorType(LANE, count), mask) for mask in (even, odd)]
        rows = [
            builder.shuffle_vector(rows[n & ~distance], rows[n | distance], masks[bool(n & distance)])
            for n in range(count)
        ]
    return rows


def _copy_bytes(builder: ir.IRBuilder, target: Any, source: Any, size: Any) -> None:
    """Copy bytes between addresses that do not overlap."""
    byte_pointer = ir.IntType(8).as_pointer()
    memcpy = builder.module.declare_intrinsic("llvm.memcpy", [byte_pointer, byte_pointer, INDEX])
    pointers = [builder.bitcast(pointer, byte_pointer) for pointer in (target, source)]
    builder.call(memcpy, [*pointers, size, ir.IntType(1)(0)])


def sum_vector(dtype: Any) -> ir.VectorType:
    """The LLVM type of a vector of sums of products of operands."""
    return ir.VectorType(sum_type(dtype), lanes(dtype))


def emit_multiply_add(builder: ir.IRBuilder, dtype: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` for vectors of :func:`sum_vector`, fused if the processor supports it.

    For int32, a and b hold pairs of bfloat16: ``c + a[1] * b[1] + a[0] * b[0]``, in this order, each sum
    rounded.
    """
    kind, operands = c.type, [a, b, c]
    if dtype == types.int32:
        pairs = ir.VectorType(BFloatType(), 2 * kind.count)
        operands = [c, builder.bitcast(a, pairs), builder.bitcast(b, pairs)]
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * kind.count}"
    else:
        name = f"llvm.fmuladd.v{kind.count}f{64 if kind.element == ir.DoubleType() else 32}"
    signature = ir.FunctionType(kind, [operand.type for operand in operands])
    return builder.call(builder.module.declare_intrinsic(name, (), signature), operands)


@dataclass(frozen=True)
class _MicroTile:
    """Rows of c, and their vectors: all of some panels, or the first few of a single panel.

    Args:
        rows: Row indices.
        vectors: For each vector of a row, the index of its panel and its index in the panel.
        vector: The vector type.
        masks: Lanes of each vector that are inside c; empty if all are.
    """

    rows: list[Any]
    vectors: list[tuple[Any, int]]
    vector: ir.VectorType
    masks: list[Any]


class VectorEmitter(ProductEmitter):
    """Emit a product on vectors, in the tiles of :func:`tile_shape`."""

    def __init__(self, builder: ir.IRBuilder, dtype: Any, arguments: Sequence[Any]) -> None:
        super().__init__(builder, dtype, arguments)
        self.vector, self.size = sum_vector(dtype), int(dtype.bitwidth) // 8
        self.columns = INDEX(tile_shape().vectors * self.vector.count)
        self.block_rows = tile_shape().height
        self.panel = builder.mul(self.depth, self.columns)

    def emit(self) -> None:
        """Compute whole panels in the tallest tiles if they hold all rows, and call another function else."""
        builder, shape = self.builder, tile_shape()
        remainder = self._define_remainder()
        whole = builder.sdiv(self.width, self.columns)
        partial = builder.icmp_signed("!=", builder.mul(whole, self.columns), self.width)
        with builder.if_else(self._is_multiple_of_height()) as (tall, other):
            with tall:
                rows = INDEX(0), self.rows, shape.height
                self._sweep((INDEX(0), whole, 1), rows, (shape.widths[-1][0], self.vector))
                with builder.if_then(partial, likely=False):
                    builder.call(remainder, self.arguments)
            with other:
                builder.call(remainder, self.arguments)

    def _define_remainder(self) -> ir.Function:
        """Define the function that computes the other products."""
        name = f"{self.builder.function.name}.remainder"
        function = internal_function(self.builder.module, self.dtype, name)
        # Unrolled, these loops took twice as long to compile, and were up to 4 % faster.
        function.attributes.add("optsize")
        mark_distinct(function)
        builder = ir.IRBuilder(function.append_basic_block())
        VectorEmitter(builder, self.dtype, function.args)._emit_remainder()
        builder.ret_void()
        return function

    def _emit_remainder(self) -> None:
        """Compute whole panels in tiles of fewer rows, several panels at once; then a partial panel."""
        builder, max_panels = self.builder, tile_shape().max_panels
        whole = builder.sdiv(self.width, self.columns)
        height, split = self.split_rows()
        # A few panels for all rows, then the next: the weights come from a distant cache once.
        end = builder.select(self._is_multiple_of_height(), INDEX(0), whole)
        with (
            index_range(builder, INDEX(0), end, max_panels) as first,
            index_range(builder, INDEX(0), INDEX(2), 1) as n,
        ):
            last = minimum(builder, builder.add(first, INDEX(max_panels)), whole)
            is_first = builder.icmp_signed("==", n, INDEX(0))
            start, stop = (
                builder.select(is_first, INDEX(0), split),
                builder.select(is_first, split, self.rows),
            )
            self._emit_tiles((first, last), (start, stop), builder.sub(height, n))
        rest = builder.sub(self.width, builder.mul(whole, self.columns))
        with builder.if_then(builder.icmp_signed(">", rest, INDEX(0)), likely=False):
            few = ir.VectorType(self.vector.element, _MIN_VECTOR_BYTES // self.size)
            shapes = [(1, self.vector), (tile_shape().vectors, self.vector)]
            self._emit_edge(whole, rest, shapes if few == self.vector else [(1, few), *shapes])

    def _is_multiple_of_height(self) -> Any:
        """Whether the rows fill tiles of the full height."""
        rest = self.builder.urem(self.rows, INDEX(tile_shape().height))
        return self.builder.icmp_signed("==", rest, INDEX(0))

    def _emit_tiles(self, panels: tuple[Any, Any], rows: tuple[Any, Any], height: Any) -> None:
        """Tiles of whole panels, of a height that is known when the product is computed."""
        builder, shape = self.builder, tile_shape()
        end = builder.append_basic_block("tiles.end")
        choice = builder.switch(height, end)
        for case in range(1, shape.height + 1):
            block = builder.append_basic_block(f"tiles.{case}")
            choice.add_case(INDEX(case), block)
            builder.position_at_end(block)
            first, last = panels
            for width in shape.widths[case - 1]:
                group = shape.panels(width)
                whole = builder.mul(builder.udiv(builder.sub(last, first), INDEX(group)), INDEX(group))
                stop = builder.add(first, whole)
                self._sweep((first, stop, group), (*rows, case), (width, self.vector))
                first = stop
            builder.branch(end)
        builder.position_at_end(end)

    def _emit_edge(self, panel: Any, rest: Any, shapes: list[tuple[int, ir.VectorType]]) -> None:
        """The partial panel, in the smallest shape that holds its columns."""
        builder = self.builder
        (vectors, vector), *larger = shapes
        if not larger:
            self._sweep_edge(panel, rest, vectors, vector)
            return
        fits = builder.icmp_signed("<=", rest, INDEX(vectors * vector.count))
        with builder.if_else(fits) as (fit, no_fit):
            with fit:
                self._sweep_edge(panel, rest, vectors, vector)
            with no_fit:
                self._emit_edge(panel, rest, larger)

    def _sweep_edge(self, panel: Any, rest: Any, vectors: int, vector: ir.VectorType) -> None:
        """The partial panel by tiles whose height is the tallest power of two, and the last rows by halves.

        Taking the rest of a single row at once is no faster, since its weights come from the second-level
        cache: with four panels, 21 instead of 17 us for 25 steps of 100 columns; with all vectors, also 17,
        and 0.1 s more to compile.
        """
        builder, count = self.builder, vector.count
        masks = [first_lanes(builder, rest, count, v * count) for v in range(vectors)]
        height = _EDGE_ROWS if vectors == 1 else 1 << (tile_shape().height.bit_length() - 1)
        panels, start = (panel, builder.add(panel, INDEX(1)), 1), INDEX(0)
        while height:
            stop = builder.and_(self.rows, INDEX(-height))
            self._sweep(panels, (start, stop, height), (vectors, vector), masks)
            start, height = stop, height // 2

    def _sweep(
        self,
        panels: tuple[Any, Any, int],
        rows: tuple[Any, Any, int],
        shape: tuple[int, ir.VectorType],
        masks: Sequence[Any] = (),
    ) -> None:
        """Tiles of ``rows[2]`` rows that fill ``panels[2]`` panels, over both ranges."""
        builder, (width, vector), in_panel = self.builder, shape, tile_shape().vectors
        with index_range(builder, *panels) as panel, index_range(builder, *rows) as row:
            row_indices = [builder.add(row, INDEX(r)) for r in range(rows[2])]
            for start in range(0, panels[2] * in_panel if not masks else width, width):
                positions = [divmod(v, in_panel) for v in range(start, start + width)]
                vectors = [(builder.add(panel, INDEX(p)), v) for p, v in positions]
                self._add_tile(_MicroTile(row_indices, vectors, vector, list(masks)))

    def _add_tile(self, tile: _MicroTile) -> None:
        builder = self.builder
        addends, pointers = (
            [self._vectors(tile, builder.gep(start, [builder.mul(r, ld)]), self.columns) for r in tile.rows]
            for start, ld in ((self.addend, self.ld_addend), (self.c, self.ldc))
        )
        with builder.goto_entry_block():
            sums = [[builder.alloca(tile.vector) for _ in tile.vectors] for _ in pointers]
        for total in itertools.chain(*sums):
            builder.store(ir.Constant(tile.vector, None), total)
        with index_range(builder, INDEX(0), self.depth, 1) as k:
            self._add_products(tile, k, sums)
        # The addend last: its loads from a distant cache overlap the next tile. Sums that began with c had to
        # wait for it, and the gradient of a matrix of 512 by 2048 took 1.08 times as long on an AMD EPYC
        # (Zen 3).
        with builder.if_else(is_null(builder, self.addend)) as (only_products, with_addend):
            with only_products:
                for row, totals in zip(pointers, sums, strict=True):
                    self._store(tile, [builder.load(total) for total in totals], row)
            with with_addend:
                for addend, row, totals in zip(addends, pointers, sums, strict=True):
                    pairs = zip(self._load(tile, addend), totals, strict=True)
                    values = [builder.fadd(before, builder.load(total)) for before, total in pairs]
                    self._store(tile, values, row)

    def _load(self, tile: _MicroTile, pointers: list[Any]) -> list[Any]:
        """Load vectors; in a partial panel, zeros outside c."""
        if not tile.masks:
            return [self.builder.load(pointer, align=self.size) for pointer in pointers]
        zeros, masked = ir.Constant(tile.vector, None), zip(pointers, tile.masks, strict=True)
        return [masked_load(self.builder, pointer, mask, zeros, self.size) for pointer, mask in masked]

    def _store(self, tile: _MicroTile, values: list[Any], pointers: list[Any]) -> None:
        """Store vectors; in a partial panel, only inside c."""
        for v, (value, pointer) in enumerate(zip(values, pointers, strict=True)):
            if tile.masks:
                masked_store(self.builder, value, pointer, tile.masks[v], self.size)
            else:
                self.builder.store(value, pointer, align=self.size)

    def _add_products(self, tile: _MicroTile, k: Any, sums: list[Any]) -> None:
        """Add step k to every sum of a tile."""
        builder = self.builder
        step = builder.gep(self.b, [builder.mul(k, self.columns)])
        column = builder.mul(k, self.k)

        def load_vector(pointer: Any) -> Any:
            return builder.load(pointer, align=self.size)

        def load_scalar(row: Any) -> Any:
            scalar = builder.load(builder.gep(self.a, [builder.add(self.row_of_a(row), column)]))
            return broadcast(builder, scalar, tile.vector.count)

        scalars, vectors = (
            map(load_scalar, tile.rows),
            map(load_vector, self._vectors(tile, step, self.panel)),
        )
        # The fewer operands stay in registers, and the others are loaded late.
        if len(tile.rows) < len(tile.vectors):
            held, others, totals = list(scalars), vectors, list(map(list, zip(*sums, strict=True)))
        else:
            held, others, totals = list(vectors), scalars, sums
        for other, totals_of_other in zip(others, totals, strict=True):
            for value, total in zip(held, totals_of_other, strict=True):
                result = emit_multiply_add(builder, self.dtype, other, value, builder.load(total))
                builder.store(result, total)

    def row_of_a(self, row: Any) -> Any:
        """Offset of a row of a."""
        builder, height = self.builder, INDEX(tile_shape().height)
        block = builder.mul(builder.udiv(row, height), self.block_stride)
        return builder.add(block, builder.mul(builder.urem(row, height), self.row))

    def _vectors(self, tile: _MicroTile, start: Any, panel_stride: Any) -> list[Any]:
        """Pointers to the vectors of a tile, whose panels are ``panel_stride`` elements apart."""
        builder, pointer = self.builder, tile.vector.as_pointer()
        panels = [(builder.gep(start, [builder.mul(panel, panel_stride)]), v) for panel, v in tile.vectors]
        return [builder.gep(builder.bitcast(panel, pointer), [INDEX(v)]) for panel, v in panels]
