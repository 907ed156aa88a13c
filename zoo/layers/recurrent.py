"""``zoo.Recurrent``: any cell, stacked, as a layer for research code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.arguments import check_seed
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.layers.config import CellSpec, StackConfig, StackOptions
from zoo.layers.functional import FunctionalStack, Tape
from zoo.layers.parameters import FlatParameters
from zoo.layers.sharding import check_threads
from zoo.layers.stack import Stack
from zoo.layers.tracing import (
    GradientTracer,
    TraceRequest,
    gradient_traces,
    requested_names,
    trace_names,
    value_traces,
)
from zoo.layers.validation import as_floats

if TYPE_CHECKING:
    from typing_extensions import Unpack

Array = np.ndarray[Any, Any]
State = dict[str, Array]


class Recurrent(FlatParameters):
    """A stack of recurrent layers over time-major sequences.

    >>> rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=5)
    >>> y, state = rnn.forward(np.ones((7, 2, 3), np.float32))
    >>> y.shape, state["l0.h"].shape
    ((7, 2, 5), (2, 5))

    Args:
        cell: The cell of every layer, or a list with one for each: see ``cells`` of
            :class:`zoo.layers.StackConfig`.
        input_size: ``I``.
        hidden_size: ``H``.
        num_layers: ``L``.
        seed: Decides the initial values of the parameters, and nothing else does.
        threads: Threads among which the batch is divided; None for every processor. Changes no bit of any
            result.
        **options: ``dtype``, ``bidirectional``, ``dropout``, ``residual``, ``learned_state`` and
            ``recompute``: see :class:`zoo.layers.StackConfig`.

    Attributes:
        cells: The cell of each layer.
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`backward`, ``(P,)``.
        params: Name to view into ``theta``: ``rnn.params["l0.Wxh"]``.
        grads: Name to view into ``grad``.
        buffers: Name to what the cell holds beside parameters, not trained and read-only: ``"l0.A"``.
        trace: Name to what ``forward(x, trace=...)`` traced, ``(T, B, ·)``: ``rnn.trace["l0.f"]``; zero
            behind the end of a row.
        trace_grads: Name to the gradients that ``backward(dy, trace_grads=...)`` traced, each of the shape of
            what it is the gradient of.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the dtype, the number of threads or another argument does not fit.
    """

    def __init__(
        self,
        cell: CellSpec | Sequence[CellSpec],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        seed: int = 0,
        threads: int | None = None,
        **options: Unpack[StackOptions],
    ) -> None:
        self.threads = check_threads(threads)
        self.config = StackConfig(cell, input_size, hidden_size, num_layers, **options)
        self.stack = Stack(self.config)
        super().__init__(self.stack.param_shapes, self.config.dtype, self.stack.buffer_shapes)
        self.functional = FunctionalStack(self.stack, self.dtype)
        self.fill(self.stack.initial_values(check_seed(seed)))
        self._tape: Tape | None = None
        self.trace, self.trace_grads = value_traces({}), gradient_traces({})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tape": None}  # it looks at the parameters of this layer

    def __repr__(self) -> str:
        return f"Recurrent({self.config.describe()}, dtype={self.dtype.name!r}, P={self.layout.size})"

    @property
    def cell(self) -> Cell:
        """The cell of the first layer, and of the others if they were not chosen one by one."""
        return self.stack.cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cell of each layer."""
        return self.stack.cells

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.stack.output_size

    def forward(
        self,
        x: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
        lengths: Any = None,
        trace: TraceRequest = None,
        **inputs: Any,
    ) -> tuple[Array, State]:
        """Run the layers over a sequence, remembering what :meth:`backward` needs.

        You may overwrite x, state, lengths and inputs before :meth:`backward`, since it has copies of them.
        The parameters must stay as they are until then.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: States before the first step, ``"l0.h"`` to ``(B, H)``; if None the learned ones, or zeros.
                That of a layer which reads backwards is its state before the last step of the sequence.
            noise: What decides dropout and the noise of a cell that has some: ``(seed, step)`` in training,
                another step for other noise; None, in evaluation, for no dropout, and noise that is its
                expectation.
            lengths: Steps of each row, ``(B,)`` integers from 0 to T; None if all rows have T steps. Every
                row then gives what it gives alone. What x and inputs hold behind its end is not read. There
                the outputs are zero; the last states are those at its end; and a layer that reads backwards
                begins there.
            trace: What to trace, to be found in :attr:`trace`: True for everything in :attr:`trace_names`,
                or names, ``"f"`` in every layer or ``"l0.f"`` in one.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(T, B, ...)``, for every layer that
                declares them; those that are not given have their defaults.

        Returns:
            The outputs ``(T, B, ·)`` and the states after the last step.

        Raises:
            UsageError: if x, state, noise, lengths, trace or an input does not fit.
            UnknownNameError: if there is nothing of a name to trace.
        """
        y, last, self._tape = self.functional.apply(
            self._arrays,
            x,
            state,
            noise,
            lengths,
            inputs,
            self.threads,
            trace=trace,
            theta=self._theta,
        )
        self.trace, self.trace_grads = self._tape.trace, gradient_traces({})
        return y, last

    @property
    def trace_names(self) -> tuple[str, ...]:
        """What :meth:`forward` can trace: ``"l0.f"`` and so on, layer by layer."""
        return trace_names(self.stack.directions)

    def backward(
        self, dy: Any, dstate: Mapping[str, Any] | None = None, trace_grads: TraceRequest = None
    ) -> tuple[Array | None, State]:
        """Back-propagate through the last :meth:`forward`, filling :attr:`grad`.

        Args:
            dy: Gradient with respect to the outputs, ``(T, B, ·)``; behind the end of a row it counts for
                nothing.
            dstate: Gradient with respect to the states after the last step; zeros if None.
            trace_grads: Of what to trace the gradients, to be found in :attr:`trace_grads`: True for every
                state, or names as for ``trace``.

        Returns:
            The gradients with respect to x (None for tokens) and to the states before the first step.

        Raises:
            UsageError: if there was no forward, the parameters have changed since, a shape does not fit, or
                what to trace has no gradient.
            UnknownNameError: if there is nothing of a name to trace.
        """
        if self._tape is None:
            raise UsageError(f"{self.stack.label()}: backward before any forward; call forward first.")
        tracer = GradientTracer(self._tape.batch_run, trace_grads) if requested_names(trace_grads) else None
        dx, dbefore, _ = self.functional.vjp(self._tape, dy, dstate, self.threads, self.grad, tracer)
        self.trace_grads = tracer.traces() if tracer else gradient_traces({})
        return dx, dbefore

    def apply(
        self,
        theta: Any,
        x: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
        lengths: Any = None,
        trace: TraceRequest = None,
        **inputs: Any,
    ) -> tuple[Array, State, Tape]:
        """Pure forward pass: outputs, last states, and a tape for :meth:`vjp`.

        The tape has copies of x, state and inputs, which you may overwrite. It has no copy of theta: after a
        change :meth:`vjp` raises an error.

        Args:
            theta: Parameters ``(P,)``.
            x: As for :meth:`forward`.
            state: As for :meth:`forward`.
            noise: As for :meth:`forward`.
            lengths: As for :meth:`forward`.
            trace: As for :meth:`forward`; what is traced is in ``tape.trace``.
            **inputs: As for :meth:`forward`.

        Returns:
            The outputs ``(T, B, ·)``, the states after the last step, and the tape.

        Raises:
            UsageError: if an argument does not fit.
            UnknownNameError: if there is nothing of a name to trace.
        """
        theta = as_floats(theta, (self.layout.size,), self.dtype, f"{self.stack.label()}: theta")
        arrays = {**self._arrays, **self.layout.views(theta)}
        return self.functional.apply(
            arrays, x, state, noise, lengths, inputs, self.threads, trace=trace, theta=theta
        )

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
            UsageError: if a shape does not fit, the tape is of another layer, or theta has changed.
        """
        return self.functional.vjp(tape, dy, dstate, self.threads)
