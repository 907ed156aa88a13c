"""Calls of kernels by address, from compiled code.

Kernels otherwise inline the kernels that they call, and compile them again. A call by address compiles in a
fifth of a second, whatever the kernel, and computes the same bits as a call from Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.imputils import impl_ret_new_ref

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import builder_tools

if TYPE_CHECKING:
    from zoo.kernels.jit import Kernel


_new: Any = impl_ret_new_ref


class CompiledKernel(NamedTuple):
    """Machine code of a kernel.

    Args:
        address: Its address.
        returns: The Numba type of its result.
    """

    address: int
    returns: Any


class KernelRef:
    """A kernel that compiled code calls through its address. Numba needs only its result type.

    Args:
        kernel: The kernel.
    """

    def __init__(self, kernel: Kernel[Any, Any]) -> None:
        self.kernel = kernel
        # For digests, which unwrap it.
        self.__wrapped__, self.__module__ = kernel, kernel.__module__

    @property
    def _numba_type_(self) -> Any:
        return self.kernel.dispatcher._numba_type_  # type: ignore[attr-defined]

    def lookup(self, kinds: tuple[Any, ...]) -> CompiledKernel | None:
        """The compiled code for arguments of these Numba types, or None: nothing is compiled here."""
        overloads: Any = getattr(self.kernel.dispatcher, "overloads", {})
        if kinds not in overloads:
            return None
        overload = overloads[kinds]
        address = overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name)
        return CompiledKernel(address, overload.signature.return_type)


@intrinsic
def call(typing: Any, reference: Any, address: Any, arguments: Any) -> Any:
    """``reference(*arguments)`` through an address from :meth:`KernelRef.lookup` for these arguments."""
    callee = reference.get_call_type(typing, tuple(arguments), {})

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(callee.return_type, callee.args)
        function = builder.inttoptr(args[1], kind.as_pointer())
        values = [builder.extract_value(args[2], n) for n in range(len(callee.args))]
        status, result = convention.call_function(builder, function, callee.return_type, callee.args, values)
        with builder_tools.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return _new(context, builder, callee.return_type, result)

    return callee.return_type(reference, address, arguments), emit
