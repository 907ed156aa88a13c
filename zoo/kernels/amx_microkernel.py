"""The micro-kernel of bfloat16 on AMX: products of tiles of 16 rows and columns, and 32 elements of k.

Intel processors have AMX since Sapphire Rapids. Eight tile registers hold 16 rows of 64 bytes each: four sums
of float32, which are 32 rows and 32 columns of c, two tiles of a and two of b. A product takes one cycle for
each row of a, and a load about 8 cycles. The operands are panels and rows of pairs
(:mod:`zoo.kernels.bf16_pairs`). Their depth is a multiple of :data:`DEPTH`, since a product takes as long
with fewer elements of k. Tiles of the last rows and columns are smaller.

Every element of c begins with its addend. Every 32 elements of k add one number to it: the sum of the
products with even k, plus the sum of the products with odd k (:func:`zoo.kernels.bf16_pairs.add_products`).

The instructions alone reached 730 to 760 GF/s on one core of Emerald Rapids, and multiply-adds of float32 157
to 165. This emitter was checked with an emulator of the processor, and its speed was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from zoo.kernels.instructions import builder_tools
from zoo.kernels.nested_parallelism import MIN_PART
from zoo.kernels.product_emitter import INDEX, ProductEmitter, index_range, is_null, minimum

DEPTH = 16
"""Pairs in a row of a tile of a, and rows of a tile of b."""
SIDE = 16
"""The most rows of a tile of a and c, and the most columns of a tile of b and c."""
_PANEL = 2 * SIDE
_BYTES = 4  # of a pair, and of a sum
_SIZES = ir.ArrayType(ir.IntType(8), 64)

# Tile registers. _C[row][column] has sums.
_C, _A, _B = ((0, 1), (2, 3)), (4, 5), (6, 7)


class TileInstructions:
    """The instructions of AMX, as calls of LLVM's intrinsic functions."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def configure(self, address: Any) -> None:
        """Set the sizes of all tiles, see :func:`store_sizes`."""
        self._call("ldtilecfg", address)

    def zero(self, tile: int) -> None:
        """Set a tile to zeros."""
        self._call("tilezero", tile)

    def load(self, tile: int, address: Any, stride: Any) -> None:
        """Load rows that are ``stride`` bytes apart."""
        self._call("tileloadd64", tile, address, stride)

    def store(self, tile: int, address: Any, stride: Any) -> None:
        """Store rows ``stride`` bytes apart."""
        self._call("tilestored64", tile, address, stride)

    def add_product(self, c: int, a: int, b: int) -> None:
        """Add the product of tiles a and b to tile c."""
        self._call("tdpbf16ps", c, a, b)

    def release(self) -> None:
        """Release the tiles, so that a switch of threads need not save them."""
        self._call("tilerelease")

    def _call(self, name: str, *operands: Any) -> None:
        """Call an intrinsic function: an integer is the number of a tile, a pointer becomes one to bytes."""
        values = []
        for operand in operands:
            if isinstance(operand, int):
                values.append(ir.IntType(8)(operand))
            elif isinstance(operand.type, ir.PointerType):
                values.append(self.builder.bitcast(operand, ir.IntType(8).as_pointer()))
            else:
                values.append(operand)
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        self.builder.call(self.declare(name, kind), values)

    def declare(self, name: str, kind: ir.FunctionType) -> ir.Function:
        """Declare the function of an instruction."""
        return self.builder.module.declare_intrinsic(f"llvm.x86.{name}", (), kind)


class AmxEmitter(ProductEmitter):
    """Emit a product of pairs of bfloat16 on the tiles of AMX.

    Pairs of k are adjacent in a, rows of a are ``row`` pairs apart, and ``block_stride`` is not used.
    """

    columns = INDEX(_PANEL)
    block_rows = 2 * SIDE
    min_part = 2 * MIN_PART  # takes as long as MIN_PART multiply-adds of float32: precision.product_cost

    def __init__(self, builder: ir.IRBuilder, dtype: Any, arguments: Sequence[Any]) -> None:
        super().__init__(builder, dtype, arguments)
        self.tiles = TileInstructions(builder)

    def row_of_a(self, row: Any) -> Any:
        """Offset of a row of a."""
        return self.builder.mul(row, self.row)

    def emit(self) -> None:
        """Compute blocks of at most 32 rows, as few and as equal as possible: whole panels, then the rest."""
        builder = self.builder
        with builder.goto_entry_block():
            self.sizes = builder.alloca(_SIZES)
        height, split = self.split_rows()
        whole = builder.sdiv(self.width, self.columns)
        rest = builder.sub(self.width, builder.mul(whole, self.columns))
        zero, one = INDEX(0), INDEX(1)
        with (
            index_range(builder, zero, INDEX(2), 1) as height_class,
            index_range(builder, zero, INDEX(2), 1) as width_class,
        ):
            is_first, is_whole = (
                builder.icmp_signed("==", each, zero) for each in (height_class, width_class)
            )
            rows = builder.select(is_first, zero, split), builder.select(is_first, split, self.rows)
            last = builder.select(builder.icmp_signed(">", rest, zero), builder.add(whole, one), whole)
            panels = builder.select(is_whole, zero, whole), builder.select(is_whole, whole, last)
            columns = builder.select(is_whole, self.columns, rest)
            has_rows, has_panels = (builder.icmp_signed("<", *pair) for pair in (rows, panels))
            with builder.if_then(builder.and_(has_rows, has_panels)):
                self._sweep(rows, panels, (builder.sub(height, height_class), columns))
        self.tiles.release()

    def _sweep(self, rows: tuple[Any, Any], panels: tuple[Any, Any], shape: tuple[Any, Any]) -> None:
        """Compute blocks of a shape, which have one or two tiles in each direction.

        Args:
            rows: The first row, and the row after the last one: blocks of ``shape[0]`` rows.
            panels: The first panel, and the panel after the last one.
            shape: Rows of a block, and columns in each panel.
        """
        builder = self.builder
        height, width = shape
        half = builder.lshr(builder.add(height, INDEX(1)), INDEX(1))
        fits_one_tile = builder.icmp_signed("<=", height, INDEX(SIDE))
        first_sizes = builder.select(fits_one_tile, height, half), minimum(builder, width, INDEX(SIDE))
        heights, widths = (
            (first, builder.sub(size, first)) for first, size in zip(first_sizes, shape, strict=True)
        )
        store_sizes(builder, self.sizes, heights, widths)
        self.tiles.configure(self.sizes)
        has_second = [builder.icmp_signed(">", second, INDEX(0)) for _, second in (heights, widths)]
        with builder.if_else(has_second[0]) as (two_rows, one_row):
            for by_rows, row_tiles in ((two_rows, 2), (one_row, 1)):
                with by_rows, builder.if_else(has_second[1]) as (two_columns, one_column):
                    for by_columns, column_tiles in ((two_columns, 2), (one_column, 1)):
                        with by_columns:
                            self._blocks(rows, panels, (height, heights[0]), (row_tiles, column_tiles))

    def _blocks(
        self,
        rows: tuple[Any, Any],
        panels: tuple[Any, Any],
        block_and_tile: tuple[Any, Any],
        counts: tuple[int, int],
    ) -> None:
        """Compute blocks: all rows of a panel, then of the next one, which stays in the first-level cache.

        Args:
            rows: As in :meth:`_sweep`.
            panels: As in :meth:`_sweep`.
            block_and_tile: Rows of a block, and of its first tile.
            counts: Tiles of a block in a column, and in a row.
        """
        builder = self.builder
        panel_size, (height, tile_height) = builder.mul(self.depth, self.columns), block_and_tile
        with index_range(builder, *panels, 1) as panel:
            b = builder.gep(self.b, [builder.mul(panel, panel_size)])
            blocks = builder.sdiv(builder.sub(rows[1], rows[0]), height)
            with index_range(builder, INDEX(0), blocks, 1) as block:
                row = builder.add(rows[0], builder.mul(block, height))
                starts = [builder.add(row, each) for each in (INDEX(0), tile_height)[: counts[0]]]
                self._block(starts, builder.mul(panel, self.columns), b, counts[1])

    def _block(self, rows: Sequence[Any], column: Any, b: Any, column_tiles: int) -> None:
        """Compute a block: its tiles begin at some rows, at a column and ``SIDE`` columns to the right."""
        builder, tiles = self.builder, self.tiles
        columns = [builder.add(column, INDEX(SIDE * n)) for n in range(column_tiles)]
        block = [(r, c, _C[r][c]) for r in range(len(rows)) for c in range(column_tiles)]

        def address(start: Any, stride: Any, r: int, c: int) -> Any:
            return builder.gep(start, [builder.add(builder.mul(rows[r], stride), columns[c])])

        with builder.if_else(is_null(builder, self.addend)) as (only_products, with_addend):
            with only_products:
                for *_, tile in block:
                    tiles.zero(tile)
            with with_addend:
                for r, c, tile in block:
                    tiles.load(tile, address(self.addend, self.ld_addend, r, c), self._bytes(self.ld_addend))
        with index_range(builder, INDEX(0), self.depth, DEPTH) as k:
            for c in range(column_tiles):
                step = builder.add(builder.mul(k, self.columns), INDEX(SIDE * c))
                tiles.load(_B[c], builder.gep(b, [step]), INDEX(_PANEL * _BYTES))
            for r, row in enumerate(rows):
                start = builder.add(self.row_of_a(row), k)
                tiles.load(_A[r], builder.gep(self.a, [start]), self._bytes(self.row))
            for r, c, tile in block:
                tiles.add_product(tile, _A[r], _B[c])
        for r, c, tile in block:
            tiles.store(tile, address(self.c, self.ldc, r, c), self._bytes(self.ldc))

    def _bytes(self, elements: Any) -> Any:
        return self.builder.mul(elements, INDEX(_BYTES))


def store_sizes(
    builder: ir.IRBuilder, address: Any, heights: tuple[Any, Any], widths: tuple[Any, Any]
) -> None:
    """Store the sizes of all tiles in the 64 bytes that AMX reads.

    Args:
        builder: Appends instructions.
        address: Address of the 64 bytes.
        heights: Rows of the tiles of c, of which the second may be 0.
        widths: Columns of the tiles of c, of which the second may be 0.
    """
    byte, int16 = ir.IntType(8), ir.IntType(16)
    builder.store(address.type.pointee(None), address)
    data = builder.bitcast(address, byte.as_pointer())
    builder.store(byte(1), data)  # the only palette
    full = INDEX(SIDE)
    sizes = [(_C[r][c], heights[r], widths[c]) for r in range(2) for c in range(2)]
    sizes += [(_A[r], heights[r], full) for r in range(2)] + [(_B[c], full, widths[c]) for c in range(2)]
    for tile, height, width in sizes:
        # A tile without rows has no columns either.
        is_used = builder.icmp_signed(">", minimum(builder, height, width), INDEX(0))
        rows = builder.select(is_used, height, INDEX(0))
        row_bytes = builder.select(is_used, builder.mul(width, INDEX(_BYTES)), INDEX(0))
        pointer = builder.bitcast(builder.gep(data, [INDEX(16 + 2 * tile)]), int16.as_pointer())
        builder.store(builder.trunc(row_bytes, int16), pointer, align=1)
        builder.store(builder.trunc(rows, byte), builder.gep(data, [INDEX(48 + tile)]))


PEAK_OPERATIONS = 4 * SIDE * SIDE * 2 * (2 * DEPTH)
"""Additions and multiplications of a step of :func:`emit_peak`."""


def emit_peak(builder: ir.IRBuilder, times: Any) -> None:
    """Emit ``times`` steps of four products of tiles that stay in registers, to measure the peak."""
    tiles, full = TileInstructions(builder), (INDEX(SIDE), INDEX(SIDE))
    sizes = builder_tools.alloca_once(builder, _SIZES)
    store_sizes(builder, sizes, full, full)
    tiles.configure(sizes)
    for tile in range(8):
        tiles.zero(tile)
    with builder_tools.for_range(builder, times):
        for r, row in enumerate(_C):
            for c, tile in enumerate(row):
                tiles.add_product(tile, _A[r], _B[c])
    tiles.release()
