"""Slicing of a batch into shards in compiled code, and copies of results back into the batch.

Written as LLVM instructions: as Python they would take longer to compile than to run in a thousand steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.np.arrayobj import populate_array

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import builder_tools

_populate: Any = populate_array
_FLAG, _SIZE = ir.IntType(1), ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()

_ALIGNMENT = 64  # bytes of a vector register


@intrinsic
def slice_rows(_typing: Any, arrays: Any, _first: Any, _end: Any) -> Any:
    """Rows of C-contiguous arrays ``(B, ...)`` in nested tuples, as views."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _for_each(context, builder, arrays, args[0], functools.partial(_sliced_rows, span=args[1:]))

    return arrays(arrays, types.int64, types.int64), emit


@intrinsic
def copy_columns(_typing: Any, arrays: Any, _first: Any, _end: Any) -> Any:
    """Rows ``first:end`` of every step of arrays ``(T, B, ...)`` in nested tuples, in new arrays."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _for_each(context, builder, arrays, args[0], functools.partial(_copied_columns, span=args[1:]))

    return arrays(arrays, types.int64, types.int64), emit


@intrinsic
def put_columns(_typing: Any, part: Any, whole: Any, _first: Any) -> Any:
    """Copy ``part (T, rows, I)`` to the rows of ``whole (T, B, I)`` from ``first`` on."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        source, target = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, args[:2], strict=False)
        )
        steps, rows, width = builder_tools.unpack_tuple(builder, source.shape)
        _, batch, _ = builder_tools.unpack_tuple(builder, target.shape)
        row_bytes = builder.mul(width, source.itemsize)
        size, step_size = (builder.mul(count, row_bytes) for count in (rows, batch))
        start = builder.gep(target.data, [builder.mul(args[2], width)])
        lengths = [size, step_size, size]
        copy = _step_copy_function(builder.module)
        pointers = [builder.bitcast(each, _BYTES) for each in (start, source.data)]
        builder.call(copy, [*pointers, steps, *lengths])
        return context.get_dummy_value()

    return types.void(part, whole, types.int64), emit


@intrinsic
def copy_all(_typing: Any, sources: Any, targets: Any) -> Any:
    """Copy every array of a tuple of C-contiguous arrays into the array at the same index of another tuple.

    Returns:
        Whether all pairs have the same size; other pairs are not copied.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        fits = _FLAG(1)
        for n in range(len(sources)):
            source, target = (_tuple_array(context, builder, signature, args, index, n) for index in range(2))
            same = builder.icmp_signed("==", source.nitems, target.nitems)
            with builder.if_then(same):
                _copy(builder, target.data, source)
            fits = builder.and_(fits, same)
        return fits

    return types.boolean(sources, targets), emit


@intrinsic
def flatten_into(_typing: Any, sources: Any, target: Any, _adds: Any, _first: Any, _end: Any) -> Any:
    """Concatenate a tuple of C-contiguous arrays into a flat array, or add the concatenation to it.

    Only the elements ``first`` to ``end - 1`` of the flat array are written.

    Returns:
        Whether the sizes agree; if not, the flat array is unchanged.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        flat = context.make_array(signature.args[1])(context, builder, args[1])
        arrays = [_tuple_array(context, builder, signature, args, 0, n) for n in range(len(sources))]
        total = functools.reduce(builder.add, [array.nitems for array in arrays])
        fits = builder.icmp_signed("==", total, flat.nitems)
        put = _put_function(builder.module, flat.data.type)
        with builder.if_then(fits):
            adds, first, end = args[2:]
            offset = _SIZE(0)  # of the array in the flat one
            for array in arrays:
                start, stop = (
                    _clamp(builder, builder.sub(bound, offset), array.nitems) for bound in (first, end)
                )
                source, count = builder.gep(array.data, [start]), builder.sub(stop, start)
                builder.call(put, [builder.gep(flat.data, [builder.add(offset, start)]), source, count, adds])
                offset = builder.add(offset, array.nitems)
        return fits

    return types.boolean(sources, target, types.boolean, types.int64, types.int64), emit


def _clamp(builder: ir.IRBuilder, number: Any, largest: Any) -> Any:
    """The number, or the nearest one from 0 to ``largest``."""
    number = builder.select(builder.icmp_signed("<", number, _SIZE(0)), _SIZE(0), number)
    return builder.select(builder.icmp_signed("<", number, largest), number, largest)


def _for_each(context: Any, builder: ir.IRBuilder, kind: Any, value: Any, make: Callable[..., Any]) -> Any:
    """Apply ``make`` to every array of nested tuples, or to a single array."""
    if not isinstance(kind, types.BaseTuple):
        return make(context, builder, kind, context.make_array(kind)(context, builder, value))
    kinds: Any = kind  # Numba's own types are untyped
    parts = [
        _for_each(context, builder, each, builder.extract_value(value, n), make)
        for n, each in enumerate(kinds)
    ]
    return context.make_tuple(builder, kind, parts)


def _sliced_rows(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, span: Any) -> Any:
    first, end = span
    _, *others = builder_tools.unpack_tuple(builder, array.shape)
    data = builder.gep(array.data, [_product(builder, [first, *others])])
    # A tape may hold a view of an initial state, and outlive the call.
    context.nrt.incref(builder, kind, array._getvalue())
    return _make_array(context, builder, kind, [builder.sub(end, first), *others], data, array.meminfo)


def _copied_columns(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, span: Any) -> Any:
    first, end = span
    steps, batch, *others = builder_tools.unpack_tuple(builder, array.shape)
    count = builder.sub(end, first)
    width = _product(builder, others)
    size, step_size, offset = (builder.mul(rows, width) for rows in (count, batch, first))
    num_bytes = _product(builder, [steps, size, array.itemsize])
    owner = context.nrt.meminfo_alloc_aligned(builder, num_bytes, _ALIGNMENT)
    with builder_tools.if_unlikely(builder, builder_tools.is_null(builder, owner)):
        context.call_conv.return_user_exc(builder, MemoryError, ("out of memory for a shard of the batch",))
    data = context.nrt.meminfo_data(builder, owner)
    size, step_size = (builder.mul(each, array.itemsize) for each in (size, step_size))
    pointers = [builder.bitcast(each, _BYTES) for each in (data, builder.gep(array.data, [offset]))]
    builder.call(_step_copy_function(builder.module), [*pointers, steps, size, size, step_size])
    data = builder.bitcast(data, array.data.type)
    return _make_array(context, builder, kind, [steps, count, *others], data, owner)


def _step_copy_function(module: ir.Module) -> Any:
    """The function that copies ``size`` bytes of each step, given the bytes from one step to the next."""

    def write(
        builder: ir.IRBuilder, target: Any, source: Any, steps: Any, size: Any, *step_sizes: Any
    ) -> None:
        with builder_tools.for_range(builder, steps) as loop:
            to, start = (
                builder.gep(pointer, [builder.mul(loop.index, length)])
                for pointer, length in zip((target, source), step_sizes, strict=True)
            )
            builder_tools.raw_memcpy(builder, to, start, size, _SIZE(1))

    return _define_once(module, "zoo_copy_steps", [_BYTES, _BYTES, *[_SIZE] * 4], write)


def _make_array(
    context: Any, builder: ir.IRBuilder, kind: Any, shape: list[Any], data: Any, owner: Any
) -> Any:
    made = context.make_array(kind)(context, builder)
    itemsize = _SIZE(context.get_abi_sizeof(data.type.pointee))
    strides = [_product(builder, [itemsize, *shape[n + 1 :]]) for n in range(len(shape))]
    _populate(made, data, shape, strides, itemsize, owner)
    return made._getvalue()


def _product(builder: ir.IRBuilder, factors: list[Any]) -> Any:
    return functools.reduce(builder.mul, factors, _SIZE(1))


def _tuple_array(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, index: int, n: int) -> Any:
    """Array n of the tuple that is argument ``index``."""
    kind, value = signature.args[index][n], builder.extract_value(args[index], n)
    return context.make_array(kind)(context, builder, value)


def _copy(builder: ir.IRBuilder, target: Any, source: Any) -> None:
    builder_tools.raw_memcpy(builder, target, source.data, source.nitems, source.itemsize)


def _put_function(module: ir.Module, address: Any) -> Any:
    """The function that copies or adds ``count`` elements."""

    def write(builder: ir.IRBuilder, target: Any, source: Any, count: Any, adds: Any) -> None:
        with builder.if_else(adds) as (adding, copying):
            with adding, builder_tools.for_range(builder, count) as loop:
                pointer = builder.gep(target, [loop.index])
                value = builder.load(builder.gep(source, [loop.index]))
                builder.store(builder.fadd(builder.load(pointer), value), pointer)
            with copying:
                builder_tools.raw_memcpy(
                    builder, target, source, count, builder_tools.sizeof(builder, address)
                )

    return _define_once(module, f"zoo_put_{address.pointee}", [address, address, _SIZE, _FLAG], write)


def _define_once(module: ir.Module, name: str, kinds: list[Any], write: Callable[..., None]) -> Any:
    """Define a void function once per module, not inlined: LLVM would unroll its loop at every use."""
    if name in module.globals:
        return module.globals[name]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name=name)
    made.linkage = "internal"
    made.attributes.add("noinline")
    builder = ir.IRBuilder(made.append_basic_block())
    write(builder, *made.args)
    builder.ret_void()
    return made
