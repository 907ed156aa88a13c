"""The register tile: the one loop in which nearly all the time of zoo is spent.

``c[:rows, :columns] += a @ b`` with all of c in vector registers while k runs: per k, a few loads of a
packed panel of b, a broadcast of a for each row, and as many fused multiply-adds as there are sums. On
packed weights it reaches 98 % of one core's peak, where OpenBLAS, which packs anew at every call, reaches
20 to 70 % at the sizes of recurrent cells. A processor has eight or so multiply-adds under way at any time,
so fewer rows take more panels at once; a single row is then as fast as its weights come from the cache.
Written as LLVM vector code, since LLVM's own vectoriser finds neither the register block nor the
broadcasts. Every number of c is one sum in the order of k, whatever tile it falls into.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.inlining import shared_library
from zoo.kernels.llvm_math import LANE, first_lanes, load_some, spread, store_some

_INDEX = cgutils.intp_t
_FEW = 16
"""Bytes of the smallest vector: columns that fit into one are not worth a wider one."""
_EDGE = 8
"""Rows of a tile of one vector: with fewer, a multiply-add would wait for the one before it."""


@functools.cache
def _target() -> tuple[str, frozenset[str]]:
    """Triple and features of the processor that Numba compiles for (``NUMBA_CPU_NAME`` restricts them)."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, frozenset(features.split(","))


def lanes(dtype: Any) -> int:
    """Numbers of this Numba type in one vector register."""
    features = _target()[1]
    register = 64 if "+avx512f" in features else 32 if "+avx" in features else 16
    return register * 8 // int(dtype.bitwidth)


def heights() -> tuple[int, ...]:
    """Rows of the tiles, highest first: sums, a panel's vectors and a broadcast fit in 32 or 16 registers."""
    return _block()[0]


def panel_vectors() -> int:
    """Vectors in a panel's row."""
    return _block()[1]


@functools.cache
def _block() -> tuple[tuple[int, ...], int]:
    """Heights, and vectors in a row.

    With 16 registers 4 by 3 fit as well, and are 5 % faster on AVX2 where three divides, but half as fast
    in two rows where it does not. SSE spends an instruction more on a broadcast, and more on copies; fewer
    rows of more vectors took it from 0.65 to 0.70 of what it can do.
    """
    triple, features = _target()
    if "+avx512f" in features or triple.startswith(("aarch64", "arm64")):
        return (8, 4, 2, 1), 2
    return ((4, 2, 1), 2) if "+avx" in features else ((2, 1), 4)


@intrinsic
def panel_columns(_typing: Any, like: Any) -> Any:
    """Columns of a panel for arrays of the dtype of ``like``: a constant to the compiler."""
    columns = panel_vectors() * lanes(like.dtype)
    return types.intp(like), lambda context, *_: context.get_constant(types.intp, columns)


@intrinsic
def tile_height(_typing: Any) -> Any:
    """Rows of the highest tile: a constant to the compiler."""
    return types.intp(), lambda context, *_: context.get_constant(types.intp, heights()[0])


def _copier(count: Callable[[Any], int]) -> Any:
    """A function of kernels that copies so many numbers, a constant, in as few instructions as there are."""

    @intrinsic
    def copy(_typing: Any, target: Any, t0: Any, source: Any, s0: Any) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            arrays = [context.make_array(signature.args[n])(context, builder, args[n]) for n in (0, 2)]
            to, start = [builder.gep(array.data, [args[n]]) for array, n in zip(arrays, (1, 3), strict=True)]
            _copy_bytes(builder, to, start, _INDEX(count(target.dtype) * int(target.dtype.bitwidth) // 8))
            return context.get_dummy_value()

        return types.void(*map(types.unliteral, (target, t0, source, s0))), emit

    return copy


@intrinsic
def copy_panel_part(_typing: Any, target: Any, t0: Any, source: Any, s0: Any, size: Any) -> Any:
    """Copy ``size`` numbers to the front of a panel's row, and fill it up with zeros."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        count, width = lanes(target.dtype), int(target.dtype.bitwidth) // 8
        vector = ir.VectorType(_SCALARS[target.dtype], count)
        to, start = (
            builder.bitcast(builder.gep(array.data, [args[n + 1]]), vector.as_pointer())
            for n in (0, 2)
            for array in [context.make_array(signature.args[n])(context, builder, args[n])]
        )
        for v in range(panel_vectors()):
            mask = first_lanes(builder, args[4], count, v * count)
            value = load_some(
                builder, builder.gep(start, [_INDEX(v)]), mask, ir.Constant(vector, None), width
            )
            builder.store(value, builder.gep(to, [_INDEX(v)]), align=width)
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (target, t0, source, s0, size))), emit


copy_panel_row = _copier(lambda dtype: panel_vectors() * lanes(dtype))
copy_tile_column = _copier(lambda _: heights()[0])


@intrinsic
def block_size(_typing: Any, like: Any) -> Any:
    """Rows and columns of what :func:`copy_transposed` copies: a constant to the compiler."""
    return types.intp(like), lambda context, *_: context.get_constant(types.intp, lanes(like.dtype))


@intrinsic
def copy_transposed(_typing: Any, target: Any, t0: Any, t_row: Any, source: Any, s0: Any, s_row: Any) -> Any:
    """Copy a square block of :func:`block_size` numbers a side, and turn its rows into columns.

    Both arrays are flat; their blocks start at ``t0`` and ``s0``, and rows are ``t_row`` and ``s_row`` apart.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        count, size = lanes(target.dtype), int(target.dtype.bitwidth) // 8
        vector = ir.VectorType(_SCALARS[target.dtype], count)

        def rows(n: int) -> list[Any]:
            data = context.make_array(signature.args[n])(context, builder, args[n]).data
            starts = (builder.add(args[n + 1], builder.mul(args[n + 2], _INDEX(r))) for r in range(count))
            return [builder.bitcast(builder.gep(data, [start]), vector.as_pointer()) for start in starts]

        turned = _transposed(builder, [builder.load(row, align=size) for row in rows(3)])
        for value, place in zip(turned, rows(0), strict=True):
            builder.store(value, place, align=size)
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (target, t0, t_row, source, s0, s_row))), emit


def _transposed(builder: ir.IRBuilder, rows: list[Any]) -> list[Any]:
    """As many vectors as each has numbers, transposed: pairs of rows exchange halves, quarters, and so on."""
    count = len(rows)
    for distance in (1 << step for step in range(count.bit_length() - 1)):
        kept = [lane if not lane & distance else count + lane - distance for lane in range(count)]
        taken = [lane + distance if not lane & distance else count + lane for lane in range(count)]
        masks = [ir.Constant(ir.VectorType(LANE, count), mask) for mask in (kept, taken)]
        rows = [
            builder.shuffle_vector(rows[n & ~distance], rows[n | distance], masks[bool(n & distance)])
            for n in range(count)
        ]
    return rows


def _copy_bytes(builder: ir.IRBuilder, target: Any, source: Any, size: Any) -> None:
    """Copy some bytes between places that do not overlap."""
    plain = ir.IntType(8).as_pointer()
    memcpy = builder.module.declare_intrinsic("llvm.memcpy", [plain, plain, _INDEX])
    places = [builder.bitcast(place, plain) for place in (target, source)]
    builder.call(memcpy, [*places, size, ir.IntType(1)(0)])


@intrinsic
def add_panels(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any
) -> Any:
    """``c += a @ b`` for a packed b.

    All arrays are flat. With ``strides = (block, row, k, ldc)`` and ``sizes = (rows, depth, width)``: rows
    of a come in blocks of :func:`tile_height`, and step k of row r of block n is at ``a0 + n * block + r *
    row + k * k``; the panels of b start at ``b0``, one after the other, and hold :func:`panel_vectors`
    vectors a step; row r of c starts at ``c0 + r * ldc`` and has ``width`` columns.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        def address(n: int) -> Any:
            array = context.make_array(signature.args[n])(context, builder, args[n])
            return builder.gep(array.data, [args[n + 1]])

        numbers = [builder.extract_value(args[n], place) for n in (6, 7) for place in range(10 - n)]
        function = _shared_product(context, builder.module, a.dtype)
        builder.call(function, [address(0), address(2), address(4), *numbers])
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (a, a0, b, b0, c, c0, strides, sizes))), emit


def _shared_product(context: Any, module: ir.Module, dtype: Any) -> ir.Function:
    """What ``add_panels`` calls, declared in a module and known to the linker."""
    load = _LOADERS[dtype]
    load()
    context.active_code_library._reload_init.add(load)  # also when that code comes from the disk
    return _declared(dtype, module)


def product_library(dtype: Any) -> Any:
    """The machine code of the product of a Numba type, which is known to the linker from then on."""
    return shared_library(_symbol(dtype), functools.partial(_define, dtype))


# Stored kernels name what has to be there before they are loaded: a function each.
def _load_float32() -> None:
    product_library(types.float32)


def _load_float64() -> None:
    product_library(types.float64)


_SCALARS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_LOADERS = {types.float32: _load_float32, types.float64: _load_float64}


def _symbol(dtype: Any) -> str:
    return f"zoo.add_panels.{dtype}"


def _declared(dtype: Any, module: ir.Module) -> ir.Function:
    """The function in a module: ``(a, b, c, block, row, k, ldc, rows, depth, width)``."""
    kind = ir.FunctionType(ir.VoidType(), [_SCALARS[dtype].as_pointer()] * 3 + [_INDEX] * 7)
    find: Any = cgutils.get_or_insert_function
    function = find(module, kind, _symbol(dtype))
    function.attributes.add("nounwind")
    return function


def _define(dtype: Any, module: ir.Module) -> None:
    """Write the function."""
    function = _declared(dtype, module)
    for pointer in function.args[:3]:
        pointer.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block())
    vector = ir.VectorType(_SCALARS[dtype], lanes(dtype))
    _Product(builder, vector, int(dtype.bitwidth) // 8, function.args).write()
    builder.ret_void()


@dataclass(frozen=True)
class _Tile:
    """Which rows of c, and which vectors of each: those of some panels, or the first few of a single one.

    Args:
        rows: The rows' numbers.
        panels: The panels' numbers.
        vectors: Vectors of each panel.
        vector: Their type.
        masks: Which lanes of each vector are inside c; empty where all are.
    """

    rows: list[Any]
    panels: list[Any]
    vectors: int
    vector: ir.VectorType
    masks: list[Any]


class _Product:
    """The code of a product, in a function with the given arguments."""

    def __init__(self, builder: ir.IRBuilder, vector: ir.VectorType, size: int, arguments: Any) -> None:
        self.builder, self.vector, self.size = builder, vector, size
        self.a, self.b, self.c, self.block, self.row, self.k, self.ldc, *sizes = arguments
        self.rows, self.depth, self.width = sizes
        self.columns = _INDEX(panel_vectors() * vector.count)
        self.panel = builder.mul(self.depth, self.columns)

    def write(self) -> None:
        """Whole panels, as many at once as fill the registers; then what is left of a panel."""
        builder, highest = self.builder, heights()[0]
        whole, start = builder.sdiv(self.width, self.columns), _INDEX(0)
        shape = panel_vectors(), self.vector
        for height in heights():  # as many of the highest tile as fit, then the rest by halves
            stop = builder.and_(self.rows, _INDEX(-height))
            group = highest // height
            first = _INDEX(0)
            while group:
                last = builder.and_(whole, _INDEX(-group))
                self._sweep((first, last, group), (start, stop, height), shape)
                first, group = last, group // 2
            start = stop
        rest = builder.sub(self.width, builder.mul(whole, self.columns))
        with builder.if_then(builder.icmp_signed(">", rest, _INDEX(0)), likely=False):
            few = ir.VectorType(self.vector.element, _FEW // self.size)
            shapes = [(1, self.vector), (panel_vectors(), self.vector)]
            self._write_edge(whole, rest, shapes if few == self.vector else [(1, few), *shapes])

    def _write_edge(self, panel: Any, rest: Any, shapes: list[tuple[int, ir.VectorType]]) -> None:
        """The panel that sticks out of c, in the smallest shape that holds its columns."""
        builder = self.builder
        (vectors, vector), *larger = shapes
        if not larger:
            self._sweep_edge(panel, rest, vectors, vector)
            return
        fits = builder.icmp_signed("<=", rest, _INDEX(vectors * vector.count))
        with builder.if_else(fits) as (here, there):
            with here:
                self._sweep_edge(panel, rest, vectors, vector)
            with there:
                self._write_edge(panel, rest, larger)

    def _sweep_edge(self, panel: Any, rest: Any, vectors: int, vector: ir.VectorType) -> None:
        """That panel by tiles of some height, and the last rows one by one.

        All that a single row has left at once is no faster, since its weights have to come from the cache of
        the second level anyway: four panels, 21 us and not 17 for 25 steps of 100 columns; as many vectors as
        there are, the same 17, and the code takes 0.1 s more to compile.
        """
        builder, count = self.builder, vector.count
        masks = [first_lanes(builder, rest, count, number * count) for number in range(vectors)]
        height = _EDGE if vectors == 1 else heights()[0]
        panels, stop = (panel, builder.add(panel, _INDEX(1)), 1), builder.and_(self.rows, _INDEX(-height))
        self._sweep(panels, (_INDEX(0), stop, height), (vectors, vector), masks)
        self._sweep(panels, (stop, self.rows, 1), (vectors, vector), masks)

    def _sweep(
        self,
        panels: tuple[Any, Any, int],
        rows: tuple[Any, Any, int],
        shape: tuple[int, ir.VectorType],
        masks: Sequence[Any] = (),
    ) -> None:
        """Tiles of ``rows[2]`` rows and ``panels[2]`` panels, over both ranges."""
        builder = self.builder
        with _range(builder, *panels) as panel, _range(builder, *rows) as row:
            tile = _Tile(
                [builder.add(row, _INDEX(r)) for r in range(rows[2])],
                [builder.add(panel, _INDEX(p)) for p in range(panels[2])],
                *shape,
                list(masks),
            )
            self._add_tile(tile)

    def _add_tile(self, tile: _Tile) -> None:
        builder, vectors = self.builder, len(tile.panels) * tile.vectors
        places = [self._row_of_c(tile, builder.gep(self.c, [builder.mul(r, self.ldc)])) for r in tile.rows]
        with builder.goto_entry_block():
            sums = [[builder.alloca(tile.vector) for _ in range(vectors)] for _ in places]
        for row, totals in zip(places, sums, strict=True):
            for source, total in zip(self._loaded(tile, row), totals, strict=True):
                builder.store(source, total)
        with cgutils.for_range(builder, self.depth, intp=_INDEX) as loop:
            self._add_products(tile, loop.index, sums)
        for row, totals in zip(places, sums, strict=True):
            self._store(tile, [builder.load(total) for total in totals], row)

    def _row_of_c(self, tile: _Tile, row: Any) -> list[Any]:
        """Addresses of a tile's vectors in a row of c."""
        starts = [self.builder.gep(row, [self.builder.mul(panel, self.columns)]) for panel in tile.panels]
        return [place for start in starts for place in self._vectors(tile, start)]

    def _loaded(self, tile: _Tile, places: list[Any]) -> list[Any]:
        """The vectors at some addresses; of the last panel's, what is inside c, and zeros."""
        if not tile.masks:
            return [self.builder.load(place, align=self.size) for place in places]
        nothing, masked = ir.Constant(tile.vector, None), zip(places, tile.masks, strict=True)
        return [load_some(self.builder, place, mask, nothing, self.size) for place, mask in masked]

    def _store(self, tile: _Tile, values: list[Any], places: list[Any]) -> None:
        """Store vectors; of the last panel's, what is inside c."""
        for number, (value, place) in enumerate(zip(values, places, strict=True)):
            if tile.masks:
                store_some(self.builder, value, place, tile.masks[number], self.size)
            else:
                self.builder.store(value, place, align=self.size)

    def _add_products(self, tile: _Tile, k: Any, sums: list[Any]) -> None:
        """What step k adds to every sum of a tile."""
        builder = self.builder
        step = builder.gep(self.b, [builder.mul(k, self.columns)])
        firsts = [builder.gep(step, [builder.mul(p, self.panel)]) for p in tile.panels]
        places = [place for first in firsts for place in self._vectors(tile, first)]
        loaded = [builder.load(place, align=self.size) for place in places]
        column = builder.mul(k, self.k)
        for r, totals in zip(tile.rows, sums, strict=True):
            number = builder.load(builder.gep(self.a, [builder.add(self._row_of_a(r), column)]))
            value = spread(builder, number, tile.vector.count)
            for vector, total in zip(loaded, totals, strict=True):
                builder.store(self._fmuladd(value, vector, builder.load(total)), total)

    def _row_of_a(self, row: Any) -> Any:
        """Where a row of a starts."""
        builder, height = self.builder, heights()[0]
        block = builder.mul(builder.sdiv(row, _INDEX(height)), self.block)
        return builder.add(block, builder.mul(builder.and_(row, _INDEX(height - 1)), self.row))

    def _vectors(self, tile: _Tile, place: Any) -> list[Any]:
        """Addresses of a panel's vectors, side by side."""
        first = self.builder.bitcast(place, tile.vector.as_pointer())
        return [self.builder.gep(first, [_INDEX(v)]) for v in range(tile.vectors)]

    def _fmuladd(self, *vectors: Any) -> Any:
        """``a * b + c``, rounded once where the processor can."""
        kind = vectors[0].type
        name = f"llvm.fmuladd.v{kind.count}f{8 * self.size}"
        function = ir.FunctionType(kind, [kind] * 3)
        return self.builder.call(self.builder.module.declare_intrinsic(name, (), function), vectors)


@contextmanager
def _range(builder: ir.IRBuilder, start: Any, stop: Any, step: int) -> Iterator[Any]:
    """A loop over ``range(start, stop, step)``."""
    with cgutils.for_range_slice(builder, start, stop, _INDEX(step), _INDEX) as (index, _):
        yield index
