"""``zoo.Recurrent``: any cell, stacked, as a layer for research code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.arguments import as_bool, check_seed, dtype_and_shape
from zoo.arrays import as_array
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.layers.config import STACK_DEFAULTS, CellLike, StackConfig, StackOptions, with_options
from zoo.layers.functional import FunctionalStack, Tape
from zoo.layers.parameters import FlatParameters
from zoo.layers.sharding import check_threads
from zoo.layers.stack import Stack, warn_without_effect
from zoo.layers.states import GivenState, States
from zoo.layers.stepper import Stepper
from zoo.layers.tangents import JVP, ArgumentTangents, TangentStack
from zoo.layers.tracing import (
    GradientTracer,
    TraceRequest,
    Traces,
    gradient_traces,
    requested_names,
    trace_names,
    value_traces,
)
from zoo.layers.validation import (
    as_floats,
    as_step_inputs,
    check_aux_names,
    check_input_names,
    convert_advice,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

Floats: TypeAlias = NDArray[np.floating[Any]]


class Recurrent(FlatParameters):
    """A stack of recurrent layers over time-major sequences.

    >>> rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=5)
    >>> y, state = rnn(np.ones((7, 2, 3), np.float32))
    >>> y.shape, state["h"].shape
    ((7, 2, 5), (2, 5))

    Names of arrays begin with the layer, ``"l0.Wxh"``, and for a direction that reads backwards with
    ``"l0.reverse."``. You may leave out ``l0.`` if there is one layer with one direction: ``state["h"]``,
    ``rnn.params["Wxh"]``.

    Args:
        cell: The cell of every layer, or a list with one for each: see ``cells`` of
            :class:`zoo.layers.StackConfig`.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``, hidden units of a layer.
        num_layers: ``L``, layers; layer k reads the output of layer k - 1.
        seed: Seed of the initial values of the parameters.
        threads: Threads among which the batch is divided; None for every processor. Changes no bit of any
            result.
        batch_first: Whether x, outputs, auxiliary inputs, traces and their gradients are ``(B, T, ...)``. The
            docstrings here write ``(T, B, ...)``. States are ``(B, ...)`` in both cases.
        **options: ``dtype``, ``block``, ``bidirectional``, ``dropout``, ``residual``, ``learned_state``,
            ``recompute`` and ``precision``, which :class:`zoo.layers.StackConfig` explains. Dropout is active
            only in calls with ``noise=(seed, step)``.

    Attributes:
        cells: The cell of each layer.
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`backward`, ``(P,)``.
        params: Name to view into ``theta``: ``rnn.params["l0.Wxh"]``.
        grads: Name to view into ``grad``.
        buffers: Name to array of the cell that is not trained, read-only: ``"l0.A"``.
        trace: Name to values that ``forward(x, trace=...)`` traced, ``(T, B, ·)``:
            ``rnn.trace["l0.forget_gate"]``; zero in the padding.
        trace_grads: Name to gradients that ``backward(dy, trace_grads=...)`` traced, each of the shape of its
            value.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the dtype, the number of threads or another argument does not fit.
    """

    kind: ClassVar[str] = "recurrent layer"
    config: StackConfig
    stack: Stack
    functional: FunctionalStack
    trace: Traces
    trace_grads: Traces
    _tape: Tape | None
    _assignable: ClassVar[Mapping[str, Any]] = {
        **FlatParameters._assignable,
        "threads": check_threads,
        "batch_first": lambda value: as_bool(value, "zoo.Recurrent: batch_first"),
    }
    _fixed: ClassVar[Mapping[str, str]] = {
        **FlatParameters._fixed,
        **dict.fromkeys(("config", "stack", "functional"), ""),
        **dict.fromkeys(("trace", "trace_grads"), "Give names to forward(x, trace=...)."),
    }

    @with_options("zoo.Recurrent", StackOptions, STACK_DEFAULTS)
    def __init__(
        self,
        cell: CellLike | Sequence[CellLike],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        seed: int = 0,
        threads: int | None = None,
        batch_first: bool = False,
        **options: Unpack[StackOptions],
    ) -> None:
        config = StackConfig(cell, input_size, hidden_size, num_layers, **options)
        self._build(config, threads, batch_first)
        self.fill(self.stack.initial_values(check_seed(seed)))
        warn_without_effect(self.stack)

    @classmethod
    def from_config(
        cls,
        config: StackConfig,
        initial: Mapping[str, ArrayLike],
        *,
        threads: int | None = None,
        batch_first: bool = False,
    ) -> Recurrent:
        """Make layers of a config with the values of all parameters and buffers.

        Raises:
            UnknownNameError: if an array is unknown.
            UsageError: if an argument does not fit.
        """
        layers = cls.__new__(cls)
        layers._build(config, threads, batch_first)
        layers.fill(initial)
        return layers

    def _build(self, config: StackConfig, threads: int | None, batch_first: bool) -> None:
        self.threads = check_threads(threads)
        self.batch_first = as_bool(batch_first, "zoo.Recurrent: batch_first")
        self.config, self.stack = config, Stack(config)
        super().__init__(self.stack.param_shapes, config.dtype, self.stack.buffer_shapes)
        vars(self).update(
            functional=FunctionalStack(self.stack, self.dtype),
            _tape=None,
            trace=value_traces({}),
            trace_grads=gradient_traces({}),
        )

    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON in a checkpoint."""
        order = {"batch_first": True} if self.batch_first else {}
        return {**self.config.metadata(), "input_size": self.config.input_size, **order}

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), "_tape": None}  # it looks at the parameters of this layer
        state.pop("tangents", None)
        return state

    def __repr__(self) -> str:
        order = ", batch_first=True" if self.batch_first else ""
        return f"Recurrent({self.config.describe()}, dtype={self.dtype.name!r}{order}, P={self.layout.size})"

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

    def compile_passes(self) -> None:
        """Let the next call of each pass, or the one after it, compile it and wait. Use it before timing.

        Otherwise another process compiles it after some passes, or this one after many.
        """
        self.functional.compile_passes()

    def forward(
        self,
        x: ArrayLike,
        state: GivenState | None = None,
        *,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        trace: TraceRequest = None,
        tape: bool = True,
        **inputs: ArrayLike,
    ) -> tuple[Floats, States]:
        """Run the layers over a sequence, and save the tape for :meth:`backward`. Also ``rnn(x)``.

        The tape has copies: you may overwrite x, state, lengths and inputs before :meth:`backward`. The
        parameters must stay as they are until then. Without gradients, ``rnn(x, tape=False)`` takes little
        more memory than the outputs, for sequences of any length.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: Initial states; the learned ones, or zeros, if None. A mapping such as the one that
                forward returns, ``{"l0.h": (B, H)}``; or a tuple with an array for each state of the cell in
                the order of declaration, ``(h, c)``; or the array of its only state. The arrays of a tuple
                are ``(L D, B, H)`` as in PyTorch; one layer with one direction also accepts ``(B, H)``. A
                layer that reads backwards starts from its state at the last time step.
            noise: ``(seed, step)`` for training: dropout and the noise of cells are drawn from them, and
                another step draws other noise. None for evaluation: no dropout, and noise is its expectation.
            lengths: Steps of each sequence, ``(B,)`` integers from 0 to T; None if all have T steps. Every
                sequence then has the results that it has alone. Padding is not read, and outputs are zero
                there. Final states are those at the end of each sequence, where a layer that reads backwards
                begins.
            trace: Values to store in :attr:`trace`: True for all of :attr:`trace_names`, or names,
                ``"forget_gate"`` in every layer or ``"l0.forget_gate"`` in one.
            tape: Whether to save the tape. If not, :meth:`backward` raises an error. Results have the same
                bits, but for matrix memories with ``lengths``, which have the same results up to rounding.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(T, B, ...)``, for every layer that
                declares them; missing ones have their defaults.

        Returns:
            The outputs ``(T, B, ·)`` and the final states, by name: ``"l0.h"``, or ``"h"``.

        Raises:
            UsageError: if x, state, noise, lengths, trace or an input does not fit.
            UnknownNameError: if a name to trace is unknown.
        """
        has_backward = as_bool(tape, "zoo.Recurrent: tape")
        x, inputs = self._swap_arguments(x, inputs)
        y, final, saved = self.functional.apply(
            self._arrays,
            x,
            state,
            noise,
            lengths,
            inputs,
            self.threads,
            trace=trace,
            theta=self._theta if has_backward else None,
            copy_inputs=has_backward,
            has_backward=has_backward,
        )
        traces = self._swap_traces(saved.trace)
        vars(self).update(
            _tape=saved if has_backward else None, trace=traces, trace_grads=gradient_traces({})
        )
        return self._swap(y), final

    __call__ = forward

    def step(
        self,
        x: ArrayLike,
        state: GivenState | None = None,
        *,
        noise: tuple[int, int] | None = None,
        **inputs: ArrayLike,
    ) -> tuple[Floats, States]:
        """Run the layers over one time step of a stream, without a tape and in the calling thread.

        >>> state = None
        >>> for x in stream:
        ...     y, state = rnn.step(x, state)

        Results equal those of :meth:`forward` over the whole sequence, bit for bit. A matrix memory, which
        :meth:`forward` computes 16 steps together, has the same results up to rounding.

        Args:
            x: Floats ``(B, I)`` or integer tokens ``(B,)``.
            state: As for :meth:`forward`; the states that the last call returned.
            noise: As for :meth:`forward`; give another step in every call. None for expectations.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(B, ...)``.

        Returns:
            The outputs ``(B, ·)``, and the states after the step.

        Raises:
            UsageError: if an argument does not fit, or a layer reads backwards.
        """
        stack, owner = self.stack, f"{self.stack.label()}: step"
        stack.check_reads_forwards(owner)
        if "trace" in inputs and "trace" not in stack.inputs:
            raise UsageError(f"{owner} records no traces; call forward(x, trace=...).")
        x = as_step_inputs(x, None, stack.input_size, self.dtype, owner)
        batch = x.shape[1]
        check_aux_names(inputs, stack.inputs, owner)
        aux = stack.step_aux_inputs(inputs, batch, self.dtype, noise, owner)
        initial = stack.initial_states(state, self._arrays, batch, self.dtype)
        y, final, _ = stack.forward(stack.params_by_direction(self._arrays), x, initial, aux)
        return y[0], States(final)

    def stepper(self, batch_size: int = 1, state: GivenState | None = None) -> Stepper:
        """Make a stepper: it runs the layers over a stream, one time step in each call, and keeps the states.

        It is faster than :meth:`step`.

        Args:
            batch_size: ``B``, the number of sequences.
            state: States before the first step; as for :meth:`forward`.

        Raises:
            UsageError: if an argument does not fit, or a layer reads backwards.
        """
        return Stepper(self, batch_size, state)

    @property
    def trace_names(self) -> tuple[str, ...]:
        """Names of the values that :meth:`forward` can trace, ``"l0.f"`` and so on, layer by layer."""
        return trace_names(self.stack.directions)

    def backward(
        self,
        dy: ArrayLike,
        dstate: GivenState | None = None,
        *,
        trace_grads: TraceRequest = None,
        needs_dx: bool = True,
    ) -> tuple[Floats | None, States]:
        """Back-propagate through the last :meth:`forward`, filling :attr:`grad`.

        Args:
            dy: Gradient with respect to the outputs, ``(T, B, ·)``; ignored in the padding.
            dstate: Gradient with respect to the final states, in the forms of ``state``; zeros if None.
            trace_grads: Values whose gradients to store in :attr:`trace_grads`: True for every state, or
                names as for ``trace``.
            needs_dx: Whether to compute the gradient with respect to x, a matrix product.

        Returns:
            The gradients with respect to x (None if it is not needed, and for tokens) and to the initial
            states.

        Raises:
            UsageError: if the last forward saved no tape, the parameters have changed since, a shape does not
                fit, or a value to trace has no gradient.
            UnknownNameError: if a name to trace is unknown.
        """
        if self._tape is None:
            raise UsageError(
                f"{self.stack.label()}: backward needs the tape of a forward pass; call forward(x) first, "
                f"without tape=False."
            )
        tracer = GradientTracer(self._tape.batch_run, trace_grads) if requested_names(trace_grads) else None
        dx, dinitial, _ = self.functional.vjp(
            self._tape, self._swap(dy), dstate, self.threads, self.grad, tracer, needs_dx
        )
        traces = self._swap_traces(tracer.traces()) if tracer else gradient_traces({})
        vars(self).update(trace_grads=traces)
        return self._swap(dx), dinitial

    def apply(
        self,
        theta: ArrayLike,
        x: ArrayLike,
        state: GivenState | None = None,
        *,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        trace: TraceRequest = None,
        **inputs: ArrayLike,
    ) -> tuple[Floats, States, Tape]:
        """Pure forward pass: outputs, final states, and a tape for :meth:`vjp`.

        The tape has copies of x, state and inputs, which you may overwrite. It has no copy of theta: after a
        change :meth:`vjp` raises an error.

        Args:
            theta: Parameters ``(P,)``.
            x: As for :meth:`forward`.
            state: As for :meth:`forward`.
            noise: As for :meth:`forward`.
            lengths: As for :meth:`forward`.
            trace: As for :meth:`forward`; the traced values are in ``tape.trace``.
            **inputs: As for :meth:`forward`.

        Returns:
            The outputs ``(T, B, ·)``, the final states, and the tape.

        Raises:
            UsageError: if an argument does not fit.
            UnknownNameError: if a name to trace is unknown.
        """
        theta = as_floats(theta, (self.layout.size,), self.dtype, f"{self.stack.label()}: theta")
        arrays = {**self._arrays, **self.layout.views(theta)}
        x, inputs = self._swap_arguments(x, inputs)
        y, final, tape = self.functional.apply(
            arrays,
            x,
            state,
            noise,
            lengths,
            inputs,
            self.threads,
            trace=trace,
            theta=theta,
            copy_inputs=True,
        )
        return self._swap(y), final, tape._replace(trace=self._swap_traces(tape.trace))

    def vjp(
        self, tape: Tape, dy: ArrayLike, dstate: GivenState | None = None, *, needs_dx: bool = True
    ) -> tuple[Floats | None, States, Floats]:
        """Pure backward pass: the gradients of ``sum(dy * y) + sum(dstate * final)``.

        Args:
            tape: From :meth:`apply`; it may be used again.
            dy: As for :meth:`backward`.
            dstate: As for :meth:`backward`.
            needs_dx: As for :meth:`backward`.

        Returns:
            The gradients with respect to x (None if it is not needed, and for tokens), to the initial states,
            and to theta ``(P,)``.

        Raises:
            UsageError: if a shape does not fit, the tape is of another layer, or theta has changed.
        """
        dx, dinitial, dtheta = self.functional.vjp(
            tape, self._swap(dy), dstate, self.threads, needs_dx=needs_dx
        )
        return self._swap(dx), dinitial, dtheta

    def jvp(
        self,
        x: ArrayLike,
        x_tangent: ArrayLike | None = None,
        state: GivenState | None = None,
        *,
        state_tangent: GivenState | None = None,
        theta_tangent: ArrayLike | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        tape: bool = True,
        **inputs: ArrayLike,
    ) -> JVP:
        """The forward pass and its derivative in a direction: a Jacobian-vector product.

        ``rnn.jvp(x, x_tangent).y_tangent`` is the derivative of ``rnn(x + e * x_tangent)`` with respect to
        ``e``, at zero. It has kernels of its own, and takes about three times as long as the forward pass.
        Without ``x_tangent`` and ``residual``, tokens select rows of the weights; else they become one-hot
        vectors, ``(T, B, I)``. You may overwrite all arguments afterwards.

        Args:
            x: As for :meth:`forward`.
            x_tangent: Direction of the inputs, ``(T, B, I)``; zeros if None.
            state: As for :meth:`forward`.
            state_tangent: Direction of the initial states, in the forms of ``state``; zeros if None.
            theta_tangent: Direction of the parameters, ``(P,)``; zeros if None.
            noise: As for :meth:`forward`.
            lengths: As for :meth:`forward`.
            tape: Whether to save the tape for ``gradient_tangents`` of the result.
            **inputs: As for :meth:`forward`; their direction is zero.

        Raises:
            UsageError: if an argument does not fit, a cell has kernels and no step, or there is dropout
                between layers in training.
        """
        arguments = "x", "x_tangent", "state", "state_tangent", "theta_tangent"
        check_input_names(self.stack.inputs, "jvp", arguments, self.stack.label())
        has_backward = as_bool(tape, "zoo.Recurrent: tape")
        x, inputs = self._swap_arguments(x, inputs)
        params: Mapping[str, Any] = {}
        if theta_tangent is not None:
            size, label = self.layout.size, f"{self.stack.label()}: theta_tangent"
            params = self.layout.views(as_floats(theta_tangent, (size,), self.dtype, label).copy())
        arrays = (
            {name: value.copy() for name, value in self._arrays.items()} if has_backward else self._arrays
        )
        derivative = self.tangents.jvp(
            arrays,
            x,
            state,
            ArgumentTangents(params, self._swap(x_tangent), state_tangent),
            noise,
            lengths,
            inputs,
            self.threads,
            copy_inputs=has_backward,
            has_backward=has_backward,
        )
        return JVP(self.tangents, derivative, self.threads, self.batch_first)

    @cached_property
    def tangents(self) -> TangentStack:
        """Derivatives of the layers in a direction."""
        return TangentStack(self.functional)

    def _swap(self, array: Any) -> Any:
        """Exchange the axes of time and batch if the batch is first."""
        if not self.batch_first or array is None:
            return array
        array = as_array(array, f"{self.stack.label()}: an argument")
        return array.swapaxes(0, 1) if array.ndim > 1 else array

    def _swap_arguments(self, x: ArrayLike, inputs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Time-major inputs and auxiliary inputs."""
        if self.batch_first:
            owner = f"{self.stack.label()} with batch_first"
            x = as_array(x, f"{owner}: inputs")
            if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[2] != self.stack.input_size):
                raise UsageError(
                    f"{owner}: inputs are {dtype_and_shape(x)}; expected floats "
                    f"(B, T, {self.stack.input_size}) or integer tokens (B, T).{convert_advice(x, 3)}"
                )
        return self._swap(x), {name: self._swap(value) for name, value in inputs.items()}

    def _swap_traces(self, traces: Traces) -> Traces:
        return traces.map(self._swap) if self.batch_first else traces
