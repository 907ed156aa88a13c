"""A softmax's exponentials and their sum, of which one sum has the digits of two numbers.

Every probability is divided by the sum, so that its error is everybody's: added up as loops over floats are
when they vectorise, five thousand exponentials of float64 left the probabilities 22 units in the last place
off. So, they are within two, which costs some 30 ns a row.

Softmax cross-entropy over rows of logits, and its gradient, in one pass that cannot overflow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from zoo import kernels
from zoo.kernels.elementary import exp_minus_formula, lost
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.gemm_microkernel import lanes
from zoo.kernels.jit import EXACT, njit
from zoo.kernels.llvm_math import LANE, Number, emit, first_lanes, load_some, spread, store_some

_tools: Any = cgutils  # Numba's helpers are untyped

_pair: Any = types.UniTuple

_INDEX = cgutils.intp_t

_DOUBLE = ir.DoubleType()


def _summer(keep: bool) -> Any:
    """A function of kernels that sums exponentials, and writes them in place of the row if ``keep``."""

    @intrinsic
    def sums(_typing: Any, row: Any, top: Any) -> Any:  # noqa: ARG001 - the call's arguments
        def emit_it(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            size = builder.extract_value(array.shape, 0)
            total = (_WideTotal if row.dtype == types.float32 else _DoubleTotal)(builder, lanes(row.dtype))
            _Exponentials(builder, lanes(row.dtype), args[1], keep).add_to(total, array.data, size)
            return context.make_tuple(builder, signature.return_type, total.parts())

        return _pair(row.dtype, 2)(row, row.dtype), emit_it

    return sums


class _WideTotal:
    """A sum of vectors of float32, in float64."""

    def __init__(self, builder: ir.IRBuilder, count: int) -> None:
        self.builder, self.vector = builder, ir.VectorType(_DOUBLE, count)
        self.total = _tools.alloca_once_value(builder, self.vector([0.0] * count))

    def add(self, e: Number) -> None:
        """Add a vector."""
        wide = Number(self.builder, self.builder.fpext(e.value, self.vector))
        self.builder.store((Number(self.builder, self.builder.load(self.total)) + wide).value, self.total)

    def parts(self) -> list[Any]:
        """The sum as two floats."""
        builder, single = self.builder, ir.FloatType()
        total = Number(builder, builder.load(self.total))
        while isinstance(total.value.type, ir.VectorType):
            a, b = _halves(total)
            total = a + b
        first = builder.fptrunc(total.value, single)
        rest = total - Number(builder, builder.fpext(first, _DOUBLE))
        return [first, builder.fptrunc(rest.value, single)]


class _DoubleTotal:
    """A sum of vectors of float64, and beside it what every addition lost."""

    def __init__(self, builder: ir.IRBuilder, count: int) -> None:
        self.builder = builder
        zero = ir.VectorType(_DOUBLE, count)([0.0] * count)
        self.places = [_tools.alloca_once_value(builder, zero) for _ in range(2)]

    def add(self, e: Number) -> None:
        """Add a vector."""
        total, spill = (Number(self.builder, self.builder.load(place)) for place in self.places)
        for part, place in zip(_with(total, spill, e), self.places, strict=True):
            self.builder.store(part.value, place)

    def parts(self) -> list[Any]:
        """The sum as two floats."""
        total, spill = (Number(self.builder, self.builder.load(place)) for place in self.places)
        while isinstance(total.value.type, ir.VectorType):
            (a, b), (c, d) = _halves(total), _halves(spill)
            total, spill = _with(a, c + d, b)
        return [total.value, spill.value]


def _with(total: Number, spill: Number, more: Number) -> tuple[Number, Number]:
    """A sum and its spill with a number added."""
    new = total + more
    return new, spill + lost(new, total, -more)


def _halves(number: Number) -> tuple[Number, Number]:
    """The two halves of a vector; of one of two lanes, two floats."""
    builder, value = number.builder, number.value
    half = value.type.count // 2
    if half == 1:
        low, high = (builder.extract_element(value, LANE(lane)) for lane in range(2))
    else:
        masks = (list(range(start, start + half)) for start in (0, half))
        chosen = [ir.Constant(ir.VectorType(LANE, half), mask) for mask in masks]
        low, high = (builder.shuffle_vector(value, value.type(ir.Undefined), mask) for mask in chosen)
    return Number(builder, low), Number(builder, high)


class _Exponentials:
    """The code that makes ``exp(row - top)``, a vector at a time.

    Args:
        builder: Where instructions go.
        count: Numbers in a vector.
        top: What is subtracted, a float.
        keep: Whether to write the exponentials over the row.
    """

    def __init__(self, builder: ir.IRBuilder, count: int, top: Any, keep: bool) -> None:
        self.builder, self.keep = builder, keep
        self.vector = ir.VectorType(top.type, count)
        self.size = Number(builder, top).width // 8  # bytes of one
        self.top = spread(builder, top, count)

    def add_to(self, total: _WideTotal | _DoubleTotal, data: Any, size: Any) -> None:
        """Add those of a whole row to a sum."""
        builder, count = self.builder, self.vector.count
        whole = builder.sdiv(size, _INDEX(count))
        places = builder.bitcast(data, self.vector.as_pointer())
        with _tools.for_range(builder, whole, intp=_INDEX) as loop:
            place = builder.gep(places, [loop.index])
            e = self._of(builder.load(place, align=self.size))
            total.add(e)
            if self.keep:
                builder.store(e.value, place, align=self.size)
        rest = builder.srem(size, _INDEX(count))
        with builder.if_then(builder.icmp_signed(">", rest, _INDEX(0))):
            self._add_some(total, builder.gep(places, [whole]), rest)

    def _of(self, x: Any) -> Number:
        return Number(self.builder, emit(exp_minus_formula, self.builder, x, self.top))

    def _add_some(self, total: _WideTotal | _DoubleTotal, place: Any, some: Any) -> None:
        """Add those of the first few numbers of a vector."""
        builder = self.builder
        inside = first_lanes(builder, some, self.vector.count)
        # The largest score in the other lanes: minus infinity, whose exponential underflows, took as long as
        # three vectors.
        e = self._of(load_some(builder, place, inside, self.top, self.size))
        total.add(Number(builder, builder.select(inside, e.value, e.constant(0.0).value)))
        if self.keep:
            store_some(builder, e.value, place, inside, self.size)


exponential_sum = _summer(keep=False)

exponentiate = _summer(keep=True)


@intrinsic
def quotient(_typing: Any, scale: Any, total: Any, spill: Any) -> Any:
    """``scale / (total + spill)`` as two numbers, the second what the first was rounded by."""

    def emit_it(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        a, b, c = (Number(builder, each) for each in args)
        first = a / b
        # Rounded once whatever the processor: where it has no such instruction, this is a call for each row.
        left = Number(builder, builder.fma((-first).value, b.value, a.value))
        parts = [first.value, ((left - first * c) / b).value]
        return context.make_tuple(builder, signature.return_type, parts)

    return _pair(scale, 2)(scale, total, spill), emit_it


Array = Any


def _plain_exponential_mass(row: Array, top: float) -> tuple[float, float]:
    return np.exp(row - top).sum(), row.dtype.type(0)


def _plain_exponentiate(row: Array, top: float) -> tuple[float, float]:
    row[:] = np.exp(row - top)
    return row.sum(), row.dtype.type(0)


def _plain_quotient(scale: float, mass: float, more: float) -> tuple[float, float]:
    return scale / (mass + more), more


@njit(twin=_plain_exponential_mass)
def _mass(row: Array, top: float) -> tuple[float, float]:
    """Sum of ``exp(row - top)`` as two numbers."""
    return exponential_sum(row, top)  # type: ignore[no-any-return]


@njit(twin=_plain_exponentiate)
def _exponentiate(row: Array, top: float) -> tuple[float, float]:
    """Replace the row by ``exp(row - top)``; its sum as two numbers."""
    return exponentiate(row, top)  # type: ignore[no-any-return]


@njit(inline=True, twin=_plain_quotient)
def _quotient(scale: float, mass: float, more: float) -> tuple[float, float]:
    """``scale / (mass + more)`` as two numbers."""
    return quotient(scale, mass, more)  # type: ignore[no-any-return]


# Exact, or log(mass) - (score - top) becomes (log(mass) + top) - score, where a large top swallows the loss.
@njit(fastmath=EXACT, inline=True)
def row_cross_entropy(row: Array, target: int) -> float:
    """``-log softmax(row)[target]`` of one row of scores ``(V,)``, in nats."""
    top = kernels.largest(row)
    return math.log(_mass(row, top)[0]) - (row[target] - top)  # type: ignore[no-any-return]


# Rows that go through a pass together. What a row waits for, its largest number and its sum, the others wait
# for at the same time: one row after the other 65 symbols took 74 ns, and take 59; with the largest and the
# sum in one pass, 69.
_TOGETHER = 64


@njit(fastmath=EXACT)
def cross_entropies_grad(rows: Array, targets: Array, weights: Array, scale: float, losses: Array) -> None:
    """:func:`row_cross_entropy` of every row, which becomes its gradient times ``scale`` times its weight.

    The gradient is ``softmax(row) - onehot(target)``.

    Args:
        rows: Scores ``(N, V)``, overwritten.
        targets: Index of the right symbol in each row, ``(N,)``.
        weights: How much each row counts, ``(N,)``, float64.
        scale: Factor of the gradients.
        losses: Where the losses go, in nats, ``(N,)``.
    """
    room = np.empty((4, _TOGETHER), rows.dtype)
    for first in range(0, losses.size, _TOGETHER):
        last = min(first + _TOGETHER, losses.size)
        for n in range(first, last):
            row, i = kernels.row(rows, n), n - first
            room[0, i] = kernels.largest(row)
            room[1, i] = row[targets[n]] - room[0, i]
        for n in range(first, last):
            i = n - first
            room[2, i], room[3, i] = _exponentiate(kernels.row(rows, n), room[0, i])
        for n in range(first, last):
            row, i = kernels.row(rows, n), n - first
            losses[n] = math.log(room[2, i]) - room[1, i]
            share = rows.dtype.type(scale * weights[n])
            factor, more = _quotient(share, room[2, i], room[3, i])
            for v in range(row.size):
                row[v] = row[v] * factor + row[v] * more
            row[targets[n]] -= share


@njit(fastmath=EXACT)
def cross_entropy(logits: Array, targets: Array) -> float:
    """Sum over rows of ``-log softmax(logits)[target]``, in nats.

    Args:
        logits: Scores ``(N, V)``.
        targets: Index of the right symbol in each row, ``(N,)``.
    """
    total = 0.0
    for n in range(logits.shape[0]):
        total += row_cross_entropy(logits[n], targets[n])
    return total


@njit(fastmath=EXACT)
def cross_entropy_grad(logits: Array, targets: Array, scale: float) -> float:
    """As :func:`cross_entropy`, and the logits are replaced by the gradient of ``scale`` times the sum.

    The gradient of a row is ``scale * (softmax(row) - onehot(target))``.

    Args:
        logits: Scores ``(N, V)``, overwritten.
        targets: Index of the right symbol in each row, ``(N,)``.
        scale: Factor of the gradient; ``1 / (T * B)`` makes it that of the mean.
    """
    losses, weights = np.empty(logits.shape[0]), np.empty(logits.shape[0])
    for n in range(losses.size):
        weights[n] = 1.0
    cross_entropies_grad(logits, targets, weights, scale, losses)
    total = 0.0
    for n in range(losses.size):
        total += losses[n]
    return total
