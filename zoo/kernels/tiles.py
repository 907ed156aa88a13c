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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from zoo.kernels.intrinsics import intrinsic
from zoo.kernels.shared import shared_library

_INDEX = cgutils.intp_t
_LANE = ir.IntType(32)


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
        masks = [ir.Constant(ir.VectorType(_LANE, count), mask) for mask in (kept, taken)]
        rows = [
            builder.shuffle_vector(rows[n & ~distance], rows[n | distance], masks[bool(n & distance)])
            for n in range(count)
        ]
    return rows


def spread(builder: ir.IRBuilder, value: Any, count: int) -> Any:
    """A vector with a value in each of so many lanes."""
    undefined = ir.VectorType(value.type, count)(ir.Undefined)
    single = builder.insert_element(undefined, value, _LANE(0))
    return builder.shuffle_vector(single, undefined, ir.VectorType(_LANE, count)(None))


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
    """Which rows of c, and which vectors of each: those of some panels, or some of the last panel's.

    Args:
        rows: The rows' numbers.
        panels: The panels' numbers.
        vectors: Vectors of each panel.
        inside: Bytes of a row of the last panel that are inside c; None where all are.
    """

    rows: list[Any]
    panels: list[Any]
    vectors: int
    inside: Any = None


class _Product:
    """The code of a product, in a function with the given arguments."""

    def __init__(self, builder: ir.IRBuilder, vector: ir.VectorType, size: int, arguments: Any) -> None:
        self.builder, self.vector, self.size = builder, vector, size
        self.a, self.b, self.c, self.block, self.row, self.k, self.ldc, *sizes = arguments
        self.rows, self.depth, self.width = sizes
        self.columns = _INDEX(panel_vectors() * vector.count)
        self.panel = builder.mul(self.depth, self.columns)
        self.spare = builder.alloca(vector, panel_vectors())  # for a row that sticks out of c

    def write(self) -> None:
        """Whole panels, as many at once as fill the registers; then what is left of a panel."""
        builder, highest = self.builder, heights()[0]
        whole = builder.sdiv(self.width, self.columns)
        start = _INDEX(0)
        for height in heights():  # as many of the highest tile as fit, then the rest by halves
            stop = builder.and_(self.rows, _INDEX(-height))
            group = highest // height
            first = _INDEX(0)
            while group:
                last = builder.and_(whole, _INDEX(-group))
                self._sweep((first, last, group), (start, stop, height), panel_vectors())
                first, group = last, group // 2
            start = stop
        rest = builder.sub(self.width, builder.mul(whole, self.columns))
        with builder.if_then(builder.icmp_signed(">", rest, _INDEX(0)), likely=False):
            narrow = builder.icmp_signed("<=", rest, _INDEX(self.vector.count))
            with builder.if_else(narrow) as (half, more):
                with half:  # one vector of it, so twice as many rows
                    self._write_edge(whole, rest, 2 * highest, 1)
                with more:
                    self._write_edge(whole, rest, highest, panel_vectors())

    def _write_edge(self, panel: Any, columns: Any, height: int, vectors: int) -> None:
        """The panel that sticks out of c, by tiles of a height, and the last rows one by one."""
        builder = self.builder
        inside, stop = builder.mul(columns, _INDEX(self.size)), builder.and_(self.rows, _INDEX(-height))
        panels = (panel, builder.add(panel, _INDEX(1)), 1)
        self._sweep(panels, (_INDEX(0), stop, height), vectors, inside)
        self._sweep(panels, (stop, self.rows, 1), vectors, inside)

    def _sweep(
        self, panels: tuple[Any, Any, int], rows: tuple[Any, Any, int], vectors: int, inside: Any = None
    ) -> None:
        """Tiles of ``rows[2]`` rows and ``panels[2]`` panels, over both ranges."""
        builder = self.builder
        with _range(builder, *panels) as panel, _range(builder, *rows) as row:
            tile = _Tile(
                [builder.add(row, _INDEX(r)) for r in range(rows[2])],
                [builder.add(panel, _INDEX(p)) for p in range(panels[2])],
                vectors,
                inside,
            )
            self._add_tile(tile)

    def _add_tile(self, tile: _Tile) -> None:
        builder, vectors = self.builder, len(tile.panels) * tile.vectors
        places = [builder.gep(self.c, [builder.mul(r, self.ldc)]) for r in tile.rows]
        with builder.goto_entry_block():
            sums = [[builder.alloca(self.vector) for _ in range(vectors)] for _ in places]
        for place, totals in zip(places, sums, strict=True):
            for source, total in zip(self._row_of_c(tile, place, load=True), totals, strict=True):
                builder.store(builder.load(source, align=self.size), total)
        with cgutils.for_range(builder, self.depth, intp=_INDEX) as loop:
            self._add_products(tile, loop.index, sums)
        for place, totals in zip(places, sums, strict=True):
            for target, total in zip(self._row_of_c(tile, place), totals, strict=True):
                builder.store(builder.load(total), target, align=self.size)
            if tile.inside is not None:
                _copy_bytes(builder, self._at(place, tile.panels[0]), self.spare, tile.inside)

    def _row_of_c(self, tile: _Tile, place: Any, load: bool = False) -> list[Any]:
        """Addresses of the vectors of a row of c; of a copy of it, where it ends within them."""
        if tile.inside is None:
            return [one for p in tile.panels for one in self._vectors(self._at(place, p), tile.vectors)]
        if load:
            _copy_bytes(self.builder, self.spare, self._at(place, tile.panels[0]), tile.inside)
        return self._vectors(self.spare, tile.vectors)

    def _add_products(self, tile: _Tile, k: Any, sums: list[Any]) -> None:
        """What step k adds to every sum of a tile."""
        builder = self.builder
        step = builder.gep(self.b, [builder.mul(k, self.columns)])
        firsts = [builder.gep(step, [builder.mul(p, self.panel)]) for p in tile.panels]
        places = [place for first in firsts for place in self._vectors(first, tile.vectors)]
        loaded = [builder.load(place, align=self.size) for place in places]
        column = builder.mul(k, self.k)
        for r, totals in zip(tile.rows, sums, strict=True):
            number = builder.load(builder.gep(self.a, [builder.add(self._row_of_a(r), column)]))
            value = spread(builder, number, self.vector.count)
            for vector, total in zip(loaded, totals, strict=True):
                builder.store(self._fmuladd(value, vector, builder.load(total)), total)

    def _row_of_a(self, row: Any) -> Any:
        """Where a row of a starts."""
        builder, height = self.builder, heights()[0]
        block = builder.mul(builder.sdiv(row, _INDEX(height)), self.block)
        return builder.add(block, builder.mul(builder.and_(row, _INDEX(height - 1)), self.row))

    def _at(self, place: Any, panel: Any) -> Any:
        """Where a panel's columns start in a row of c."""
        return self.builder.gep(place, [self.builder.mul(panel, self.columns)])

    def _vectors(self, place: Any, count: int) -> list[Any]:
        """Addresses of vectors side by side."""
        first = self.builder.bitcast(place, self.vector.as_pointer())
        return [self.builder.gep(first, [_INDEX(v)]) for v in range(count)]

    def _fmuladd(self, *vectors: Any) -> Any:
        """``a * b + c``, rounded once where the processor can."""
        name = f"llvm.fmuladd.v{self.vector.count}f{8 * self.size}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(self.builder.module.declare_intrinsic(name, (), kind), vectors)


@contextmanager
def _range(builder: ir.IRBuilder, start: Any, stop: Any, step: int) -> Iterator[Any]:
    """A loop over ``range(start, stop, step)``."""
    with cgutils.for_range_slice(builder, start, stop, _INDEX(step), _INDEX) as (index, _):
        yield index
