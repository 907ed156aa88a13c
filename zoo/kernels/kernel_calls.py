"""Calls from one compiled kernel to another through its address, in the machine code that Python calls.

Kernels otherwise take those that they call into themselves, and compile them anew. A caller of this kind is a
few lines long, compiles in a fifth of a second whatever it calls, and computes the very bits that its kernels
do when Python calls them one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.core.imputils import impl_ret_new_ref
from numba.extending import typeof_impl

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.jit import Kernel

_tools: Any = cgutils  # Numba's helpers are untyped
_new: Any = impl_ret_new_ref


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
