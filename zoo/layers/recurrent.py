"""``zoo.Recurrent``: any cell, stacked, as a layer for research code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from zoo.arguments import check_seed
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.layers.checkpointing import check_recompute
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
from zoo.layers.validation import as_dtype, as_floats
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]
State = dict[str, Array]
CellSpec: TypeAlias = str | type[Cell] | Cell


class Recurrent(FlatParameters):
    """A stack of recurrent layers over time-major sequences.

    >>> rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=5)
    >>> y, state = rnn.forward(np.ones((7, 2, 3), np.float32))
    >>> y.shape, state["l0.h"].shape
    ((7, 2, 5), (2, 5))

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen; or a list with one
            of these for each layer.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``; layer k reads the output of layer k - 1. With a list of cells it may be left out.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Decides the first values of the parameters, and nothing else does.
        threads: Threads among which the batch is divided; None for every processor. Changes no bit of any
            result.
        recompute: None to keep all that :meth:`backward` needs; or the steps per segment, or ``"sqrt"`` for
            about sqrt(T) segments of 1,024 tokens at least: then only the states between segments are kept
            (and the input of every layer, if they are bidirectional), and each segment is computed again on
            the way back. Outputs and states are the same, gradients the same up to rounding, time grows by
            about a third.
        bidirectional: Whether every layer is two: one that reads the sequence from its beginning to its end,
            and one with parameters ``"l0.reverse.Wxh"`` and states ``"l0.reverse.h"`` that reads it from its
            end to its beginning. Their outputs stand side by side, ``(T, B, 2 H)`` for most cells.
            M. Schuster & K. Paliwal 1997, https://doi.org/10.1109/78.650093.
        dropout: How probable it is, in a call with ``noise``, that a number that one layer hands to the next
            is replaced by zero; the others are multiplied by ``1 / (1 - dropout)``, so that nothing is to be
            done in evaluation. With one layer there is nothing to drop. W. Zaremba et al. 2014,
            https://arxiv.org/abs/1409.2329.
        residual: Whether a layer's input is added to its output, ``y = x + layer(x)``, before dropout. It is
            where both have the same size: in every layer but the first, for most cells, and in the first if I
            has the size of its output; tokens are one-hot rows there. Y. Wu et al. 2016,
            https://arxiv.org/abs/1609.08144.
        learned_state: Whether the states before the first step, in calls that give none, are parameters
            ``"l0.h.initial"``, the same for all rows. They begin at zero. States that count have none.

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
        dtype: Any = "float32",
        seed: int = 0,
        threads: int | None = None,
        recompute: int | str | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        learned_state: bool = False,
    ) -> None:
        self.threads = check_threads(threads)
        self.recompute = check_recompute(recompute)
        self.stack = Stack(
            resolve_cells(cell),
            input_size,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            residual=residual,
            learned_state=learned_state,
        )
        super().__init__(self.stack.param_shapes, as_dtype(dtype), self.stack.buffer_shapes)
        self.functional = FunctionalStack(self.stack, self.dtype, self.recompute)
        self.fill(self.stack.initial_values(check_seed(seed)))
        self._tape: Tape | None = None
        self.trace, self.trace_grads = value_traces({}), gradient_traces({})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tape": None}  # it looks at the parameters of this layer

    def __repr__(self) -> str:
        return f"Recurrent({self.stack.describe()}, dtype={self.dtype.name!r}, P={self.layout.size})"

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
            **inputs: What the cell takes beside x, ``dt=...`` of shape ``(T, B, ...)``; every layer that
                takes it gets it, and its default where it is not given.

        Returns:
            The outputs ``(T, B, ·)`` and the states after the last step.

        Raises:
            UsageError: if x, state, noise, lengths, trace or an input does not fit.
            UnknownNameError: if there is nothing of a name to trace.
        """
        y, last, self._tape = self._run(self._arrays, self._theta, x, state, noise, lengths, trace, inputs)
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
        return self._run(arrays, theta, x, state, noise, lengths, trace, inputs)

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

    def _run(
        self,
        arrays: Mapping[str, Array],
        theta: Array,
        x: Any,
        state: Mapping[str, Any] | None,
        noise: tuple[int, int] | None,
        lengths: Any,
        trace: TraceRequest,
        inputs: Mapping[str, Any],
    ) -> tuple[Array, State, Tape]:
        """The forward pass with parameters and buffers by name, and the vector that the former are in."""
        given = x, state, noise, lengths, inputs
        return self.functional.apply(arrays, *given, self.threads, trace=trace, theta=theta)


def resolve_cells(cell: CellSpec | Sequence[CellSpec]) -> Cell | list[Cell]:
    """The cell, or that of each layer, from whatever stands for one."""
    if isinstance(cell, Sequence) and not isinstance(cell, str):
        return [resolve_cell(each) for each in cell]
    return resolve_cell(cell)
