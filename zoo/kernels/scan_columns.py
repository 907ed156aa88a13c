"""The steps of a chunk of a selective scan, as vector instructions for one vector of columns after the other.

:mod:`zoo.kernels.selective_scan` has the equations. A vector of columns goes through all steps of the chunk
with some rows of the state in registers. First, its operands are copied to consecutive addresses: in the rows
of a batch, the operands of two steps often are a power of two apart, share a few sets of the nearest cache,
and replace each other.

Decays are powers of two, because rates are multiplied by ``log2(e)`` once, and their power is one shift of
bits. Decays below the smallest normal number are zero. Above ``2 ** 127.5`` in float32 they are infinite. The
general exponential function takes 9.5 cycles for eight numbers, and this one takes 6.8 (AMD EPYC, Zen 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.array_types import Array
from zoo.kernels.column_loops import ColumnEmitter, Columns, Vectors
from zoo.kernels.elementary import exp, exp2i, expm1_formula
from zoo.kernels.float_formats import FORMATS
from zoo.kernels.instructions import SIZE, ArrayFields, emitted_by, is_contiguous
from zoo.kernels.llvm_math import LANE, IRValue
from zoo.kernels.vector_loops import sum_lanes

MAX_LANES = 16
"""Elements of the largest vector."""

_FORWARD_ROWS, _BACKWARD_ROWS = 4, 2
"""Rows of the state in registers. The backward pass takes the same time with two and with four."""


class _Operands:
    """Addresses of the operands of the steps: value, key, query and time.

    Args:
        builder: Appends instructions.
        first: Address of the operands of the first step.
        stride: Distance to the next step.
        depth: ``K``.
        width: ``D``.
    """

    def __init__(self, builder: ir.IRBuilder, first: Any, stride: Any, depth: Any, width: Any) -> None:
        self._builder, self._first, self._stride = builder, first, stride
        self._key, self._query = width, builder.add(width, depth)
        self._time = builder.add(self._query, depth)

    def _part(self, t: Any, offset: Any) -> Any:
        return self._builder.gep(self._first, [self._builder.add(self._builder.mul(t, self._stride), offset)])

    def value(self, t: Any) -> Any:
        """Address of the value of a step."""
        return self._part(t, SIZE(0))

    def key(self, t: Any) -> Any:
        """Address of the key of a step."""
        return self._part(t, self._key)

    def query(self, t: Any) -> Any:
        """Address of the query of a step."""
        return self._part(t, self._query)

    def time(self, t: Any) -> Any:
        """Address of the time of a step."""
        return self._part(t, self._time)


class _ScanEmitter(ColumnEmitter):
    """Emits the loops of both passes.

    Args:
        builder: Appends instructions.
        dtype: Numba's type of an element.
        scalar: LLVM's type of an element.
        sizes: Steps of the chunk, distance of the operands and of the results of two steps, ``K``, ``D``.
        query_first: Whether queries read the state before the update.
    """

    def __init__(
        self, builder: ir.IRBuilder, dtype: Any, scalar: Any, sizes: Sequence[Any], query_first: Any
    ) -> None:
        steps, self.stride, self.out_stride, self.depth, width = sizes
        super().__init__(builder, dtype, scalar, steps, width)
        self._query_first = builder.icmp_unsigned("!=", query_first, query_first.type(0))

    def operands(self, first: Any) -> _Operands:
        """Operands of the steps, or their gradients."""
        return _Operands(self.builder, first, self.stride, self.depth, self.width)

    def result(self, array: Any, t: Any) -> Any:
        """Address of the result of a step."""
        return self.builder.gep(array, [self.builder.mul(t, self.out_stride)])

    def for_rows(self, at_once: int, body: Callable[[list[Any]], None]) -> None:
        """Emit a loop over rows of the state, some at once, then a loop over the rest."""
        builder = self.builder
        rest = builder.sub(self.depth, builder.urem(self.depth, SIZE(at_once)))
        self.loop(
            SIZE(0), rest, lambda row: body([builder.add(row, SIZE(n)) for n in range(at_once)]), at_once
        )
        self.loop(rest, self.depth, lambda row: body([row]))

    def for_both_query_orders(self, body: Callable[[bool], None]) -> None:
        """Emit a body for queries that read the state before the update, and one for others."""
        with self.builder.if_else(self._query_first) as (first, later):
            with first:
                body(True)
            with later:
                body(False)

    def write_decays(self, rate: IRValue, times: Vectors, decays: Vectors) -> None:
        """Set the decays of an element in all steps.

        Two vectors at a time: the instructions of one wait for each other. One at a time takes 1.1 times as
        long.
        """
        builder, count = self.builder, self.lanes
        scaled = rate * FORMATS[rate.width].log2e
        mask = ir.VectorType(LANE, 2 * count)([*range(count)] * 2)
        rates = IRValue(builder, builder.shuffle_vector(scaled.value, scaled.value, mask))
        times, decays = times.in_pairs(), decays.in_pairs()

        def set_pair(n: Any) -> None:
            decays[n] = _decay(rates, times[n])

        self.loop(SIZE(0), builder.udiv(builder.add(self.steps, SIZE(1)), SIZE(2)), set_pair)


def _decay(rate: IRValue, time: IRValue) -> IRValue:
    """``2 ** (rate * time)``; zero or infinity beyond normal numbers."""
    c = FORMATS[rate.width]
    exponent = (rate * time).minimum(c.bias + 1.0).maximum(-float(c.bias))
    shift = c.shift + c.bias
    shifted = exponent + shift
    r = (exponent - (shifted - shift)) * c.ln2
    return exp2i(shifted, c) * (expm1_formula(r, c) + 1.0)


def _next_state(state: Any, decay: Any, value: Any, key: Any) -> Any:
    return decay * state + value * key


def _signature_and_emit(write: Callable[..., None], kinds: Sequence[Any]) -> Any:
    """Numba's signature of a pass and the function that emits it; None for arrays that it does not take.

    Args:
        write: Emits the pass.
        kinds: Numba's types of its arrays.
    """
    dtype = kinds[0].dtype
    if not all(is_contiguous(kind) and kind.ndim == 1 and kind.dtype == dtype for kind in kinds):
        return None
    signature = types.void(*kinds, *[types.intp] * 5, types.boolean)

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        arrays, sizes = args[: len(kinds)], args[len(kinds) : -1]
        data = [ArrayFields(context, builder, *each)["data"] for each in zip(kinds, arrays, strict=True)]
        write(_ScanEmitter(builder, dtype, data[0].type.pointee, sizes, args[-1]), *data)
        return context.get_dummy_value()

    return signature, emit


def _write_forward(emitter: _ScanEmitter, state: Any, rates: Any, rows: Any, out: Any) -> None:
    operands = emitter.operands(rows)
    values, times, reads = (emitter.vectors() for _ in range(3))
    states = emitter.registers(_FORWARD_ROWS)
    decays = [emitter.vectors() for _ in range(_FORWARD_ROWS)]
    zero = SIZE(0)

    def run_columns(columns: Columns) -> None:
        def copy(t: Any) -> None:
            values[t], times[t] = columns.load(operands.value(t)), columns.load(operands.time(t))
            reads[t] = emitter.zeros

        def run_rows(indices: list[Any]) -> None:
            for n, index in enumerate(indices):
                states[n][zero] = columns.load(emitter.row(state, index))
                emitter.write_decays(columns.load(emitter.row(rates, index)), times, decays[n])
            emitter.for_both_query_orders(
                lambda query_first: emitter.for_steps(lambda t: run_step(t, indices, query_first))
            )
            for n, index in enumerate(indices):
                columns.store(states[n][zero], emitter.row(state, index))

        def run_step(t: Any, indices: list[Any], query_first: bool) -> None:
            value, read = values[t], reads[t]
            for n, index in enumerate(indices):
                before = states[n][zero]
                after = _next_state(
                    before, decays[n][t], value, emitter.broadcast_element(operands.key(t), index)
                )
                states[n][zero] = after
                read = read + (before if query_first else after) * emitter.broadcast_element(
                    operands.query(t), index
                )
            reads[t] = read

        emitter.for_steps(copy)
        emitter.for_rows(_FORWARD_ROWS, run_rows)
        emitter.for_steps(lambda t: columns.store(reads[t], emitter.result(out, t)))

    emitter.for_columns(run_columns)


def _emit_forward(
    _typing: Any, state: Any, rates: Any, rows: Any, out: Any,
    _steps: Any, _stride: Any, _out_stride: Any, _depth: Any, _width: Any, _query_first: Any,
) -> Any:  # fmt: skip
    return _signature_and_emit(_write_forward, (state, rates, rows, out))


@emitted_by(_emit_forward)
def forward_columns(
    state: Array, rates: Array, rows: Array, out: Array,
    steps: int, stride: int, out_stride: int, depth: int, width: int, query_first: bool,
) -> None:  # fmt: skip
    """Run the steps of a chunk, for one head of one sequence.

    Args:
        state: The state before the chunk, ``(K * D,)``, replaced by the state after it.
        rates: Rates of the elements, ``(K * D,)``.
        rows: The operands, from the value of the first step on.
        out: Receives what the queries read, from the first step on.
        steps: Steps of the chunk, at most ``CHUNK``.
        stride: Distance between the operands of two steps.
        out_stride: Distance between the results of two steps.
        depth: ``K``.
        width: ``D``.
        query_first: Whether queries read the state before the update.
    """
    states, rates = state.reshape(depth, width), rates.reshape(depth, width)
    for t in range(steps):
        value, key, query, time = _operands_of(rows, t * stride, depth, width)
        before = states.copy()
        states[:] = _next_state(before, exp(rates * time), value, key[:, None])
        out[t * out_stride : t * out_stride + width] = query @ (before if query_first else states)


def _operands_of(rows: Array, start: int, depth: int, width: int) -> list[Array]:
    """Value, key, query and time of a step, as views."""
    operands = rows[start : start + 2 * width + 2 * depth]
    return np.split(operands, [width, width + depth, width + 2 * depth])


def _write_backward(
    emitter: _ScanEmitter,
    state: Any, rates: Any, rows: Any, dstate: Any, dout: Any, drows: Any, drates: Any, sums: Any,
) -> None:  # fmt: skip
    builder = emitter.builder
    assert emitter.lanes <= MAX_LANES  # `sums` is long enough
    operands, gradients = emitter.operands(rows), emitter.operands(drows)
    values, times, dreads, dvalues, dtimes = (emitter.vectors() for _ in range(5))
    history = [emitter.vectors() for _ in range(_BACKWARD_ROWS)]
    decays = [emitter.vectors() for _ in range(_BACKWARD_ROWS)]
    states, row_rates, dstates, row_drates = (emitter.registers(_BACKWARD_ROWS) for _ in range(4))
    zero = SIZE(0)
    # The gradients of keys and queries are sums over columns.
    all_sums = Vectors(builder, emitter.vector, sums)
    dqueries_start = builder.mul(emitter.steps, emitter.depth)

    def dkey_index(t: Any, row: Any) -> Any:
        return builder.add(builder.mul(t, emitter.depth), row)

    def clear(n: Any) -> None:
        all_sums[n] = emitter.zeros

    def run_columns(columns: Columns) -> None:
        def copy(t: Any) -> None:
            values[t], times[t] = columns.load(operands.value(t)), columns.load(operands.time(t))
            dreads[t] = columns.load(emitter.result(dout, t))
            dvalues[t] = dtimes[t] = emitter.zeros

        def run_rows(indices: list[Any]) -> None:
            for n, index in enumerate(indices):
                states[n][zero] = columns.load(emitter.row(state, index))
                row_rates[n][zero] = columns.load(emitter.row(rates, index))
                dstates[n][zero] = columns.load(emitter.row(dstate, index))
                row_drates[n][zero] = columns.load(emitter.row(drates, index))
                emitter.write_decays(row_rates[n][zero], times, decays[n])
            emitter.for_steps(lambda t: recompute_step(t, indices))
            emitter.for_both_query_orders(
                lambda query_first: emitter.for_steps_backward(
                    lambda t: add_gradients(t, indices, query_first)
                )
            )
            for n, index in enumerate(indices):
                columns.store(dstates[n][zero], emitter.row(dstate, index))
                columns.store(row_drates[n][zero], emitter.row(drates, index))

        def recompute_step(t: Any, indices: list[Any]) -> None:
            for n, index in enumerate(indices):
                history[n][t] = before = states[n][zero]
                key = emitter.broadcast_element(operands.key(t), index)
                states[n][zero] = _next_state(before, decays[n][t], values[t], key)

        def add_gradients(t: Any, indices: list[Any], query_first: bool) -> None:
            value, time, dread, dvalue, dtime = values[t], times[t], dreads[t], dvalues[t], dtimes[t]
            for n, index in enumerate(indices):
                key, query = (
                    emitter.broadcast_element(row, index) for row in (operands.key(t), operands.query(t))
                )
                before, after, decay, g = history[n][t], states[n][zero], decays[n][t], dstates[n][zero]
                states[n][zero] = before
                if not query_first:
                    g = g + dread * query
                decayed = g * decay
                dexponent = decayed * before
                dvalue, dtime = dvalue + g * key, dtime + dexponent * row_rates[n][zero]
                row_drates[n][zero] = row_drates[n][zero] + dexponent * time
                dstates[n][zero] = decayed + dread * query if query_first else decayed
                dkey = dkey_index(t, index)
                all_sums[dkey] = all_sums[dkey] + g * value
                dquery = builder.add(dkey, dqueries_start)
                all_sums[dquery] = all_sums[dquery] + dread * (before if query_first else after)
            dvalues[t], dtimes[t] = dvalue, dtime

        def store(t: Any) -> None:
            columns.store(dvalues[t], gradients.value(t))
            columns.store(dtimes[t], gradients.time(t))

        emitter.for_steps(copy)
        emitter.for_rows(_BACKWARD_ROWS, run_rows)
        emitter.for_steps(store)

    def store_sums(t: Any) -> None:
        def store_row(row: Any) -> None:
            dkey = dkey_index(t, row)
            for index, array in (
                (dkey, gradients.key(t)),
                (builder.add(dkey, dqueries_start), gradients.query(t)),
            ):
                total = sum_lanes(builder, all_sums[index].value, emitter.scalar, emitter.lanes)
                builder.store(total, builder.gep(array, [row]))

        emitter.loop(zero, emitter.depth, store_row)

    emitter.loop(zero, builder.mul(dqueries_start, SIZE(2)), clear)
    emitter.for_columns(run_columns)
    emitter.for_steps(store_sums)


def _emit_backward(
    _typing: Any,
    state: Any, rates: Any, rows: Any, dstate: Any, dout: Any, drows: Any, drates: Any, sums: Any,
    _steps: Any, _stride: Any, _out_stride: Any, _depth: Any, _width: Any, _query_first: Any,
) -> Any:  # fmt: skip
    return _signature_and_emit(_write_backward, (state, rates, rows, dstate, dout, drows, drates, sums))


@emitted_by(_emit_backward)
def backward_columns(
    state: Array, rates: Array, rows: Array, dstate: Array, dout: Array, drows: Array, drates: Array,
    sums: Array,  # noqa: ARG001 - for the instructions
    steps: int, stride: int, out_stride: int, depth: int, width: int, query_first: bool,
) -> None:  # fmt: skip
    """Backward pass of :func:`forward_columns`.

    Args:
        state: The state before the chunk, ``(K * D,)``.
        rates: As in :func:`forward_columns`.
        rows: As in :func:`forward_columns`.
        dstate: The gradient of the state after the chunk, ``(K * D,)``, replaced by the gradient of the
            state before it.
        dout: The gradients of the results, from the first step on.
        drows: Receives the gradients of the operands, from the first step on.
        drates: The gradients of the rates, ``(K * D,)``, to which the gradients of the chunk are added.
        sums: Memory for ``2 * steps * K * MAX_LANES`` elements.
        steps: As in :func:`forward_columns`.
        stride: As in :func:`forward_columns`.
        out_stride: As in :func:`forward_columns`.
        depth: As in :func:`forward_columns`.
        width: As in :func:`forward_columns`.
        query_first: As in :func:`forward_columns`.
    """
    states, rates, g, drates = (each.reshape(depth, width) for each in (state, rates, dstate, drates))
    history = [states]
    for t in range(steps):
        value, key, _, time = _operands_of(rows, t * stride, depth, width)
        history.append(_next_state(history[-1], exp(rates * time), value, key[:, None]))
    for t in range(steps - 1, -1, -1):
        value, key, query, time = _operands_of(rows, t * stride, depth, width)
        dvalue, dkey, dquery, dtime = _operands_of(drows, t * stride, depth, width)
        dread = dout[t * out_stride : t * out_stride + width]
        if not query_first:
            g += query[:, None] * dread
        decayed = g * exp(rates * time)
        dexponent = decayed * history[t]
        dvalue[:], dkey[:] = key @ g, g @ value
        dtime[:] = (dexponent * rates).sum(0)
        drates += dexponent * time
        dquery[:] = history[t if query_first else t + 1] @ dread
        g[:] = decayed + query[:, None] * dread if query_first else decayed
