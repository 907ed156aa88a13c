"""Softmax cross-entropy over rows of logits, and its gradient, in one pass that cannot overflow.

Every probability is divided by the sum of exponentials, so its error affects all of them. In plain vectorised
loops, five thousand exponentials of float64 left the probabilities 22 ulp off. The sum is therefore kept as
two floats. The probabilities are then within 2 ulp, for some 30 ns a row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.elementary import exp_diff_formula, rounding_error
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.instructions import builder_tools
from zoo.kernels.jit import EXACT, njit
from zoo.kernels.llvm_math import LANE, IRValue, broadcast, emit, first_lanes, masked_load, masked_store
from zoo.kernels.processor import lanes

_pair: Any = types.UniTuple

_INDEX = builder_tools.intp_t

_DOUBLE = ir.DoubleType()


def _make_exp_sum(keep: bool) -> Any:
    """An intrinsic that sums the exponentials of a row, and overwrites the row with them if ``keep``."""

    @intrinsic
    def sums(_typing: Any, row: Any, top: Any) -> Any:  # noqa: ARG001 - the call's arguments
        def emit_code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            size = builder.extract_value(array.shape, 0)
            total = (_Float64Accumulator if row.dtype == types.float32 else _CompensatedAccumulator)(
                builder, lanes(row.dtype)
            )
            _Exponentials(builder, lanes(row.dtype), args[1], keep).add_to(total, array.data, size)
            return context.make_tuple(builder, signature.return_type, total.parts())

        return _pair(row.dtype, 2)(row, row.dtype), emit_code

    return sums


class _Float64Accumulator:
    """A sum of vectors of float32, in float64."""

    def __init__(self, builder: ir.IRBuilder, count: int) -> None:
        self.builder, self.vector = builder, ir.VectorType(_DOUBLE, count)
        self.total = builder_tools.alloca_once_value(builder, self.vector([0.0] * count))

    def add(self, e: IRValue) -> None:
        """Add a vector."""
        wide = IRValue(self.builder, self.builder.fpext(e.value, self.vector))
        self.builder.store((IRValue(self.builder, self.builder.load(self.total)) + wide).value, self.total)

    def parts(self) -> list[Any]:
        """The sum as two floats."""
        builder, single = self.builder, ir.FloatType()
        total = IRValue(builder, builder.load(self.total))
        while isinstance(total.value.type, ir.VectorType):
            a, b = _halves(total)
            total = a + b
        first = builder.fptrunc(total.value, single)
        rest = total - IRValue(builder, builder.fpext(first, _DOUBLE))
        return [first, builder.fptrunc(rest.value, single)]


class _CompensatedAccumulator:
    """A sum of vectors of float64, and the sum of the rounding errors."""

    def __init__(self, builder: ir.IRBuilder, count: int) -> None:
        self.builder = builder
        zero = ir.VectorType(_DOUBLE, count)([0.0] * count)
        self.slots = [builder_tools.alloca_once_value(builder, zero) for _ in range(2)]

    def add(self, e: IRValue) -> None:
        """Add a vector."""
        total, error = (IRValue(self.builder, self.builder.load(slot)) for slot in self.slots)
        for part, slot in zip(_compensated_add(total, error, e), self.slots, strict=True):
            self.builder.store(part.value, slot)

    def parts(self) -> list[Any]:
        """The sum as two floats."""
        total, error = (IRValue(self.builder, self.builder.load(slot)) for slot in self.slots)
        while isinstance(total.value.type, ir.VectorType):
            (a, b), (c, d) = _halves(total), _halves(error)
            total, error = _compensated_add(a, c + d, b)
        return [total.value, error.value]


def _compensated_add(total: IRValue, error: IRValue, x: IRValue) -> tuple[IRValue, IRValue]:
    """Add ``x`` to a compensated sum."""
    new = total + x
    return new, error + rounding_error(new, total, -x)


def _halves(vector: IRValue) -> tuple[IRValue, IRValue]:
    """The two halves of a vector; two floats for a vector of two lanes."""
    builder, value = vector.builder, vector.value
    half = value.type.count // 2
    if half == 1:
        low, high = (builder.extract_element(value, LANE(lane)) for lane in range(2))
    else:
        masks = (list(range(start, start + half)) for start in (0, half))
        lanes_of = [ir.Constant(ir.VectorType(LANE, half), mask) for mask in masks]
        low, high = (builder.shuffle_vector(value, value.type(ir.Undefined), mask) for mask in lanes_of)
    return IRValue(builder, low), IRValue(builder, high)


_Accumulator = _Float64Accumulator | _CompensatedAccumulator


class _Exponentials:
    """Emit ``exp(row - top)``, a vector at a time.

    Args:
        builder: Appends instructions.
        count: Lanes of a vector.
        top: The float to subtract.
        keep: Whether to overwrite the row with the exponentials.
    """

    def __init__(self, builder: ir.IRBuilder, count: int, top: Any, keep: bool) -> None:
        self.builder, self.keep = builder, keep
        self.vector = ir.VectorType(top.type, count)
        self.size = IRValue(builder, top).width // 8  # bytes of an element
        self.top = broadcast(builder, top, count)

    def add_to(self, total: _Accumulator, data: Any, size: Any) -> None:
        """Add the exponentials of a row to a sum."""
        builder, count = self.builder, self.vector.count
        whole = builder.sdiv(size, _INDEX(count))
        vectors = builder.bitcast(data, self.vector.as_pointer())
        with builder_tools.for_range(builder, whole, intp=_INDEX) as loop:
            pointer = builder.gep(vectors, [loop.index])
            e = self._exp(builder.load(pointer, align=self.size))
            total.add(e)
            if self.keep:
                builder.store(e.value, pointer, align=self.size)
        rest = builder.srem(size, _INDEX(count))
        with builder.if_then(builder.icmp_signed(">", rest, _INDEX(0))):
            self._add_partial(total, builder.gep(vectors, [whole]), rest)

    def _exp(self, x: Any) -> IRValue:
        return IRValue(self.builder, emit(exp_diff_formula, self.builder, x, self.top))

    def _add_partial(self, total: _Accumulator, pointer: Any, size: Any) -> None:
        """Add the exponentials of the first ``size`` lanes of a vector."""
        builder = self.builder
        inside = first_lanes(builder, size, self.vector.count)
        # The other lanes hold the largest score: minus infinity, whose exponential underflows, took as long
        # as three vectors.
        e = self._exp(masked_load(builder, pointer, inside, self.top, self.size))
        total.add(IRValue(builder, builder.select(inside, e.value, e.constant(0.0).value)))
        if self.keep:
            masked_store(builder, e.value, pointer, inside, self.size)


exponential_sum = _make_exp_sum(keep=False)

exponentiate = _make_exp_sum(keep=True)


@intrinsic
def divide_two_parts(_typing: Any, scale: Any, total: Any, error: Any) -> Any:
    """``scale / (total + error)`` as two floats, the second the rounding error of the first."""

    def emit_code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        a, b, c = (IRValue(builder, each) for each in args)
        first = a / b
        # A true fused multiply-add on every processor: without the instruction, a library call per row.
        remainder = IRValue(builder, builder.fma((-first).value, b.value, a.value))
        parts = [first.value, ((remainder - first * c) / b).value]
        return context.make_tuple(builder, signature.return_type, parts)

    return _pair(scale, 2)(scale, total, error), emit_code


def _py_partition(row: Array, top: float) -> tuple[float, float]:
    return np.exp(row - top).sum(), row.dtype.type(0)


def _py_exp_row(row: Array, top: float) -> tuple[float, float]:
    row[:] = np.exp(row - top)
    return row.sum(), row.dtype.type(0)


def _py_divide(scale: float, total: float, error: float) -> tuple[float, float]:
    return scale / (total + error), error


@njit(python_fallback=_py_partition)
def _partition(row: Array, top: float) -> tuple[float, float]:
    """The partition function, the sum of ``exp(row - top)``, as two floats."""
    return exponential_sum(row, top)  # type: ignore[no-any-return]


@njit(python_fallback=_py_exp_row)
def _exp_row(row: Array, top: float) -> tuple[float, float]:
    """Replace the row by ``exp(row - top)``; its sum as two floats."""
    return exponentiate(row, top)  # type: ignore[no-any-return]


@njit(inline=True, python_fallback=_py_divide)
def _divide(scale: float, total: float, error: float) -> tuple[float, float]:
    """``scale / (total + error)`` as two floats."""
    return divide_two_parts(scale, total, error)  # type: ignore[no-any-return]


# EXACT: reassociated to (log(sum) + top) - score, a large top would absorb the loss.
@njit(fastmath=EXACT, inline=True)
def row_cross_entropy(row: Array, target: int) -> float:
    """``-log softmax(row)[target]`` of one row of scores ``(V,)``, in nats."""
    top = kernels.row_max(row)
    return math.log(_partition(row, top)[0]) - (row[target] - top)  # type: ignore[no-any-return]


# Rows per pass. Together they overlap the latencies of each row's maximum and sum: 65 symbols take 59 ns, one
# row at a time 74, with the maximum and the sum in one pass 69.
_ROWS_AT_ONCE = 64


@njit(shared=True, fastmath=EXACT)
def cross_entropies_grad(rows: Array, targets: Array, weights: Array, scale: float, losses: Array) -> None:
    """Cross-entropy of every row, which is overwritten by its gradient times ``scale`` times its weight.

    The gradient is ``softmax(row) - onehot(target)``.

    Args:
        rows: Scores ``(N, V)``, overwritten.
        targets: Index of the correct symbol in each row, ``(N,)``.
        weights: Weight of each row, ``(N,)``, float64.
        scale: Factor of the gradients.
        losses: Receives the losses, in nats, ``(N,)``.
    """
    work = kernels.empty((4, _ROWS_AT_ONCE), rows)
    for first in range(0, losses.size, _ROWS_AT_ONCE):
        last = kernels.int_min(first + _ROWS_AT_ONCE, losses.size)
        for n in range(first, last):
            row, i = kernels.row(rows, n), n - first
            work[0, i] = kernels.row_max(row)
            work[1, i] = row[targets[n]] - work[0, i]
        for n in range(first, last):
            i = n - first
            work[2, i], work[3, i] = _exp_row(kernels.row(rows, n), work[0, i])
        for n in range(first, last):
            row, i = kernels.row(rows, n), n - first
            losses[n] = math.log(work[2, i]) - work[1, i]
            factor = rows.dtype.type(scale * weights[n])
            inverse, error = _divide(factor, work[2, i], work[3, i])
            for v in range(row.size):
                row[v] = row[v] * inverse + row[v] * error
            row[targets[n]] -= factor


@njit(fastmath=EXACT)
def cross_entropy(logits: Array, targets: Array) -> float:
    """Sum over rows of ``-log softmax(logits)[target]``, in nats.

    Args:
        logits: Scores ``(N, V)``.
        targets: Index of the correct symbol in each row, ``(N,)``.
    """
    total = 0.0
    for n in range(logits.shape[0]):
        total += row_cross_entropy(logits[n], targets[n])
    return total


@njit(shared=True, fastmath=EXACT)
def cross_entropy_grad(logits: Array, targets: Array, scale: float) -> float:
    """As :func:`cross_entropy`, and replace the logits by the gradient of ``scale`` times the sum.

    The gradient of a row is ``scale * (softmax(row) - onehot(target))``.

    Args:
        logits: Scores ``(N, V)``, overwritten.
        targets: Index of the correct symbol in each row, ``(N,)``.
        scale: Factor of the gradient; ``1 / (T * B)`` gives the gradient of the mean.
    """
    losses, weights = np.empty(logits.shape[0]), np.empty(logits.shape[0])
    for n in range(losses.size):
        weights[n] = 1.0
    cross_entropies_grad(logits, targets, weights, scale, losses)
    total = 0.0
    for n in range(losses.size):
        total += losses[n]
    return total
