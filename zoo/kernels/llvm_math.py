"""Formulas of elementary functions as LLVM instructions, of one number or of a vector of them.

A formula is a Python function of a :class:`Number`, which records instructions where Python would compute.
Compiled so, a call costs Numba a few milliseconds; written for Numba to compile, each of these functions took
0.1 to 0.3 s of every first run. Products and sums may be contracted to fused multiply-adds, and nothing else:
rounding is the point of these formulas.

Vectors in LLVM's words: a number in all lanes, and loads and stores of the first few lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from zoo.kernels.float_formats import FORMATS

_FLAGS = ("contract",)


class Number:
    """A float or an integer that a compiled function will hold, or a vector of them.

    Args:
        builder: Where instructions go.
        value: The value in LLVM.
    """

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def width(self) -> int:
        """Bits of one number."""
        element = self._element
        return int(element.width) if self._is_integer else {"float": 32, "double": 64}[str(element)]

    @property
    def _element(self) -> Any:
        return getattr(self.value.type, "element", self.value.type)

    @property
    def _is_integer(self) -> bool:
        return isinstance(self._element, ir.IntType)

    def constant(self, value: float) -> Number:
        """A constant of this type."""
        kind = self.value.type
        constant = [value] * kind.count if isinstance(kind, ir.VectorType) else value
        return Number(self.builder, ir.Constant(kind, constant))

    def bits(self) -> Number:
        """The bits of a float as a signed integer."""
        return self._cast(ir.IntType(self.width))

    def as_float(self) -> Number:
        """The float that has these bits."""
        return self._cast(ir.FloatType() if self.width == 32 else ir.DoubleType())

    def _cast(self, element: ir.Type) -> Number:
        kind = self.value.type
        to = ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element
        return Number(self.builder, self.builder.bitcast(self.value, to))

    def _with(self, other: Number | float, instruction: str, *flags: Any) -> Number:
        right = other if isinstance(other, Number) else self.constant(other)
        return Number(self.builder, getattr(self.builder, instruction)(self.value, right.value, *flags))

    def _sum(self, other: Number | float, instruction: str) -> Number:
        if self._is_integer:
            return self._with(other, instruction)
        return self._with(other, f"f{instruction}", "", _FLAGS)

    def __add__(self, other: Number | float) -> Number:
        return self._sum(other, "add")

    def __sub__(self, other: Number | float) -> Number:
        return self._sum(other, "sub")

    def __mul__(self, other: Number | float) -> Number:
        return self._with(other, "fmul", "", _FLAGS)

    def __truediv__(self, other: Number | float) -> Number:
        return self._with(other, "fdiv")

    def __neg__(self) -> Number:
        negate = self.builder.neg if self._is_integer else self.builder.fneg
        return Number(self.builder, negate(self.value))

    def __and__(self, other: Number | int) -> Number:
        return self._with(other, "and_")

    def __or__(self, other: Number | int) -> Number:
        return self._with(other, "or_")

    def __xor__(self, other: Number | int) -> Number:
        return self._with(other, "xor")

    def __lshift__(self, other: int) -> Number:
        return self._with(other, "shl")

    def __rshift__(self, other: int) -> Number:
        return self._with(other, "ashr")

    def _compare(self, sign: str, other: Number | float) -> Any:
        right = other if isinstance(other, Number) else self.constant(other)
        return self.builder.fcmp_ordered(sign, self.value, right.value)

    def if_above(self, limit: float, then: Number | float, otherwise: Number | float) -> Number:
        """``then`` where this float is above a limit, ``otherwise`` elsewhere and where it is NaN."""
        return self._choose(self._compare(">", limit), then, otherwise)

    def if_below(self, limit: float, then: Number | float, otherwise: Number | float) -> Number:
        """``then`` where this float is below a limit, ``otherwise`` elsewhere and where it is NaN."""
        return self._choose(self._compare("<", limit), then, otherwise)

    def if_equal(self, value: float, then: Number | float, otherwise: Number | float) -> Number:
        """``then`` where this float is a value, ``otherwise`` elsewhere."""
        return self._choose(self._compare("==", value), then, otherwise)

    def _choose(self, condition: Any, then: Number | float, otherwise: Number | float) -> Number:
        a, b = (part if isinstance(part, Number) else self.constant(part) for part in (then, otherwise))
        return Number(self.builder, self.builder.select(condition, a.value, b.value))

    def at_most(self, limit: float) -> Number:
        """The smaller of this float and a limit; what is not a number stays so."""
        return self.if_above(limit, limit, self)

    def at_least(self, limit: float) -> Number:
        """The larger of this float and a limit; what is not a number stays so."""
        return self.if_below(limit, limit, self)


Formula = Callable[..., Number]

"""Of as many numbers as the function has operands, and their format."""


def polynomial(x: Number, coefficients: Sequence[float]) -> Number | float:
    """``sum(c[n] * x**n)``, halved again and again (Estrin): terms that wait for each other take the time."""
    return _sum_of(_powers(x, len(coefficients)), coefficients)


def _powers(x: Number, terms: int) -> dict[int, Number]:
    """The first, second, fourth and so on power of x, as far as the terms need them."""
    powers = {1: x}
    while 2 * max(powers) <= (terms + 1) // 2:
        powers[2 * max(powers)] = powers[max(powers)] * powers[max(powers)]
    return powers


def _sum_of(powers: dict[int, Number], coefficients: Sequence[float]) -> Number | float:
    if len(coefficients) == 1:
        return coefficients[0]
    half = max(power for power in powers if power <= (len(coefficients) + 1) // 2)
    low, high = (_sum_of(powers, part) for part in (coefficients[:half], coefficients[half:]))
    return powers[half] * high + low


def compile_as(function: Callable[..., Any], formula: Formula, operands: int = 1) -> None:
    """Let compiled calls of a Python function of floats of one type run a formula."""

    def result(*kinds: Any) -> Any:
        is_known = isinstance(kinds[0], types.Float) and kinds[0].bitwidth in FORMATS
        return kinds[0] if is_known and set(kinds) == {kinds[0]} else None

    type_callable(function)(lambda _context: _TYPERS[operands](result))

    @lower_builtin(function, *[types.Float] * operands)  # type: ignore[no-untyped-call, untyped-decorator]
    def _lower(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return emit(formula, builder, *args)


# Numba reads a typer's parameters by their names, so that one of any number of operands will not do.
_TYPERS: dict[int, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    1: lambda result: lambda x: result(x),
    2: lambda result: lambda x, y: result(x, y),
}


def emit(formula: Formula, builder: ir.IRBuilder, *values: Any) -> Any:
    """The instructions of a formula for floats or vectors of floats in LLVM; the value that they leave."""
    numbers = [Number(builder, value) for value in values]
    return formula(*numbers, FORMATS[numbers[0].width]).value


_tools: Any = cgutils  # Numba's helpers are untyped

LANE = ir.IntType(32)

"""What lanes are counted with."""


def spread(builder: ir.IRBuilder, value: Any, count: int) -> Any:
    """A vector with a value in each of so many lanes."""
    undefined = ir.VectorType(value.type, count)(ir.Undefined)
    single = builder.insert_element(undefined, value, LANE(0))
    return builder.shuffle_vector(single, undefined, ir.VectorType(LANE, count)(None))


def first_lanes(builder: ir.IRBuilder, some: Any, count: int, skipped: int = 0) -> Any:
    """A mask of those lanes, of ``count``, whose number and ``skipped`` together are less than ``some``."""
    last = spread(builder, builder.trunc(some, LANE), count)
    numbers = ir.VectorType(LANE, count)(list(range(skipped, skipped + count)))
    return builder.icmp_signed("<", numbers, last)


def load_some(builder: ir.IRBuilder, place: Any, mask: Any, other: Any, size: int) -> Any:
    """The lanes of a mask from an address of numbers of ``size`` bytes; those of a vector in the others."""
    return _masked(builder, "load", other.type, [place, LANE(size), mask, other])


def store_some(builder: ir.IRBuilder, value: Any, place: Any, mask: Any, size: int) -> None:
    """Store the lanes of a mask at an address of numbers of ``size`` bytes."""
    _masked(builder, "store", ir.VoidType(), [value, place, LANE(size), mask])


def _masked(builder: ir.IRBuilder, verb: str, result: ir.Type, operands: list[Any]) -> Any:
    """A call of LLVM's ``llvm.masked.load`` or ``store``."""
    vector = operands[0].type if verb == "store" else result
    name = f"llvm.masked.{verb}.v{vector.count}f{32 if vector.element == ir.FloatType() else 64}.p0"
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(_tools.get_or_insert_function(builder.module, kind, name), operands)
