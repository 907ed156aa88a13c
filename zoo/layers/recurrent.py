"""``zoo.Recurrent``: any cell, stacked, as a layer for research code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.contracts import Cell
from zoo.errors import UsageError
from zoo.layers.asking import Asked, Traces, gradients_traced, names_of, values_traced
from zoo.layers.beside import Beside
from zoo.layers.boundary import as_dtype, as_floats, as_inputs, as_state, check_seed
from zoo.layers.layer import LayerTape
from zoo.layers.layout import Flat
from zoo.layers.segments import Segment, check_recompute, cut, segments, walk_back
from zoo.layers.shards import check_threads, join_states, map_shards, states_of, sum_shards
from zoo.layers.stack import Stack, Weights
from zoo.layers.tracing import GradientTracer, ValueTracer
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]
State = dict[str, Array]


@dataclass(frozen=True)
class Tape:
    """What :meth:`Recurrent.vjp` needs of one :meth:`Recurrent.apply`; any number may be alive at once."""

    stack: Stack
    weights: Weights
    x: Array
    beside: Beside
    shards: list[list[Segment]]
    trace: Traces

    def layers(self, segment: Segment) -> list[LayerTape]:
        """The tape of a segment; if it was not kept, the forward pass makes it again."""
        if segment.tape is not None:
            return segment.tape
        where = segment.steps, segment.rows
        told = self.beside.part(*where)
        return self.stack.forward(self.weights, cut(self.x, *where), segment.state, told)[2]


class Recurrent(Flat):
    """A stack of recurrent layers over time-major sequences.

    >>> rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=5)
    >>> y, state = rnn.forward(np.ones((7, 2, 3), np.float32))
    >>> y.shape, state["l0.h"].shape
    ((7, 2, 5), (2, 5))

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``; layer k reads the output of layer k - 1.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Decides the first values of the parameters, and nothing else does.
        threads: Threads among which the batch is divided; None for every processor. Changes no bit of any
            result.
        recompute: None to keep all that :meth:`backward` needs; or the steps per segment, or ``"sqrt"`` for
            about sqrt(T) segments of 1,024 tokens at least: then only the states between segments are kept,
            and each segment is computed again on the way back. Outputs and states are the same, gradients
            the same up to rounding, time grows by about a third.

    Attributes:
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`backward`, ``(P,)``.
        params: Name to view into ``theta``: ``rnn.params["l0.Wxh"]``.
        grads: Name to view into ``grad``.
        buffers: Name to what the cell holds beside parameters, not trained and read-only: ``"l0.A"``.
        trace: Name to what ``forward(x, trace=...)`` traced, ``(T, B, ·)``: ``rnn.trace["l0.f"]``.
        trace_grads: Name to the gradients that ``backward(dy, trace_grads=...)`` traced, each of the shape of
            what it is the gradient of.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the dtype, the number of threads or recompute does not fit.
    """

    def __init__(
        self,
        cell: str | type[Cell] | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dtype: Any = "float32",
        seed: int = 0,
        threads: int | None = None,
        recompute: int | str | None = None,
    ) -> None:
        self.cell = resolve_cell(cell)
        self.threads = check_threads(threads)
        self.recompute = check_recompute(recompute)
        self.stack = Stack(self.cell, input_size, hidden_size, num_layers)
        super().__init__(self.stack.param_shapes, as_dtype(dtype), self.stack.buffer_shapes)
        self.fill(self.stack.initial(check_seed(seed)))
        self._tape: Tape | None = None
        self.trace, self.trace_grads = values_traced({}), gradients_traced({})

    def __repr__(self) -> str:
        stack = self.stack
        return (
            f"Recurrent({self.cell!r}, input_size={stack.input_size}, hidden_size={stack.hidden_size}, "
            f"num_layers={len(stack.layers)}, dtype={self.dtype.name!r}, P={self.layout.size})"
        )

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.stack.output_size

    def forward(
        self,
        x: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
        trace: Asked = None,
        **inputs: Any,
    ) -> tuple[Array, State]:
        """Run the layers over a sequence, remembering what :meth:`backward` needs.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: States before the first step, ``"l0.h"`` to ``(B, H)``; zeros if None.
            noise: What decides the noise of a cell that has some: ``(seed, step)`` in training, another step
                for other noise; None, in evaluation, for its expectation.
            trace: What to trace, to be found in :attr:`trace`: True for everything in :attr:`trace_names`,
                or names, ``"f"`` in every layer or ``"l0.f"`` in one.
            **inputs: What the cell takes beside x, ``dt=...`` of shape ``(T, B, ...)``; every layer gets it,
                and its default where it is not given.

        Returns:
            The outputs ``(T, B, ·)`` and the states after the last step.

        Raises:
            UsageError: if x, state, noise, trace or an input does not fit.
            UnknownNameError: if there is nothing of a name to trace.
        """
        y, last, self._tape = self.apply(self.theta, x, state, noise, trace, **inputs)
        self.trace, self.trace_grads = self._tape.trace, gradients_traced({})
        return y, last

    @property
    def trace_names(self) -> tuple[str, ...]:
        """What :meth:`forward` can trace: ``"l0.f"`` and so on, layer by layer."""
        return names_of(self.stack.layers)

    def backward(
        self, dy: Any, dstate: Mapping[str, Any] | None = None, trace_grads: Asked = None
    ) -> tuple[Array | None, State]:
        """Back-propagate through the last :meth:`forward`, filling :attr:`grad`.

        Args:
            dy: Gradient with respect to the outputs, ``(T, B, ·)``.
            dstate: Gradient with respect to the states after the last step; zeros if None.
            trace_grads: Of what to trace the gradients, to be found in :attr:`trace_grads`: True for every
                state, or names as for ``trace``.

        Returns:
            The gradients with respect to x (None for tokens) and to the states before the first step.

        Raises:
            UsageError: if there was no forward, a shape does not fit, or what to trace has no gradient.
            UnknownNameError: if there is nothing of a name to trace.
        """
        if self._tape is None:
            raise UsageError(f"{self.cell.label()}: backward before any forward; call forward first.")
        tape = self._tape
        if not trace_grads:
            self.trace_grads = gradients_traced({})
            return self._back(tape, dy, dstate, self.grad)
        tracer = GradientTracer(self.stack.layers, tape.weights, trace_grads, tape.x.shape[:2])
        found = self._back(tape, dy, dstate, self.grad, tracer)
        self.trace_grads = tracer.traces()
        return found

    def apply(
        self,
        theta: Any,
        x: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
        trace: Asked = None,
        **inputs: Any,
    ) -> tuple[Array, State, Tape]:
        """Pure forward pass: outputs, last states, and a tape for :meth:`vjp`.

        The tape looks at theta, x, state and inputs and keeps no copies: they must not change while it is in
        use.

        Args:
            theta: Parameters ``(P,)``.
            x: As for :meth:`forward`.
            state: As for :meth:`forward`.
            noise: As for :meth:`forward`.
            trace: As for :meth:`forward`; what is traced is in ``tape.trace``.
            **inputs: As for :meth:`forward`.

        Returns:
            The outputs ``(T, B, ·)``, the states after the last step, and the tape.

        Raises:
            UsageError: if an argument does not fit.
            UnknownNameError: if there is nothing of a name to trace.
        """
        who = self.cell.label()
        theta = as_floats(theta, (self.layout.size,), self.dtype, f"{who}: theta")
        weights = self.stack.weights({**self._arrays, **self.layout.views(theta)})
        x = as_inputs(x, self.stack.input_size, self.dtype, who)
        steps, batch = x.shape[:2]
        before = as_state(state, self.stack.state_shapes, batch, self.dtype, who)
        beside = self.stack.beside(inputs, (steps, batch), self.dtype, noise)
        parts = segments(steps, batch, self.recompute)
        y = np.empty((steps, batch, self.output_size), self.dtype)
        tracer = ValueTracer(self.stack.layers, weights, trace, (steps, batch)) if trace else None

        def work(rows: slice) -> tuple[list[Segment], State]:
            now, found = states_of(before, rows), []
            for when in parts:
                told = beside.part(when, rows)
                watch = tracer.watch(when, rows) if tracer else None
                y[when, rows], after, tape = self.stack.forward(weights, cut(x, when, rows), now, told, watch)
                found.append(Segment(when, rows, now, tape if len(parts) == 1 else None))
                now = after
            return found, now

        found = map_shards(work, batch, self.threads)
        last = join_states([after for _, after in found])
        traces = tracer.traces() if tracer else values_traced({})
        return y, last, Tape(self.stack, weights, x, beside, [each for each, _ in found], traces)

    def vjp(
        self, tape: Tape, dy: Any, dstate: Mapping[str, Any] | None = None
    ) -> tuple[Array | None, State, Array]:
        """Pure backward pass: the gradients of ``sum(dy * y) + sum(dstate * last)``.

        Args:
            tape: From :meth:`apply`; it may be used again.
            dy: As for :meth:`backward`.
            dstate: As for :meth:`backward`.

        Returns:
            The gradients with respect to x (None for tokens), to the first states, and to theta ``(P,)``.

        Raises:
            UsageError: if a shape does not fit, or the tape is of another layer.
        """
        dtheta = np.empty(self.layout.size, self.dtype)
        return *self._back(tape, dy, dstate, dtheta), dtheta

    def _back(
        self,
        tape: Tape,
        dy: Any,
        dstate: Mapping[str, Any] | None,
        out: Array,
        tracer: GradientTracer | None = None,
    ) -> tuple[Array | None, State]:
        """As :meth:`vjp`, with the gradient of the parameters in out."""
        who = f"{self.cell.label()}: gradient of the output"
        if not isinstance(tape, Tape) or tape.stack is not self.stack:
            raise UsageError(f"{who}: the tape is not one of this layer's; pass on what its apply returned.")
        steps, batch = tape.x.shape[:2]
        dy = as_floats(dy, (steps, batch, self.output_size), self.dtype, who)
        dlast = as_state(dstate, self.stack.state_shapes, batch, self.dtype, who)
        dx = None if tape.x.ndim == 2 else np.empty_like(tape.x)
        found = {part[0].rows.start: part for part in tape.shards}

        def back(segment: Segment, dafter: State) -> tuple[State, list[Array]]:
            part = cut(dy, segment.steps, segment.rows)
            watch = tracer.watch(segment.steps, segment.rows) if tracer else None
            kept = tape.layers(segment)
            dpart, dbefore, gradients = self.stack.backward(tape.weights, kept, part, dafter, watch)
            if dx is not None:
                dx[segment.steps, segment.rows] = dpart
            return dbefore, gradients

        def work(rows: slice) -> tuple[State, Array]:
            gradient = out if rows.start == 0 else np.empty_like(out)
            return walk_back(found[rows.start], states_of(dlast, rows), gradient, back), gradient

        parts = map_shards(work, batch, self.threads)
        sum_shards([gradient for _, gradient in parts])
        return dx, join_states([dbefore for dbefore, _ in parts])
