"""The register tile: the one loop in which nearly all the time of zoo is spent.

``c[:rows, :columns] += a @ b`` with all of c in vector registers while k runs: per k, ``VECTORS`` loads of a
packed panel of b, ``rows`` broadcasts of a, and ``rows * VECTORS`` fused multiply-adds. On packed weights it
reaches 98 % of one core's peak, where OpenBLAS, which packs anew at every call, reaches 20 to 70 % at the
sizes of recurrent cells. Written as LLVM vector code, since LLVM's own vectoriser finds neither the register
block nor the broadcasts. Every number of c is one sum in the order of k, whatever tile it falls into.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from zoo.kernels.intrinsics import intrinsic

VECTORS = 2

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
    triple, features = _target()
    many = "+avx512f" in features or triple.startswith(("aarch64", "arm64"))
    return (8, 4, 2, 1) if many else (4, 2, 1)


@intrinsic
def panel_columns(_typing: Any, like: Any) -> Any:
    """Columns of a panel for arrays of the dtype of ``like``: a constant to the compiler."""
    columns = VECTORS * lanes(like.dtype)
    return types.intp(like), lambda context, *_: context.get_constant(types.intp, columns)


@intrinsic
def tile_height(_typing: Any) -> Any:
    """Rows of the highest tile: a constant to the compiler."""
    return types.intp(), lambda context, *_: context.get_constant(types.intp, heights()[0])


@intrinsic
def add_panel(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any
) -> Any:
    """``c += a @ b`` for one panel b.

    All arrays are flat. With ``strides = (row, k, ldc)`` and ``sizes = (rows, depth, width)``: row r, step k
    of a is at ``a0 + r * row + k * k``; the panel b starts at ``b0`` and holds ``VECTORS`` vectors a step;
    row r of c starts at ``c0 + r * ldc``, and only its first ``width`` columns are touched, where the panel
    sticks out of c.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        def address(n: int) -> Any:
            array = context.make_array(signature.args[n])(context, builder, args[n])
            return builder.gep(array.data, [args[n + 1]])

        numbers = [builder.extract_value(three, n) for three in args[6:] for n in range(3)]
        function = _panel_function(builder.module, a.dtype, context.get_value_type(a.dtype))
        builder.call(function, [address(0), address(2), address(4), *numbers])
        return context.get_dummy_value()

    return types.void(*map(types.unliteral, (a, a0, b, b0, c, c0, strides, sizes))), emit


def _panel_function(module: ir.Module, dtype: Any, scalar: ir.Type) -> ir.Function:
    """What ``add_panel`` calls, once in a module: inlined, every call would be compiled on its own."""
    name = f"zoo.add_panel.{dtype}"
    if name in module.globals:
        return module.globals[name]
    kind = ir.FunctionType(ir.VoidType(), [scalar.as_pointer()] * 3 + [_INDEX] * 6)
    function = ir.Function(module, kind, name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    for pointer in function.args[:3]:
        pointer.add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block())
    panel = _Panel(builder, ir.VectorType(scalar, lanes(dtype)), int(dtype.bitwidth) // 8, function.args)
    start = _INDEX(0)
    for height in heights():  # as many of the highest tile as fit, then the rest by halves
        stop = builder.and_(panel.rows, _INDEX(-height))
        with cgutils.for_range_slice(builder, start, stop, _INDEX(height), _INDEX) as (row, _):
            panel.add_tile(row, height)
        start = stop
    builder.ret_void()
    return function


class _Panel:
    """The code of the tiles of one panel, in a function with the given arguments."""

    def __init__(self, builder: ir.IRBuilder, vector: ir.VectorType, size: int, arguments: Any) -> None:
        self.builder, self.vector, self.size = builder, vector, size
        self.a, self.b, self.c, self.row, self.k, self.ldc, self.rows, self.depth, width = arguments
        columns = VECTORS * vector.count
        self.whole = builder.icmp_signed(">=", width, _INDEX(columns))
        self.inside = builder.mul(width, _INDEX(size))
        self.spare = builder.alloca(vector.element, columns)  # for a row that sticks out of c

    def add_tile(self, row: Any, height: int) -> None:
        """Add to ``height`` rows of c, from ``row``."""
        builder = self.builder
        rows = [builder.add(row, _INDEX(r)) for r in range(height)]
        places = [builder.gep(self.c, [builder.mul(r, self.ldc)]) for r in rows]
        with builder.goto_entry_block():
            sums = [[builder.alloca(self.vector) for _ in range(VECTORS)] for _ in rows]
        self._load_sums(places, sums)
        with cgutils.for_range(builder, self.depth, intp=_INDEX) as loop:
            self._add_products(loop.index, rows, sums)
        self._store_sums(places, sums)

    def _add_products(self, k: Any, rows: list[Any], sums: list[Any]) -> None:
        """What step k adds to every sum of a tile."""
        builder = self.builder
        first = builder.gep(self.b, [builder.mul(k, _INDEX(VECTORS * self.vector.count))])
        panel = [builder.load(place, align=self.size) for place in self._vectors(first)]
        column = builder.mul(k, self.k)
        for r, totals in zip(rows, sums, strict=True):
            value = builder.load(builder.gep(self.a, [builder.add(builder.mul(r, self.row), column)]))
            for vector, total in zip(panel, totals, strict=True):
                builder.store(self._fmuladd(self._spread(value), vector, builder.load(total)), total)

    def _load_sums(self, places: list[Any], sums: list[Any]) -> None:
        with self.builder.if_else(self.whole) as (whole, part):
            with whole:
                for place, totals in zip(places, sums, strict=True):
                    self._load(place, totals)
            with part:
                for place, totals in zip(places, sums, strict=True):
                    self._copy_inside(self.spare, place)
                    self._load(self.spare, totals)

    def _store_sums(self, places: list[Any], sums: list[Any]) -> None:
        with self.builder.if_else(self.whole) as (whole, part):
            with whole:
                for place, totals in zip(places, sums, strict=True):
                    self._store(totals, place)
            with part:
                for place, totals in zip(places, sums, strict=True):
                    self._store(totals, self.spare)
                    self._copy_inside(place, self.spare)

    def _load(self, row: Any, totals: list[Any]) -> None:
        for place, total in zip(self._vectors(row), totals, strict=True):
            self.builder.store(self.builder.load(place, align=self.size), total)

    def _store(self, totals: list[Any], row: Any) -> None:
        for place, total in zip(self._vectors(row), totals, strict=True):
            self.builder.store(self.builder.load(total), place, align=self.size)

    def _vectors(self, row: Any) -> list[Any]:
        """Addresses of the vectors of a row of a panel."""
        builder = self.builder
        places = [builder.gep(row, [_INDEX(v * self.vector.count)]) for v in range(VECTORS)]
        return [builder.bitcast(place, self.vector.as_pointer()) for place in places]

    def _copy_inside(self, target: Any, source: Any) -> None:
        """Copy those columns of a row of a panel that are inside c."""
        kinds = [target.type, source.type, _INDEX]
        memcpy = self.builder.module.declare_intrinsic("llvm.memcpy", kinds)
        self.builder.call(memcpy, [target, source, self.inside, ir.IntType(1)(0)])

    def _spread(self, value: Any) -> Any:
        """A vector with ``value`` in every lane."""
        undefined, zeros = self.vector(ir.Undefined), ir.VectorType(_LANE, self.vector.count)(None)
        single = self.builder.insert_element(undefined, value, _LANE(0))
        return self.builder.shuffle_vector(single, undefined, zeros)

    def _fmuladd(self, *vectors: Any) -> Any:
        """``a * b + c``, rounded once where the processor can."""
        name = f"llvm.fmuladd.v{self.vector.count}f{8 * self.size}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(self.builder.module.declare_intrinsic(name, (), kind), vectors)
