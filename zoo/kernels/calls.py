"""Calls from one compiled kernel to another through its address, in the machine code that Python calls.

Kernels otherwise take those that they call into themselves, and compile them anew. A caller of this kind is a
few lines long, compiles in a fifth of a second whatever it calls, and computes the very bits that its kernels
do when Python calls them one by one.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_new_ref
from numba.extending import typeof_impl

from zoo.kernels.intrinsics import intrinsic
from zoo.kernels.jit import Kernel

_tools: Any = cgutils  # Numba's helpers are untyped
_new: Any = impl_ret_new_ref
_FLAG = ir.IntType(1)


class Code(NamedTuple):
    """Machine code of a kernel.

    Args:
        address: Where it is.
        returns: The Numba type of what it returns.
    """

    address: int
    returns: Any


class Entry:
    """A kernel that compiled code calls through its address; what Numba sees of it is what it returns.

    Args:
        kernel: The kernel.
    """

    def __init__(self, kernel: Kernel[Any, Any]) -> None:
        self.kernel = kernel
        # By these, digests find what it stands for.
        self.__wrapped__, self.__module__ = kernel, kernel.__module__

    def find(self, kinds: tuple[Any, ...]) -> Code | None:
        """The code for arguments of these Numba types; None if there is none yet, for nothing is compiled."""
        overloads: Any = getattr(self.kernel.dispatcher, "overloads", {})
        if kinds not in overloads:
            return None
        found = overloads[kinds]
        address = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
        return Code(address, found.signature.return_type)


@typeof_impl.register(Entry)
def _type_of_entry(entry: Entry, context: Any) -> Any:
    return numba.typeof(entry.kernel.dispatcher, context.purpose)  # type: ignore[no-untyped-call]


@intrinsic
def call(typing: Any, entry: Any, address: Any, arguments: Any) -> Any:
    """``entry(*arguments)`` by the code at an address, from :meth:`Entry.find` for these arguments."""
    callee = entry.get_call_type(typing, tuple(arguments), {})

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(callee.return_type, callee.args)
        place = builder.inttoptr(args[1], kind.as_pointer())
        given = [builder.extract_value(args[2], n) for n in range(len(callee.args))]
        status, result = convention.call_function(builder, place, callee.return_type, callee.args, given)
        with _tools.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return _new(context, builder, callee.return_type, result)

    return callee.return_type(entry, address, arguments), emit


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
def lay_out(_typing: Any, sources: Any, target: Any) -> Any:
    """Copy a tuple of C-contiguous arrays into a flat one, one behind the other.

    Returns:
        Whether they have as many numbers as the flat one; if not, it is left alone.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        flat = context.make_array(signature.args[1])(context, builder, args[1])
        arrays = [_part(context, builder, signature, args, 0, n) for n in range(len(sources))]
        total = functools.reduce(builder.add, [array.nitems for array in arrays])
        fits = builder.icmp_signed("==", total, flat.nitems)
        with builder.if_then(fits):
            place = flat.data
            for array in arrays:
                _copy(builder, place, array)
                place = builder.gep(place, [array.nitems])
        return fits

    return types.boolean(sources, target), emit


def _part(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, place: int, n: int) -> Any:
    """An array of a tuple that is an argument."""
    kind, value = signature.args[place][n], builder.extract_value(args[place], n)
    return context.make_array(kind)(context, builder, value)


def _copy(builder: ir.IRBuilder, target: Any, source: Any) -> None:
    """Copy the numbers of an array to an address."""
    _tools.raw_memcpy(builder, target, source.data, source.nitems, source.itemsize)
