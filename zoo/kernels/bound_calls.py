"""Compiled functions with bound arguments, which other threads call by address.

A bound function has two int64 arguments of its own, a number and a count, and returns whether it succeeded.
With Numba's calling convention it is ``(data, number, count)``: ``data`` is the address of other arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.registry import cpu_target

from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import builder_tools

_SIZE = ir.IntType(64)
_BOUND_TYPE = types.boolean(*[types.int64] * 3)


@intrinsic
def bind_call(typing: Any, function: Any, some: Any, others: Any) -> Any:
    """Bind the arguments of ``function(number, count, *some, *others)``: addresses of code and data.

    Both are valid until the caller returns. Numba releases an array after its last use, so the caller of the
    caller must hold the arrays.
    """
    callee = bound_signature(typing, function, some, others)
    result = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        pair = emit_bound_call(context, builder, function, callee, args[1:])
        return context.make_tuple(builder, result, pair)

    return result(function, some, others), emit


def bound_signature(typing: Any, function: Any, *operands: Any) -> Any:
    """The signature of ``function(number, count, ...)``, with the elements of some tuples as operands."""
    kinds = [kind for each in operands for kind in each]
    return function.get_call_type(typing, (types.int64, types.int64, *kinds), {})


def emit_bound_call(
    context: Any, builder: ir.IRBuilder, function: Any, callee: Any, operands: Sequence[Any]
) -> list[Any]:
    """Emit the addresses of code and data of a function with bound operands.

    Args:
        context: The target.
        builder: Appends instructions.
        function: Type of the function.
        callee: From :func:`bound_signature`.
        operands: The tuples of operands.
    """
    slots = [builder_tools.alloca_once_value(builder, each) for each in operands]
    data = builder_tools.pack_array(builder, [builder.ptrtoint(slot, _SIZE) for slot in slots])
    data = builder_tools.alloca_once_value(builder, data)
    code = new_bound_function(builder.module, f"{builder.function.name}.bound")
    inside = ir.IRBuilder(code.append_basic_block())
    address, *arguments = context.call_conv.decode_arguments(inside, _BOUND_TYPE.args, code)
    addresses = inside.load(inside.inttoptr(address, data.type))
    for n, slot in enumerate(slots):
        values = inside.inttoptr(inside.extract_value(addresses, n), slot.type)
        count = len(slot.type.pointee)
        arguments += [inside.load(builder_tools.gep_inbounds(inside, values, 0, m)) for m in range(count)]
    implementation = context.get_function(function, callee)
    return_result(inside, implementation(inside, arguments))
    context.add_linking_libs(getattr(implementation, "libs", ()))
    return [builder.ptrtoint(each, _SIZE) for each in (code, data)]


@intrinsic
def call_bound(_typing: Any, _code: Any, _data: Any, _number: Any, _count: Any) -> Any:
    """Call a bound function; whether it succeeded. False if it raised an exception."""

    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return emit_call(builder, args[0], args[1:])

    return types.boolean(*[types.int64] * 4), emit


def new_bound_function(module: ir.Module, name: str) -> ir.Function:
    """A new function ``(data, number, count)``, its last three arguments, without a body."""
    function = ir.Function(module, _function_type(), name=module.get_unique_name(name))
    function.linkage = "internal"
    return function


def return_result(builder: ir.IRBuilder, succeeded: Any) -> None:
    """Return from a bound function.

    Args:
        builder: At its end.
        succeeded: An LLVM boolean, of one bit.
    """
    context = cpu_target.target_context
    value = context.get_return_value(builder, types.boolean, succeeded)
    context.call_conv.return_value(builder, value)


def emit_call(builder: ir.IRBuilder, address: Any, arguments: Sequence[Any]) -> Any:
    """Emit a call of the function ``(data, number, count)`` at an address; whether it succeeded."""
    function = builder.inttoptr(address, _function_type().as_pointer())
    types_of_call = _BOUND_TYPE.return_type, _BOUND_TYPE.args
    convention = cpu_target.target_context.call_conv
    status, succeeded = convention.call_function(builder, function, *types_of_call, arguments)
    return builder.and_(status.is_ok, succeeded)


def _function_type() -> Any:
    return cpu_target.target_context.call_conv.get_function_type(_BOUND_TYPE.return_type, _BOUND_TYPE.args)
