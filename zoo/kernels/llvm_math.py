"""Formulas of elementary functions as LLVM instructions, of scalars or vectors.

A formula is a Python function of :class:`IRValue`, which records instructions where Python would compute. A
call then costs Numba a few milliseconds; compiled by Numba, each of these functions took 0.1 to 0.3 s of a
first run. Products and sums may be contracted to fused multiply-adds, and nothing else, since the formulas
depend on rounding.

At the end: vector broadcasts, and loads and stores of the first lanes of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import lower_builtin, type_callable

from zoo.kernels.float_formats import FORMATS
from zoo.kernels.instructions import builder_tools

_FLAGS = ("contract",)


class IRValue:
    """A float, an integer or a vector of them in LLVM IR, with the operators of Python.

    Args:
        builder: Appends instructions.
        value: The LLVM value.
    """

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def width(self) -> int:
        """Bits of one element."""
        element = self._element
        return int(element.width) if self._is_integer else {"float": 32, "double": 64}[str(element)]

    @property
    def _element(self) -> Any:
        return getattr(self.value.type, "element", self.value.type)

    @property
    def _is_integer(self) -> bool:
        return isinstance(self._element, ir.IntType)

    def constant(self, value: float) -> IRValue:
        """A constant of this type."""
        kind = self.value.type
        constant = [value] * kind.count if isinstance(kind, ir.VectorType) else value
        return IRValue(self.builder, ir.Constant(kind, constant))

    def bits(self) -> IRValue:
        """The bits of a float as a signed integer."""
        return self._cast(ir.IntType(self.width))

    def as_float(self) -> IRValue:
        """The float with these bits."""
        return self._cast(ir.FloatType() if self.width == 32 else ir.DoubleType())

    def _cast(self, element: ir.Type) -> IRValue:
        kind = self.value.type
        to = ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element
        return IRValue(self.builder, self.builder.bitcast(self.value, to))

    def _binary(self, other: IRValue | float, instruction: str, *flags: Any) -> IRValue:
        right = other if isinstance(other, IRValue) else self.constant(other)
        return IRValue(self.builder, getattr(self.builder, instruction)(self.value, right.value, *flags))

    def _sum(self, other: IRValue | float, instruction: str) -> IRValue:
        if self._is_integer:
            return self._binary(other, instruction)
        return self._binary(other, f"f{instruction}", "", _FLAGS)

    def __add__(self, other: IRValue | float) -> IRValue:
        return self._sum(other, "add")

    def __sub__(self, other: IRValue | float) -> IRValue:
        return self._sum(other, "sub")

    def __mul__(self, other: IRValue | float) -> IRValue:
        return self._binary(other, "fmul", "", _FLAGS)

    def __truediv__(self, other: IRValue | float) -> IRValue:
        return self._binary(other, "fdiv")

    def __neg__(self) -> IRValue:
        negate = self.builder.neg if self._is_integer else self.builder.fneg
        return IRValue(self.builder, negate(self.value))

    def __and__(self, other: IRValue | int) -> IRValue:
        return self._binary(other, "and_")

    def __or__(self, other: IRValue | int) -> IRValue:
        return self._binary(other, "or_")

    def __xor__(self, other: IRValue | int) -> IRValue:
        return self._binary(other, "xor")

    def __lshift__(self, other: int) -> IRValue:
        return self._binary(other, "shl")

    def __rshift__(self, other: int) -> IRValue:
        return self._binary(other, "ashr")

    def _compare(self, sign: str, other: IRValue | float) -> Any:
        right = other if isinstance(other, IRValue) else self.constant(other)
        return self.builder.fcmp_ordered(sign, self.value, right.value)

    def select_gt(self, limit: float, then: IRValue | float, otherwise: IRValue | float) -> IRValue:
        """``then`` where this float is greater than ``limit``, ``otherwise`` elsewhere and at NaN."""
        return self._select(self._compare(">", limit), then, otherwise)

    def select_lt(self, limit: float, then: IRValue | float, otherwise: IRValue | float) -> IRValue:
        """``then`` where this float is less than ``limit``, ``otherwise`` elsewhere and at NaN."""
        return self._select(self._compare("<", limit), then, otherwise)

    def select_eq(self, value: float, then: IRValue | float, otherwise: IRValue | float) -> IRValue:
        """``then`` where this float equals ``value``, ``otherwise`` elsewhere."""
        return self._select(self._compare("==", value), then, otherwise)

    def _select(self, condition: Any, then: IRValue | float, otherwise: IRValue | float) -> IRValue:
        a, b = (part if isinstance(part, IRValue) else self.constant(part) for part in (then, otherwise))
        return IRValue(self.builder, self.builder.select(condition, a.value, b.value))

    def minimum(self, limit: float) -> IRValue:
        """The smaller of this float and ``limit``; NaN stays NaN."""
        return self.select_gt(limit, limit, self)

    def maximum(self, limit: float) -> IRValue:
        """The larger of this float and ``limit``; NaN stays NaN."""
        return self.select_lt(limit, limit, self)


Formula = Callable[..., IRValue]
"""A function of one value per operand and their :class:`FloatFormat`."""


def polynomial(x: IRValue, coefficients: Sequence[float]) -> IRValue | float:
    """``sum(c[n] * x**n)`` by Estrin's scheme, whose dependency chain is short."""
    return _sum_of(_powers(x, len(coefficients)), coefficients)


def _powers(x: IRValue, terms: int) -> dict[int, IRValue]:
    """The powers 1, 2, 4 ... of x that ``terms`` terms need."""
    powers = {1: x}
    while 2 * max(powers) <= (terms + 1) // 2:
        powers[2 * max(powers)] = powers[max(powers)] * powers[max(powers)]
    return powers


def _sum_of(powers: dict[int, IRValue], coefficients: Sequence[float]) -> IRValue | float:
    if len(coefficients) == 1:
        return coefficients[0]
    half = max(power for power in powers if power <= (len(coefficients) + 1) // 2)
    low, high = (_sum_of(powers, part) for part in (coefficients[:half], coefficients[half:]))
    return powers[half] * high + low


def compile_as(function: Callable[..., Any], formula: Formula, operands: int = 1) -> None:
    """Compile calls of a Python function of floats of one type as a formula."""

    def result(*kinds: Any) -> Any:
        is_known = isinstance(kinds[0], types.Float) and kinds[0].bitwidth in FORMATS
        return kinds[0] if is_known and set(kinds) == {kinds[0]} else None

    type_callable(function)(lambda _context: _TYPERS[operands](result))

    @lower_builtin(function, *[types.Float] * operands)  # type: ignore[no-untyped-call, untyped-decorator]
    def _lower(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return emit(formula, builder, *args)


# Numba reads the names of a typer's parameters, so a variadic one does not work.
_TYPERS: dict[int, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    1: lambda result: lambda x: result(x),
    2: lambda result: lambda x, y: result(x, y),
}


def emit(formula: Formula, builder: ir.IRBuilder, *values: Any) -> Any:
    """Emit the instructions of a formula for LLVM floats or vectors of floats; return the result."""
    operands = [IRValue(builder, value) for value in values]
    return formula(*operands, FORMATS[operands[0].width]).value


LANE = ir.IntType(32)
"""The type of lane numbers."""


class BFloatType(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat16, which llvmlite lacks."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloatType)

    def __hash__(self) -> int:
        return hash(BFloatType)

    def _to_string(self) -> str:
        return "bfloat"


def element_size(scalar: ir.Type) -> int:
    """Bytes of a float or double."""
    return 4 if scalar == ir.FloatType() else 8


def broadcast(builder: ir.IRBuilder, value: Any, count: int) -> Any:
    """A vector of ``count`` lanes with the same value."""
    undefined = ir.VectorType(value.type, count)(ir.Undefined)
    single = builder.insert_element(undefined, value, LANE(0))
    return builder.shuffle_vector(single, undefined, ir.VectorType(LANE, count)(None))


def first_lanes(builder: ir.IRBuilder, size: Any, count: int, start: int = 0) -> Any:
    """The mask of ``count`` lanes in which lane n is set if ``start + n < size``."""
    limit = broadcast(builder, builder.trunc(size, LANE), count)
    numbers = ir.VectorType(LANE, count)(list(range(start, start + count)))
    return builder.icmp_signed("<", numbers, limit)


def masked_load(builder: ir.IRBuilder, pointer: Any, mask: Any, other: Any, size: int) -> Any:
    """Load the lanes of a mask of a vector of ``size``-byte elements; take the others from ``other``."""
    return _masked(builder, "load", other.type, [pointer, LANE(size), mask, other])


def masked_store(builder: ir.IRBuilder, value: Any, pointer: Any, mask: Any, size: int) -> None:
    """Store the lanes of a mask of a vector of ``size``-byte elements."""
    _masked(builder, "store", ir.VoidType(), [value, pointer, LANE(size), mask])


_SUFFIXES = {ir.FloatType(): "f32", ir.DoubleType(): "f64", LANE: "i32"}


def _masked(builder: ir.IRBuilder, verb: str, result: ir.Type, operands: list[Any]) -> Any:
    """Call ``llvm.masked.load`` or ``llvm.masked.store``."""
    vector = operands[0].type if verb == "store" else result
    name = f"llvm.masked.{verb}.v{vector.count}{_SUFFIXES[vector.element]}.p0"
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(builder_tools.get_or_insert_function(builder.module, kind, name), operands)
