"""Jacobian-vector products of a stack, and derivatives of its gradients.

A stack of the tangents of its cells (:mod:`zoo.modifiers.tangent_cell`) computes both. Its forward pass
returns the outputs and their derivative in a direction, and its backward pass the gradients of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.field_repr import repr_of
from zoo.layers.config import StackConfig
from zoo.layers.functional import FunctionalStack, Tape
from zoo.layers.stack import Stack
from zoo.layers.states import GivenState, States
from zoo.layers.validation import as_floats, as_padded_batch, as_state
from zoo.modifiers.tangent_cell import tangent_cell, tangent_name


class ArgumentTangents(NamedTuple):
    """The direction of a derivative, with arrays of the shapes of the arguments; None for zeros.

    Args:
        params: Tangents of parameters by name; missing ones are zero.
        x: Tangent of the inputs, ``(T, B, I)``.
        state: Tangents of the initial states, ``(B, ...)``.
    """

    params: Mapping[str, Array]
    x: Array | None
    state: GivenState | None


class DualTape(NamedTuple):
    """Everything that :meth:`TangentStack.gradient_tangents` needs.

    Args:
        tape: The tape of the stack of tangents, whose outputs are dual numbers.
        has_dual_input: Whether its inputs are dual numbers.
        has_gradient: Whether x has a gradient: tokens have none.
        uses_learned_state: Whether the initial states were the learned ones.
    """

    tape: Tape
    has_dual_input: bool
    has_gradient: bool
    uses_learned_state: bool


class Derivative(NamedTuple):
    """Results of a forward pass and their derivative in a direction.

    Args:
        y: Outputs, ``(T, B, ·)``.
        state: Final states.
        y_tangent: Derivative of the outputs.
        state_tangent: Derivatives of the final states; zeros for discrete ones.
        tape: For :meth:`TangentStack.gradient_tangents`; None if that does not follow.
    """

    y: Array
    state: States
    y_tangent: Array
    state_tangent: States
    tape: DualTape | None


@dataclass(frozen=True)
class TangentStack:
    """Derivatives of a stack in a direction.

    Args:
        functional: The stack.
    """

    functional: FunctionalStack

    @cached_property
    def _dual(self) -> FunctionalStack:
        """The stack of the tangents of all cells. Its inputs and outputs are dual numbers.

        Raises:
            UsageError: if a cell has no step.
        """
        return self._tangents(has_dual_input=True)

    @cached_property
    def _of_constant_input(self) -> FunctionalStack:
        """The same, for inputs that have no direction. They may hold tokens."""
        return self._tangents(has_dual_input=False)

    def _tangents(self, has_dual_input: bool) -> FunctionalStack:
        config = self.functional.stack.config
        first, *others = config.cells
        dual = StackConfig(
            [tangent_cell(first, has_dual_input), *map(tangent_cell, others)],
            2 * config.input_size if has_dual_input else config.input_size,
            config.hidden_size,
            dtype=self.functional.dtype,
            recompute=config.recompute,
            bidirectional=config.bidirectional,
            residual=config.residual,
            precision=config.precision,
        )
        return FunctionalStack(Stack(dual), self.functional.dtype)

    def compile_passes(self) -> None:
        """As :meth:`FunctionalStack.compile_passes`."""
        self._dual.compile_passes()

    def check(self, noise: Any) -> None:
        """Check that derivatives in a direction are available.

        Args:
            noise: Seed of noise and dropout; None for none.

        Raises:
            UsageError: if a cell has no step, or there is dropout between layers.
        """
        stack = self.functional.stack
        if noise is not None and stack.dropout and len(stack.layers) > 1:
            raise UsageError(
                f"{stack.label()}: tangents and second derivatives are not available for `dropout` between "
                f"layers in training; use dropout=0, or evaluate without noise (module.eval() in PyTorch, no "
                f"key in JAX)."
            )
        _ = self._dual  # raises

    def jvp(
        self,
        arrays: Mapping[str, Array],
        x: Any,
        state: GivenState | None,
        tangents: ArgumentTangents,
        noise: tuple[int, int] | None,
        lengths: Any,
        inputs: Mapping[str, Any],
        threads: int,
        *,
        copy_inputs: bool = False,
        has_backward: bool = True,
    ) -> Derivative:
        """The forward pass, and its derivative in a direction: the Jacobian-vector product.

        Args:
            arrays: As for :meth:`FunctionalStack.apply`.
            x: As for :meth:`FunctionalStack.apply`.
            state: As for :meth:`FunctionalStack.apply`.
            tangents: The direction of the derivative.
            noise: As for :meth:`FunctionalStack.apply`.
            lengths: As for :meth:`FunctionalStack.apply`.
            inputs: As for :meth:`FunctionalStack.apply`.
            threads: As for :meth:`FunctionalStack.apply`.
            copy_inputs: As for :meth:`FunctionalStack.apply`, for the tangents too.
            has_backward: Whether :meth:`gradient_tangents` follows.

        Raises:
            UsageError: if an argument does not fit, a cell has no step, or there is dropout between layers.
        """
        self.check(noise)
        stack, dtype = self.functional.stack, self.functional.dtype
        owner = stack.label()
        x, row_lengths = as_padded_batch(x, lengths, stack.input_size, dtype, owner)
        steps, batch = x.shape[:2]
        # Errors name the cell, not its tangent.
        stack.aux_inputs(inputs, (steps, batch), dtype, noise, row_lengths)
        has_dual_input = self._has_dual_input(tangents)
        functional = self._dual if has_dual_input else self._of_constant_input
        initial = stack.initial_states(state, arrays, batch, dtype)
        state_tangents = self._state_tangents(state, tangents, batch)
        y, final, tape = functional.apply(
            self._with_tangents(arrays, tangents.params),
            self._dual_numbers(x, tangents.x) if has_dual_input else x,
            {**initial, **{tangent_name(name): value for name, value in state_tangents.items()}},
            noise,
            row_lengths,
            inputs,
            threads,
            copy_inputs=copy_inputs,
            has_backward=has_backward,
        )
        outputs = y.reshape(steps, batch, stack.output_size, 2)
        return Derivative(
            np.ascontiguousarray(outputs[..., 0]),
            States({name: final[name] for name in initial}),
            np.ascontiguousarray(outputs[..., 1]),
            States({name: final.get(tangent_name(name), np.zeros_like(final[name])) for name in initial}),
            DualTape(tape, has_dual_input, x.ndim == 3, state is None) if has_backward else None,
        )

    def gradient_tangents(
        self,
        tape: DualTape,
        dy: Array | None,
        dstate: GivenState | None,
        dy_tangent: Array | None,
        dstate_tangent: GivenState | None,
        threads: int,
    ) -> tuple[Array | None, States, Array]:
        """The derivative of the gradients of a backward pass, in the direction of the forward pass.

        These are the gradients of ``sum(dy * y_tangent) + sum(dy_tangent * y)``, and the same for states.

        Args:
            tape: From :meth:`jvp`.
            dy: Gradient with respect to the outputs, ``(T, B, ·)``; zeros if None.
            dstate: Gradient with respect to the final states; zeros if None.
            dy_tangent: Derivative of ``dy`` in the direction; zeros if None.
            dstate_tangent: Derivative of ``dstate`` in the direction; zeros if None.
            threads: As for :meth:`jvp`.

        Returns:
            The derivatives of the gradients with respect to x (None for tokens), to the initial states and to
            the parameters ``(P,)``.

        Raises:
            UsageError: if a shape does not fit.
        """
        stack, dtype = self.functional.stack, self.functional.dtype
        owner = f"{stack.label()}: gradient of the"
        steps, batch = tape.tape.batch_run.x.shape[:2]
        shape = (steps, batch, stack.output_size)
        dual = np.zeros((*shape, 2), dtype)
        for index, gradient in enumerate((dy_tangent, dy)):
            if gradient is not None:
                dual[..., index] = as_floats(gradient, shape, dtype, f"{owner} output")
        of_tangents = as_state(dstate, stack.state_shapes, batch, dtype, f"{owner} last states")
        of_states = as_state(dstate_tangent, stack.state_shapes, batch, dtype, f"{owner} last states")
        continuous = [name for name in stack.state_shapes if name not in stack.discrete_states]
        of_states |= {tangent_name(name): of_tangents[name] for name in continuous}
        of_outputs = dual.reshape(steps, batch, 2 * stack.output_size)
        functional = self._dual if tape.has_dual_input else self._of_constant_input
        dx, dinitial, dtheta = functional.vjp(
            tape.tape, of_outputs, of_states, threads, needs_dx=tape.has_gradient
        )
        if dx is not None and tape.has_dual_input:
            dx = np.ascontiguousarray(dx.reshape(steps, batch, stack.input_size, 2)[..., 0])
        own = States({name: dinitial[name] for name in stack.state_shapes})
        learned = stack.learned_state_gradients(own, tape.uses_learned_state)
        return dx, own, np.concatenate([dtheta, *(each.ravel() for each in learned)])

    def _has_dual_input(self, tangents: ArgumentTangents) -> bool:
        # A residual connection adds dual numbers to dual numbers.
        return tangents.x is not None or self.functional.stack.config.residual

    def _dual_numbers(self, x: Array, tangent: Array | None) -> Array:
        """Inputs ``(T, B, 2I)``; tokens become one-hot vectors."""
        size, dtype = self.functional.stack.input_size, self.functional.dtype
        shape = (*x.shape[:2], size)
        dual = np.zeros((*shape, 2), dtype)
        dual[..., 0] = x if x.ndim == 3 else np.arange(size) == x[..., np.newaxis]
        if tangent is not None:
            owner = f"{self.functional.stack.label()}: tangent of the inputs"
            dual[..., 1] = as_floats(tangent, shape, dtype, owner)
        return dual.reshape(*x.shape[:2], 2 * size)

    def _state_tangents(self, state: GivenState | None, tangents: ArgumentTangents, batch: int) -> Arrays:
        """Tangents of the initial states that are not discrete, the learned ones included."""
        stack, dtype = self.functional.stack, self.functional.dtype
        owner = f"{stack.label()}: tangent of the state"
        values = as_state(tangents.state, stack.state_shapes, batch, dtype, owner)
        if state is None:
            for name, learned in stack.learned.items():
                if name in tangents.params:
                    values[learned] = values[learned] + tangents.params[name]
        return {name: value for name, value in values.items() if name not in stack.discrete_states}

    def _with_tangents(self, arrays: Mapping[str, Array], tangents: Mapping[str, Array]) -> Arrays:
        """The parameters and buffers of the stack of tangents."""
        stack, dual = self.functional.stack, self._dual.stack
        values = {name: arrays[name] for name in (*dual.param_shapes, *stack.buffer_shapes)}
        for name, shape in dual.param_shapes.items():
            tangent = tangents.get(name)
            zeros = np.zeros(shape, self.functional.dtype)
            values[tangent_name(name)] = zeros if tangent is None else np.ascontiguousarray(tangent)
        return values


class JVP:
    """Result of :meth:`zoo.Recurrent.jvp`: a forward pass and its derivative in a direction.

    Args:
        stack: The tangents of the layers.
        derivative: The results, time-major.
        threads: Number of threads.
        batch_first: Whether arrays of the caller have the batch axis first.

    Attributes:
        y: Outputs, ``(T, B, ·)``.
        state: Final states.
        y_tangent: Derivative of the outputs, the Jacobian-vector product.
        state_tangent: Derivatives of the final states; zeros for discrete ones.
    """

    def __init__(self, stack: TangentStack, derivative: Derivative, threads: int, batch_first: bool) -> None:
        self._stack, self._tape, self._threads = stack, derivative.tape, threads
        self._batch_first = batch_first
        self.y, self.y_tangent = self._swap(derivative.y), self._swap(derivative.y_tangent)
        self.state, self.state_tangent = derivative.state, derivative.state_tangent

    def __repr__(self) -> str:
        names = ("y", "state", "y_tangent", "state_tangent")
        return repr_of(self, {name: getattr(self, name) for name in names})

    def gradient_tangents(
        self,
        dy: Any = None,
        dstate: GivenState | None = None,
        *,
        dy_tangent: Any = None,
        dstate_tangent: GivenState | None = None,
    ) -> tuple[Array | None, States, Array]:
        """The derivative of the gradients in the same direction, for Hessian-vector products.

        The gradients are those of :meth:`zoo.Recurrent.vjp` for ``dy`` and ``dstate``. If these depend on the
        outputs, ``dy_tangent`` and ``dstate_tangent`` are their derivatives in the direction. For a loss
        ``0.5 * sum(y**2)``, ``dy`` is ``y`` and ``dy_tangent`` is ``y_tangent``.

        Args:
            dy: Gradient with respect to the outputs, ``(T, B, ·)``; zeros if None.
            dstate: Gradient with respect to the final states; zeros if None.
            dy_tangent: Derivative of ``dy`` in the direction; zeros if None.
            dstate_tangent: Derivative of ``dstate`` in the direction; zeros if None.

        Returns:
            The derivatives of the gradients with respect to x (None for tokens), to the initial states and to
            theta ``(P,)``.

        Raises:
            UsageError: if a shape does not fit, or :meth:`zoo.Recurrent.jvp` saved no tape.
        """
        if self._tape is None:
            raise UsageError(
                f"{self._stack.functional.stack.label()}: gradient_tangents needs the tape of jvp; call jvp "
                f"without tape=False."
            )
        dx, dinitial, dtheta = self._stack.gradient_tangents(
            self._tape, self._swap(dy), dstate, self._swap(dy_tangent), dstate_tangent, self._threads
        )
        return self._swap(dx), dinitial, dtheta

    def _swap(self, array: Any) -> Any:
        """Exchange the axes of time and batch if the batch is first."""
        return np.swapaxes(array, 0, 1) if self._batch_first and array is not None else array
