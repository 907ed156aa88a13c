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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.registry import cpu_target

from zoo.kernels.bound_calls import new_bound_function, return_result
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import builder_tools
from zoo.kernels.linked_library import linked_library
from zoo.kernels.llvm_math import LANE, BFloatType, broadcast, first_lanes, masked_load, masked_store
from zoo.kernels.nested_parallelism import MIN_PART, emit_has_idle_workers, emit_run_parts

_INDEX = builder_tools.intp_t
_MIN_VECTOR_BYTES = 16
"""Bytes of the smallest vector, for columns that fit into it."""
_EDGE_ROWS = 8
"""Rows of a one-vector tile: with fewer, a multiply-add would wait for the previous one."""


@functools.cache
def _target() -> tuple[str, frozenset[str]]:
    """Triple and features of the processor that Numba compiles for (``NUMBA_CPU_NAME`` restricts them)."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, frozenset(features.split(","))


def lanes(dtype: Any) -> int:
    """Elements of this Numba type in one vector register."""
    features = _target()[1]
    register = 64 if "+avx512f" in features else 32 if "+avx" in features else 16
    return register * 8 // int(dtype.bitwidth)


def vector_registers() -> int:
    """Vector registers of the processor."""
    triple, features = _target()
    return 32 if "+avx512f" in features or triple.startswith(("aarch64", "arm64")) else 16


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
# reach 89, 97, 99 and 98 of 104 GF/s, not 73, 87, 74 and 90.
AVX_TILES = TileShape(2, ((12, 4, 2), (6, 4, 2), (3, 2), (3, 2), (2,), (2,)))
# SSE needs an extra instruction for a broadcast, and more copies: fewer rows of more vectors took it from
# 0.65 to 0.70 of peak.
SSE_TILES = TileShape(4, ((8, 4), (4,)))


@functools.cache
def tile_shape() -> TileShape:
    """The tiles of the processor that Numba compiles for."""
    if vector_registers() == 32:
        return AVX512_TILES
    return AVX_TILES if "+avx" in _target()[1] else SSE_TILES


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
            _copy_bytes(builder, to, start, _INDEX(count(target.dtype) * int(target.dtype.bitwidth) // 8))
            return context.get_dummy_value()

        return types.void(*map(types.unliteral, (target, t0, source, s0))), emit

    return copy


@intrinsic
def copy_panel_part(_typing: Any, target: Any, t0: Any, source: Any, s0: Any, size: Any) -> Any:
    """Copy ``size`` elements to the front of a panel's row, and pad it with zeros."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        count, width = lanes(target.dtype), int(target.dtype.bitwidth) // 8
        vector = ir.VectorType(_SCALARS[target.dtype], count)
        to, start = (
            builder.bitcast(builder.gep(array.data, [args[n + 1]]), vector.as_pointer())
            for n in (0, 2)
            for array in [context.make_array(signature.args[n])(context, builder, args[n])]
        )
        for v in range(tile_shape().vectors):
            mask = first_lanes(builder, args[4], count, v * count)
            value = masked_load(
                builder, builder.gep(start, [_INDEX(v)]), mask, ir.Constant(vector, None), width
            )
            builder.store(value, builder.gep(to, [_INDEX(v)]), align=width)
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
        vector = ir.VectorType(_SCALARS[target.dtype], count)

        def rows(n: int) -> list[Any]:
            data = context.make_array(signature.args[n])(context, builder, args[n]).data
            starts = (builder.add(args[n + 1], builder.mul(args[n + 2], _INDEX(r))) for r in range(count))
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
    memcpy = builder.module.declare_intrinsic("llvm.memcpy", [byte_pointer, byte_pointer, _INDEX])
    pointers = [builder.bitcast(pointer, byte_pointer) for pointer in (target, source)]
    builder.call(memcpy, [*pointers, size, ir.IntType(1)(0)])


@intrinsic
def add_panels(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any
) -> Any:
    """``c += a @ b`` for a packed b. Idle workers may compute parts (:mod:`zoo.kernels.nested_parallelism`).

    All arrays are flat. With ``strides = (block, row, k, ldc)`` and ``sizes = (rows, depth, width)``: rows
    of a are in blocks of :func:`tile_height`, and step k of row r of block n is at ``a0 + n * block + r *
    row + k * k``; the panels of b start at ``b0``, one after the other, and hold
    :func:`panel_width` columns a step; row r of c starts at ``c0 + r * ldc`` and has ``width`` columns. If a
    and b hold pairs of bfloat16, c is float32.
    """
    return _library_call("", None, a, a0, b, b0, c, c0, strides, sizes)


@intrinsic
def set_panels(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any, bias: Any
) -> Any:
    """``c = bias + a @ b`` for ``bias (width,)``, or ``c = a @ b`` for None; else as :func:`add_panels`."""
    return _library_call("", bias, a, a0, b, b0, c, c0, strides, sizes)


@intrinsic
def add_undivided_panels(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any
) -> Any:
    """:func:`add_panels` by this thread alone, for a thread that computes a part of a larger product."""
    return _library_call(_UNDIVIDED, None, a, a0, b, b0, c, c0, strides, sizes)


@intrinsic
def set_undivided_panels(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any, bias: Any
) -> Any:
    """:func:`set_panels` by this thread alone."""
    return _library_call(_UNDIVIDED, bias, a, a0, b, b0, c, c0, strides, sizes)


_UNDIVIDED = ".undivided"


def _library_call(suffix: str, bias: Any, *kinds: Any) -> Any:
    """Signature of :func:`add_panels`, and code that calls the function with this suffix in the library.

    Args:
        suffix: Of the name of the function.
        bias: Type of the last argument: an array, which is added to every row, or none. None to add c.
        kinds: Types of the other arguments.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        def address(n: int) -> Any:
            array = context.make_array(signature.args[n])(context, builder, args[n])
            return builder.gep(array.data, [args[n + 1]]) if n < len(kinds) else array.data

        numbers = [builder.extract_value(args[n], index) for n in (6, 7) for index in range(10 - n)]
        if bias is None:
            addend = address(4), numbers[3]
        elif isinstance(bias, types.NoneType):
            addend = ir.Constant(address(4).type, None), _INDEX(0)
        else:
            addend = address(8), _INDEX(0)
        function = _linked_function(context, builder.module, kinds[0].dtype, suffix)
        builder.call(function, [address(0), address(2), address(4), *addend, *numbers])
        return context.get_dummy_value()

    passed = kinds if bias is None else (*kinds, bias)
    return types.void(*map(types.unliteral, passed)), emit


def _linked_function(context: Any, module: ir.Module, dtype: Any, suffix: str) -> ir.Function:
    """Declare a function of the GEMM library in a module, and load the library."""
    load = _LOADERS[dtype]
    load()
    context.active_code_library._reload_init.add(load)  # also when the caller comes from the disk cache
    return _declare(dtype, module, suffix)


def gemm_library(dtype: Any) -> Any:
    """Load or compile the GEMM library of a Numba type, and make it known to the linker."""
    return linked_library(_symbol(dtype), functools.partial(_define, dtype))


# Cached kernels list functions to call before they are loaded: one per type.
def _load_float32() -> None:
    gemm_library(types.float32)


def _load_float64() -> None:
    gemm_library(types.float64)


def _load_pairs() -> None:
    gemm_library(types.int32)


_SCALARS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.int32: ir.IntType(32)}
_LOADERS = {types.float32: _load_float32, types.float64: _load_float64, types.int32: _load_pairs}


def _symbol(dtype: Any) -> str:
    return f"zoo.add_panels.{dtype}"


def _declare(dtype: Any, module: ir.Module, suffix: str = "") -> ir.Function:
    """Declare a function for ``c = addend + a @ b`` in a module.

    Its arguments are ``(a, b, c, addend, ld_addend, block, row, k, ldc, rows, depth, width)``. Row r of the
    addend starts at ``addend + r * ld_addend``: it is c, or a row for which ``ld_addend`` is 0. A null
    pointer is an addend of zeros.
    """
    operands, sums = [_SCALARS[dtype].as_pointer()] * 2, [_sum_type(dtype).as_pointer()] * 2
    kind = ir.FunctionType(ir.VoidType(), [*operands, *sums, *[_INDEX] * 8])
    function: ir.Function = builder_tools.get_or_insert_function(module, kind, _symbol(dtype) + suffix)
    function.attributes.add("nounwind")
    return function


def sum_vector(dtype: Any) -> ir.VectorType:
    """The LLVM type of a vector of sums of products of operands."""
    return ir.VectorType(_sum_type(dtype), lanes(dtype))


def _sum_type(dtype: Any) -> ir.Type:
    return ir.FloatType() if dtype == types.int32 else _SCALARS[dtype]


def emit_multiply_add(builder: ir.IRBuilder, dtype: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` for vectors of :func:`sum_vector`, fused if the processor supports it.

    For int32, a and b hold pairs of bfloat16: ``c + a[1] * b[1] + a[0] * b[0]``, in this order, each sum
    rounded.
    """
    kind, operands = c.type, [a, b, c]
    if dtype == types.int32:  # another instruction set would need its own tile
        pairs = ir.VectorType(BFloatType(), 2 * kind.count)
        operands = [c, builder.bitcast(a, pairs), builder.bitcast(b, pairs)]
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * kind.count}"
    else:
        name = f"llvm.fmuladd.v{kind.count}f{64 if kind.element == ir.DoubleType() else 32}"
    signature = ir.FunctionType(kind, [operand.type for operand in operands])
    return builder.call(builder.module.declare_intrinsic(name, (), signature), operands)


def _define(dtype: Any, module: ir.Module) -> None:
    function, product = _declare(dtype, module), _declare(dtype, module, _UNDIVIDED)
    product.attributes.add("noinline")

    def new_function(suffix: str) -> ir.Function:
        made = ir.Function(module, function.function_type, f"{function.name}.{suffix}")
        made.linkage = "internal"
        made.attributes.add("noinline")
        return made

    remainder, parallel = new_function("remainder"), new_function("parallel")
    # Unrolled, these loops took twice as long to compile, and were up to 4 % faster.
    remainder.attributes.add("optsize")
    for each in (function, product, remainder):
        for pointer in each.args[:2]:  # c may be the addend
            pointer.add_attribute("noalias")
    builder = ir.IRBuilder(remainder.append_basic_block())
    _GemmEmitter(builder, dtype, remainder.args).emit_remainder()
    builder.ret_void()
    builder = ir.IRBuilder(product.append_basic_block())
    _GemmEmitter(builder, dtype, product.args).emit(remainder)
    builder.ret_void()
    _define_parallel(parallel, product, dtype)
    builder = ir.IRBuilder(function.append_basic_block())
    with builder.if_else(emit_has_idle_workers(builder), likely=False) as (divided, whole):
        with divided:
            builder.call(parallel, function.args, tail=True)
        with whole:
            builder.call(product, function.args, tail=True)
    builder.ret_void()


def _define_parallel(parallel: ir.Function, product: ir.Function, dtype: Any) -> None:
    """Define the product as parts of its panels or of its rows, which idle workers compute."""
    builder = ir.IRBuilder(parallel.append_basic_block())
    emitter = _GemmEmitter(builder, dtype, parallel.args)
    work = functools.reduce(builder.mul, [emitter.rows, emitter.depth, emitter.width])
    blocks = _maximum(builder, *emitter.count_blocks())
    max_parts = _minimum(builder, builder.sdiv(work, _INDEX(MIN_PART)), blocks)
    with builder.if_then(builder.icmp_signed("<=", max_parts, _INDEX(1))):
        builder.call(product, parallel.args)
        builder.ret_void()
    data = builder.alloca(ir.ArrayType(_INDEX, len(parallel.args)))
    for n, argument in enumerate(parallel.args):
        is_pointer = isinstance(argument.type, ir.PointerType)
        number = builder.ptrtoint(argument, _INDEX) if is_pointer else argument
        builder.store(number, builder.gep(data, [_INDEX(0), _INDEX(n)]))
    code = builder.ptrtoint(_define_part(product, dtype), _INDEX)
    emit_run_parts(builder, code, builder.ptrtoint(data, _INDEX), max_parts)  # a part cannot fail
    builder.ret_void()


def _define_part(product: ir.Function, dtype: Any) -> ir.Function:
    """Define ``(data, part, parts)``: the part of a product whose arguments are at the address ``data``."""
    function = new_bound_function(product.module, f"{product.name}.part")
    builder = ir.IRBuilder(function.append_basic_block())
    address, part, parts = function.args[2:]
    data = builder.inttoptr(address, _INDEX.as_pointer())
    arguments = []
    for n, argument in enumerate(product.args):
        value = builder.load(builder.gep(data, [_INDEX(n)]))
        is_pointer = isinstance(argument.type, ir.PointerType)
        arguments.append(builder.inttoptr(value, argument.type) if is_pointer else value)
    emitter = _GemmEmitter(builder, dtype, arguments)
    a, b, c, addend, ld_addend, block, row, k, ldc, rows, depth, width = arguments
    panels, blocks = emitter.count_blocks()
    is_by_panels = builder.icmp_signed(">=", panels, parts)
    count = builder.select(is_by_panels, panels, blocks)
    first, last = (
        builder.sdiv(builder.mul(count, number), parts) for number in (part, builder.add(part, _INDEX(1)))
    )
    zero, height = _INDEX(0), _INDEX(tile_shape().height)
    column, end_column = (
        builder.mul(builder.select(is_by_panels, *pair), emitter.columns)
        for pair in ((first, zero), (last, panels))
    )
    first_block = builder.select(is_by_panels, zero, first)
    first_row, end_row = (
        builder.mul(blocks_before, height)
        for blocks_before in (first_block, builder.select(is_by_panels, blocks, last))
    )
    part_arguments = [
        builder.gep(a, [builder.mul(first_block, block)]),
        builder.gep(b, [builder.mul(column, depth)]),
        builder.gep(c, [builder.add(builder.mul(first_row, ldc), column)]),
        _offset_or_null(builder, addend, builder.add(builder.mul(first_row, ld_addend), column)),
        *(ld_addend, block, row, k, ldc),
        builder.sub(_minimum(builder, rows, end_row), first_row),
        depth,
        builder.sub(_minimum(builder, width, end_column), column),
    ]
    builder.call(product, part_arguments)
    return_result(builder, ir.IntType(1)(1))
    return function


def _offset_or_null(builder: ir.IRBuilder, pointer: Any, offset: Any) -> Any:
    """The address of an element, or null for a null pointer."""
    return builder.select(_is_null(builder, pointer), pointer, builder.gep(pointer, [offset]))


def _is_null(builder: ir.IRBuilder, pointer: Any) -> Any:
    return builder.icmp_unsigned("==", pointer, ir.Constant(pointer.type, None))


def _ceil_divide(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    return builder.sdiv(builder.add(a, builder.sub(b, _INDEX(1))), b)


def _minimum(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _maximum(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_signed("<", a, b), b, a)


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


class _GemmEmitter:
    """Emit a matrix product into a function with the given arguments."""

    def __init__(self, builder: ir.IRBuilder, dtype: Any, arguments: Any) -> None:
        self.builder, self.dtype, self.arguments = builder, dtype, arguments
        self.vector, self.size = sum_vector(dtype), int(dtype.bitwidth) // 8
        self.a, self.b, self.c, self.addend, self.ld_addend, *numbers = arguments
        self.block, self.row, self.k, self.ldc, self.rows, self.depth, self.width = numbers
        self.columns = _INDEX(tile_shape().vectors * self.vector.count)
        self.panel = builder.mul(self.depth, self.columns)

    def count_blocks(self) -> tuple[Any, Any]:
        """The number of panels, and of blocks of rows of the tallest tile's height."""
        return (
            _ceil_divide(self.builder, self.width, self.columns),
            _ceil_divide(self.builder, self.rows, _INDEX(tile_shape().height)),
        )

    def emit(self, remainder: ir.Function) -> None:
        """Compute whole panels in the tallest tiles if they hold all rows, and call ``remainder`` else."""
        builder, shape = self.builder, tile_shape()
        whole = builder.sdiv(self.width, self.columns)
        partial = builder.icmp_signed("!=", builder.mul(whole, self.columns), self.width)
        with builder.if_else(self._is_multiple_of_height()) as (tall, other):
            with tall:
                rows = _INDEX(0), self.rows, shape.height
                self._sweep((_INDEX(0), whole, 1), rows, (shape.widths[-1][0], self.vector))
                with builder.if_then(partial, likely=False):
                    builder.call(remainder, self.arguments)
            with other:
                builder.call(remainder, self.arguments)

    def emit_remainder(self) -> None:
        """Compute whole panels in tiles of fewer rows, several panels at once; then a partial panel."""
        builder, max_panels = self.builder, tile_shape().max_panels
        whole = builder.sdiv(self.width, self.columns)
        height, split = self._split_rows()
        # A few panels for all rows, then the next: the weights come from a distant cache once.
        end = builder.select(self._is_multiple_of_height(), _INDEX(0), whole)
        with (
            _range(builder, _INDEX(0), end, max_panels) as first,
            _range(builder, _INDEX(0), _INDEX(2), 1) as n,
        ):
            last = _minimum(builder, builder.add(first, _INDEX(max_panels)), whole)
            is_first = builder.icmp_signed("==", n, _INDEX(0))
            start, stop = (
                builder.select(is_first, _INDEX(0), split),
                builder.select(is_first, split, self.rows),
            )
            self._emit_tiles((first, last), (start, stop), builder.sub(height, n))
        rest = builder.sub(self.width, builder.mul(whole, self.columns))
        with builder.if_then(builder.icmp_signed(">", rest, _INDEX(0)), likely=False):
            few = ir.VectorType(self.vector.element, _MIN_VECTOR_BYTES // self.size)
            shapes = [(1, self.vector), (tile_shape().vectors, self.vector)]
            self._emit_edge(whole, rest, shapes if few == self.vector else [(1, few), *shapes])

    def _is_multiple_of_height(self) -> Any:
        """Whether the rows fill tiles of the full height."""
        rest = self.builder.urem(self.rows, _INDEX(tile_shape().height))
        return self.builder.icmp_signed("==", rest, _INDEX(0))

    def _split_rows(self) -> tuple[Any, Any]:
        """The height of the first tiles, and their last row plus one; further tiles have one row fewer.

        The tiles are as few and as equal as possible: 10 rows are two tiles of 5, and 13 are tiles of 7 and
        6. Tiles of 8, 4 and 1 rows would load the weights three times from the second-level cache, which
        limits tiles of few rows. 7 rows took 1.3 to 2.0 times as long that way.
        """
        builder, height = self.builder, tile_shape().height
        tiles = builder.sdiv(builder.add(self.rows, _INDEX(height - 1)), _INDEX(height))
        tiles = builder.select(builder.icmp_signed("==", tiles, _INDEX(0)), _INDEX(1), tiles)  # no rows
        first = builder.sdiv(builder.add(self.rows, builder.sub(tiles, _INDEX(1))), tiles)
        lower = builder.mul(tiles, builder.sub(first, _INDEX(1)))
        return first, builder.mul(first, builder.sub(self.rows, lower))

    def _emit_tiles(self, panels: tuple[Any, Any], rows: tuple[Any, Any], height: Any) -> None:
        """Tiles of whole panels, of a height that is known when the product is computed."""
        builder, shape = self.builder, tile_shape()
        end = builder.append_basic_block("tiles.end")
        choice = builder.switch(height, end)
        for case in range(1, shape.height + 1):
            block = builder.append_basic_block(f"tiles.{case}")
            choice.add_case(_INDEX(case), block)
            builder.position_at_end(block)
            first, last = panels
            for width in shape.widths[case - 1]:
                group = shape.panels(width)
                whole = builder.mul(builder.udiv(builder.sub(last, first), _INDEX(group)), _INDEX(group))
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
        fits = builder.icmp_signed("<=", rest, _INDEX(vectors * vector.count))
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
        panels, start = (panel, builder.add(panel, _INDEX(1)), 1), _INDEX(0)
        while height:
            stop = builder.and_(self.rows, _INDEX(-height))
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
        with _range(builder, *panels) as panel, _range(builder, *rows) as row:
            row_indices = [builder.add(row, _INDEX(r)) for r in range(rows[2])]
            for start in range(0, panels[2] * in_panel if not masks else width, width):
                positions = [divmod(v, in_panel) for v in range(start, start + width)]
                vectors = [(builder.add(panel, _INDEX(p)), v) for p, v in positions]
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
        with _range(builder, _INDEX(0), self.depth, 1) as k:
            self._add_products(tile, k, sums)
        # The addend last: its loads from a distant cache overlap the next tile. Sums that began with c had to
        # wait for it, and the gradient of a matrix of 512 by 2048 took 1.08 times as long on an AMD EPYC
        # (Zen 3).
        with builder.if_else(_is_null(builder, self.addend)) as (only_products, with_addend):
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
            scalar = builder.load(builder.gep(self.a, [builder.add(self._row_of_a(row), column)]))
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

    def _row_of_a(self, row: Any) -> Any:
        """Offset of a row of a."""
        builder, height = self.builder, _INDEX(tile_shape().height)
        block = builder.mul(builder.udiv(row, height), self.block)
        return builder.add(block, builder.mul(builder.urem(row, height), self.row))

    def _vectors(self, tile: _MicroTile, start: Any, panel_stride: Any) -> list[Any]:
        """Pointers to the vectors of a tile, whose panels are ``panel_stride`` elements apart."""
        builder, pointer = self.builder, tile.vector.as_pointer()
        panels = [(builder.gep(start, [builder.mul(panel, panel_stride)]), v) for panel, v in tile.vectors]
        return [builder.gep(builder.bitcast(panel, pointer), [_INDEX(v)]) for panel, v in panels]


@contextmanager
def _range(builder: ir.IRBuilder, start: Any, stop: Any, step: int) -> Iterator[Any]:
    """A loop over ``range(start, stop, step)``."""
    with builder_tools.for_range_slice(builder, start, stop, _INDEX(step), _INDEX) as (index, _):
        yield index
