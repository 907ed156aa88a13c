"""Functions of kernels that are LLVM instructions in each caller, and no compiled functions of their own.

Numba infers types, optimises and links every function that a kernel calls. For a view of an array, which is a
handful of instructions, this takes several milliseconds for each type, and a call unpacks all fields of the
array. Compiled functions for views took a fifth of the compile time of a cell. Python calls the plain form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import make_intrinsic_template
from numba.core.typing.typeof import typeof_impl

P = ParamSpec("P")
R = TypeVar("R")

SIZE = ir.IntType(64)

builder_tools: Any = cgutils
"""Numba's functions that append several instructions, which are untyped."""

_type_of_object = typeof_impl.dispatch(object)


def emitted_by(emitter: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate the plain form of a function whose instructions ``emitter`` emits in kernels.

    It stays a function: in plain Python, an object that calls it took as long as the function itself.

    Args:
        emitter: As in ``numba.extending.intrinsic``.
    """

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        vars(plain)["emitter"] = emitter
        return plain

    return decorate


@typeof_impl.register(FunctionType)
def _type_of_function(function: Any, context: Any) -> Any:
    """The type of a function. With instructions, it is made when a kernel calls it: each takes 0.1 ms."""
    if not hasattr(function, "_numba_type_") and (emitter := getattr(function, "emitter", None)):
        make: Any = make_intrinsic_template  # Numba's own functions are untyped
        kind: Any = types.Function
        function._numba_type_ = kind(make(function, emitter, function.__name__))
    return _type_of_object(function, context)


class ArrayFields:
    """Fields of an array in LLVM IR.

    Numba's helpers copy the array to the stack and read it there, which is five times as many instructions.

    Args:
        context: Numba's target context.
        builder: Appends instructions.
        kind: Numba's type of the array.
        value: The array.
    """

    def __init__(self, context: Any, builder: ir.IRBuilder, kind: Any, value: Any) -> None:
        self.context, self.builder, self.kind, self.value = context, builder, kind, value
        self._model = context.data_model_manager[kind]

    def __getitem__(self, name: str) -> Any:
        return self._model.get(self.builder, self.value, name)

    @property
    def shape(self) -> list[Any]:
        """Length of each axis."""
        position = self._model.get_field_position("shape")
        return [self.builder.extract_value(self.value, [position, axis]) for axis in range(self.kind.ndim)]


def is_contiguous(kind: Any) -> bool:
    """Whether a Numba type is a C-contiguous array."""
    return isinstance(kind, types.Array) and kind.layout == "C"


def array_type(like: Any, ndim: int, mutable: bool = True) -> Any:
    """The type of C-contiguous arrays of the dtype of another array."""
    array: Any = types.Array
    return array(like.dtype, ndim, "C", readonly=not mutable)


def product(builder: ir.IRBuilder, factors: list[Any]) -> Any:
    """The product of integers; one without factors."""
    return functools.reduce(builder.mul, factors) if factors else SIZE(1)


def make_array(
    context: Any,
    builder: ir.IRBuilder,
    kind: Any,
    shape: list[Any],
    data: Any,
    owner: Any,
    parent: Any = None,
) -> Any:
    """A C-contiguous array.

    Args:
        context: Numba's target context.
        builder: Appends instructions.
        kind: Numba's type of the array.
        shape: Length of each axis.
        data: Address of the first element.
        owner: Numba's reference count of the memory.
        parent: Python's owner of the memory.
    """
    model = context.data_model_manager[kind]
    itemsize = SIZE(context.get_abi_sizeof(data.type.pointee))
    value = model.get_value_type()(None)  # zeros
    fields = {"meminfo": owner, "nitems": product(builder, shape), "itemsize": itemsize, "data": data}
    for name, field in {**fields, **({} if parent is None else {"parent": parent})}.items():
        value = model.set(builder, value, field, name)
    stride = itemsize
    for axis in reversed(range(kind.ndim)):
        for name, field in (("shape", shape[axis]), ("strides", stride)):
            value = builder.insert_value(value, field, [model.get_field_position(name), axis])
        if axis:
            stride = builder.mul(stride, shape[axis])
    return value
