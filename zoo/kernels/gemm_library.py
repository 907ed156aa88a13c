"""The library of matrix products: kernels call its functions, and idle workers compute parts of a product.

A product is compiled once for each type of operands, by the emitter for the processor.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.errors import UsageError
from zoo.kernels.amx_microkernel import AmxEmitter
from zoo.kernels.bound_calls import new_bound_function, return_result
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.gemm_microkernel import VectorEmitter
from zoo.kernels.instructions import builder_tools
from zoo.kernels.linked_library import linked_library
from zoo.kernels.nested_parallelism import emit_has_idle_workers, emit_run_parts
from zoo.kernels.processor import has_amx, request_tiles
from zoo.kernels.product_emitter import (
    INDEX,
    ProductEmitter,
    internal_function,
    mark_distinct,
    maximum,
    minimum,
    offset_or_null,
    product_type,
)


@intrinsic
def add_panels(
    _typing: Any, a: Any, a0: Any, b: Any, b0: Any, c: Any, c0: Any, strides: Any, sizes: Any
) -> Any:
    """``c += a @ b`` for a packed b. Idle workers may compute parts (:mod:`zoo.kernels.nested_parallelism`).

    All arrays are flat. With ``strides = (block, row, k, ldc)`` and ``sizes = (rows, depth, width)``: rows
    of a are in blocks of a tile's height, and step k of row r of block n is at ``a0 + n * block + r *
    row + k * k``; the panels of b start at ``b0``, one after the other, and hold
    the columns of a panel at each step; row r of c starts at ``c0 + r * ldc`` and has ``width`` columns. If a
    and b hold pairs of bfloat16, c is float32. On AMX, step k is then at ``a0 + r * row + k``, and the depth
    is a multiple of 16.
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
            addend = ir.Constant(address(4).type, None), INDEX(0)
        else:
            addend = address(8), INDEX(0)
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
    if has_amx() and (problem := request_tiles()):
        raise UsageError(f"kernels of precision 'bf16' cannot run: {problem}; use `precision='float32'`.")
    gemm_library(types.int32)


_LOADERS = {types.float32: _load_float32, types.float64: _load_float64, types.int32: _load_pairs}


def _symbol(dtype: Any) -> str:
    return f"zoo.add_panels.{dtype}"


def _declare(dtype: Any, module: ir.Module, suffix: str = "") -> ir.Function:
    """Declare a function of :class:`ProductEmitter` in a module."""
    symbol = _symbol(dtype) + suffix
    function: ir.Function = builder_tools.get_or_insert_function(module, product_type(dtype), symbol)
    function.attributes.add("nounwind")
    return function


def _emitter(dtype: Any) -> type[ProductEmitter]:
    return AmxEmitter if dtype == types.int32 and has_amx() else VectorEmitter


def _define(dtype: Any, module: ir.Module) -> None:
    function, product = _declare(dtype, module), _declare(dtype, module, _UNDIVIDED)
    product.attributes.add("noinline")
    parallel = internal_function(module, dtype, f"{function.name}.parallel")
    for each in (function, product):
        mark_distinct(each)
    builder = ir.IRBuilder(product.append_basic_block())
    _emitter(dtype)(builder, dtype, product.args).emit()
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
    emitter = _emitter(dtype)(builder, dtype, parallel.args)
    work = functools.reduce(builder.mul, [emitter.rows, emitter.depth, emitter.width])
    blocks = maximum(builder, *emitter.count_blocks())
    max_parts = minimum(builder, builder.sdiv(work, INDEX(emitter.min_part)), blocks)
    with builder.if_then(builder.icmp_signed("<=", max_parts, INDEX(1))):
        builder.call(product, parallel.args)
        builder.ret_void()
    data = builder.alloca(ir.ArrayType(INDEX, len(parallel.args)))
    for n, argument in enumerate(parallel.args):
        is_pointer = isinstance(argument.type, ir.PointerType)
        number = builder.ptrtoint(argument, INDEX) if is_pointer else argument
        builder.store(number, builder.gep(data, [INDEX(0), INDEX(n)]))
    code = builder.ptrtoint(_define_part(product, dtype), INDEX)
    emit_run_parts(builder, code, builder.ptrtoint(data, INDEX), max_parts)  # a part cannot fail
    builder.ret_void()


def _define_part(product: ir.Function, dtype: Any) -> ir.Function:
    """Define ``(data, part, parts)``: the part of a product whose arguments are at the address ``data``."""
    function = new_bound_function(product.module, f"{product.name}.part")
    builder = ir.IRBuilder(function.append_basic_block())
    address, part, parts = function.args[2:]
    data = builder.inttoptr(address, INDEX.as_pointer())
    arguments = []
    for n, argument in enumerate(product.args):
        value = builder.load(builder.gep(data, [INDEX(n)]))
        is_pointer = isinstance(argument.type, ir.PointerType)
        arguments.append(builder.inttoptr(value, argument.type) if is_pointer else value)
    emitter = _emitter(dtype)(builder, dtype, arguments)
    a, b, c, addend, ld_addend, block, row, k, ldc, rows, depth, width = arguments
    panels, blocks = emitter.count_blocks()
    is_by_panels = builder.icmp_signed(">=", panels, parts)
    count = builder.select(is_by_panels, panels, blocks)
    first, last = (
        builder.sdiv(builder.mul(count, number), parts) for number in (part, builder.add(part, INDEX(1)))
    )
    zero, height = INDEX(0), INDEX(emitter.block_rows)
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
        builder.gep(a, [emitter.row_of_a(first_row)]),
        builder.gep(b, [builder.mul(column, depth)]),
        builder.gep(c, [builder.add(builder.mul(first_row, ldc), column)]),
        offset_or_null(builder, addend, builder.add(builder.mul(first_row, ld_addend), column)),
        *(ld_addend, block, row, k, ldc),
        builder.sub(minimum(builder, rows, end_row), first_row),
        depth,
        builder.sub(minimum(builder, width, end_column), column),
    ]
    builder.call(product, part_arguments)
    return_result(builder, ir.IntType(1)(1))
    return function
