"""The arrays of a batch and those of its shards: cut out before, and put in place after.

As instructions of LLVM, for as Python they would take longer to compile than to run in a thousand steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from zoo.kernels.float_formats import intrinsic

_tools: Any = cgutils  # Numba's helpers are untyped
_populate: Any = populate_array
_FLAG, _SIZE = ir.IntType(1), ir.IntType(64)

# Octets; whole registers.
_ALIGNMENT = 64


@intrinsic
def own_rows(_typing: Any, arrays: Any, _first: Any, _end: Any) -> Any:
    """Rows of C-contiguous arrays ``(B, ...)`` in tuples of tuples, as views that own nothing."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _for_each(context, builder, arrays, args[0], functools.partial(_rows, span=args[1:]))

    return arrays(arrays, types.int64, types.int64), emit


@intrinsic
def own_columns(_typing: Any, arrays: Any, _first: Any, _end: Any) -> Any:
    """The same of ``(T, B, ...)``, in new arrays."""

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return _for_each(context, builder, arrays, args[0], functools.partial(_columns, span=args[1:]))

    return arrays(arrays, types.int64, types.int64), emit


@intrinsic
def copy_each(_typing: Any, sources: Any, targets: Any) -> Any:
    """Copy every array of a tuple of C-contiguous arrays into the array at its place in another.

    Returns:
        Whether all had the same sizes; those that do not are left alone.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        fits = _FLAG(1)
        for n in range(len(sources)):
            source, target = (_part(context, builder, signature, args, place, n) for place in range(2))
            same = builder.icmp_signed("==", source.nitems, target.nitems)
            with builder.if_then(same):
                _copy(builder, target.data, source)
            fits = builder.and_(fits, same)
        return fits

    return types.boolean(sources, targets), emit


@intrinsic
def lay_out(_typing: Any, sources: Any, target: Any, _adds: Any) -> Any:
    """Copy a tuple of C-contiguous arrays into a flat one, one behind the other, or add them to it.

    Returns:
        Whether they have as many numbers as the flat one; if not, it is left alone.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        flat = context.make_array(signature.args[1])(context, builder, args[1])
        arrays = [_part(context, builder, signature, args, 0, n) for n in range(len(sources))]
        total = functools.reduce(builder.add, [array.nitems for array in arrays])
        fits = builder.icmp_signed("==", total, flat.nitems)
        put = _putting(builder.module, flat.data.type)
        with builder.if_then(fits):
            place = flat.data
            for array in arrays:
                builder.call(put, [place, array.data, array.nitems, args[2]])
                place = builder.gep(place, [array.nitems])
        return fits

    return types.boolean(sources, target, types.boolean), emit


def _for_each(context: Any, builder: ir.IRBuilder, kind: Any, value: Any, make: Callable[..., Any]) -> Any:
    """What is made of each array of a tuple of tuples, in such a tuple, or of the only one there is."""
    if not isinstance(kind, types.BaseTuple):
        return make(context, builder, kind, context.make_array(kind)(context, builder, value))
    kinds: Any = kind  # Numba's own types are untyped
    parts = [
        _for_each(context, builder, each, builder.extract_value(value, n), make)
        for n, each in enumerate(kinds)
    ]
    return context.make_tuple(builder, kind, parts)


def _rows(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, span: Any) -> Any:
    """Rows of an array ``(B, ...)``, where they are."""
    first, end = span
    _, *others = _tools.unpack_tuple(builder, array.shape)
    data = builder.gep(array.data, [_product(builder, [first, *others])])
    return _array(context, builder, kind, [builder.sub(end, first), *others], data, None)


def _columns(context: Any, builder: ir.IRBuilder, kind: Any, array: Any, span: Any) -> Any:
    """Rows of an array ``(T, B, ...)``, copied step by step."""
    first, end = span
    steps, batch, *others = _tools.unpack_tuple(builder, array.shape)
    count = builder.sub(end, first)
    width = _product(builder, others)
    size, whole, before = (builder.mul(rows, width) for rows in (count, batch, first))
    octets = _product(builder, [steps, size, array.itemsize])
    owner = context.nrt.meminfo_alloc_aligned(builder, octets, _ALIGNMENT)
    with _tools.if_unlikely(builder, _tools.is_null(builder, owner)):
        context.call_conv.return_user_exc(builder, MemoryError, ("no room for a part of the batch",))
    data = context.nrt.meminfo_data(builder, owner)
    source = builder.bitcast(builder.gep(array.data, [before]), data.type)
    lengths = [builder.mul(each, array.itemsize) for each in (size, whole)]
    builder.call(_copying_steps(builder.module, data.type), [data, source, steps, *lengths])
    data = builder.bitcast(data, array.data.type)
    return _array(context, builder, kind, [steps, count, *others], data, owner)


def _copying_steps(module: ir.Module, address: Any) -> Any:
    """The function that copies a part of every step: so many octets of so many."""

    def write(builder: ir.IRBuilder, target: Any, source: Any, steps: Any, size: Any, whole: Any) -> None:
        with _tools.for_range(builder, steps) as loop:
            places = [(target, size), (source, whole)]
            to, part = (builder.gep(place, [builder.mul(loop.index, length)]) for place, length in places)
            _tools.raw_memcpy(builder, to, part, size, _SIZE(1))

    return _shared(module, "zoo_copy_steps", [address, address, _SIZE, _SIZE, _SIZE], write)


def _array(context: Any, builder: ir.IRBuilder, kind: Any, shape: list[Any], data: Any, owner: Any) -> Any:
    """A C-contiguous array of a type."""
    made = context.make_array(kind)(context, builder)
    octets = _SIZE(context.get_abi_sizeof(data.type.pointee))
    strides = [_product(builder, [octets, *shape[n + 1 :]]) for n in range(len(shape))]
    _populate(made, data, shape, strides, octets, owner)
    return made._getvalue()


def _product(builder: ir.IRBuilder, numbers: list[Any]) -> Any:
    return functools.reduce(builder.mul, numbers, _SIZE(1))


def _part(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, place: int, n: int) -> Any:
    """An array of a tuple that is an argument."""
    kind, value = signature.args[place][n], builder.extract_value(args[place], n)
    return context.make_array(kind)(context, builder, value)


def _copy(builder: ir.IRBuilder, target: Any, source: Any) -> None:
    """Copy the numbers of an array to an address."""
    _tools.raw_memcpy(builder, target, source.data, source.nitems, source.itemsize)


def _putting(module: ir.Module, address: Any) -> Any:
    """The function that copies or adds so many numbers."""

    def write(builder: ir.IRBuilder, target: Any, source: Any, count: Any, adds: Any) -> None:
        with builder.if_else(adds) as (adding, copying):
            with adding, _tools.for_range(builder, count) as loop:
                place = builder.gep(target, [loop.index])
                number = builder.load(builder.gep(source, [loop.index]))
                builder.store(builder.fadd(builder.load(place), number), place)
            with copying:
                _tools.raw_memcpy(builder, target, source, count, _tools.sizeof(builder, address))

    return _shared(module, f"zoo_put_{address.pointee}", [address, address, _SIZE, _FLAG], write)


def _shared(module: ir.Module, name: str, kinds: list[Any], write: Callable[..., None]) -> Any:
    """A function of this module that returns nothing; LLVM would unroll its loop wherever it is used."""
    if name in module.globals:
        return module.globals[name]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name=name)
    made.linkage = "internal"
    made.attributes.add("noinline")
    builder = ir.IRBuilder(made.append_basic_block())
    write(builder, *made.args)
    builder.ret_void()
    return made
