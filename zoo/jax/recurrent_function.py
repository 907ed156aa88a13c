"""``zoo.jax.recurrent``: a stack of recurrent layers as a pure function of JAX."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero

from zoo.arguments import as_mapping
from zoo.errors import UsageError
from zoo.layers.config import STACK_DEFAULTS, CellLike, StackOptions, with_options
from zoo.layers.functional import Tape
from zoo.layers.parameters import Shapes
from zoo.layers.recurrent import Recurrent
from zoo.layers.tangents import ArgumentTangents, TangentStack
from zoo.layers.validation import as_lengths, as_padded_batch, check_bounds, check_input_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

Array = Any
Arrays = Mapping[str, Array]
OWNER = "zoo.jax.recurrent"
MAX_TAPES = 8


@with_options(OWNER, StackOptions, STACK_DEFAULTS)
def recurrent(
    cell: CellLike | Sequence[CellLike],
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    seed: int = 0,
    threads: int | None = None,
    **options: Unpack[StackOptions],
) -> RecurrentFunction:
    """A stack of recurrent layers as a function of its parameters.

    You can jit it, vmap it, and differentiate it twice in reverse mode. Kernels run on the CPU, outside XLA.

    >>> rnn = zoo.jax.recurrent("lstm", input_size=3, hidden_size=5)
    >>> y, state = jax.jit(rnn)(rnn.params, jnp.ones((7, 2, 3)))

    Args:
        cell: Name of a registered cell, a cell class, or a cell with options; or a list of these.
        input_size: ``I``, input features or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``.
        seed: Seed of the initial parameters and of buffers.
        threads: As for :class:`zoo.Recurrent`.
        **options: As for :class:`zoo.Recurrent`; ``dtype="float64"`` needs ``jax_enable_x64``.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if an argument is invalid.
    """
    rnn = Recurrent(
        cell, input_size, hidden_size, num_layers=num_layers, seed=seed, threads=threads, **options
    )
    if jax.dtypes.canonicalize_dtype(rnn.dtype) != rnn.dtype:
        raise UsageError(
            f"{OWNER}: dtype is {rnn.dtype}, which JAX has disabled; call "
            f"jax.config.update('jax_enable_x64', True)."
        )
    return RecurrentFunction(rnn)


class RecurrentFunction:
    """The result of :func:`recurrent`, a function ``rnn(params, x)``.

    Args:
        rnn: The layers.

    Attributes:
        params: Initial parameters, ``"l0.Wx"`` to an array.

    Raises:
        UsageError: if an auxiliary input has the name of an argument.
    """

    def __init__(self, rnn: Recurrent) -> None:
        arguments = list(inspect.signature(self.__call__).parameters)[:-1]
        check_input_names(rnn.stack.inputs, "rnn", arguments, f"{OWNER}: {rnn.stack.label()}")
        self._kernels = HostKernels(rnn)
        self.params: dict[str, Array] = {name: jnp.array(value) for name, value in rnn.params.items()}

    def __repr__(self) -> str:
        return f"{OWNER}({self._kernels.stack.config.describe()}, dtype={self._kernels.dtype.name!r})"

    def __call__(
        self,
        params: Arrays,
        x: Array,
        state: Arrays | None = None,
        key: Array | None = None,
        lengths: Array | None = None,
        **inputs: Array,
    ) -> tuple[Array, dict[str, Array]]:
        """Run the layers over a sequence.

        Args:
            params: As :attr:`params`.
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: Initial states, ``"l0.h"`` to ``(B, H)``; None for the learned ones or zeros.
            key: Key of dropout and noise in training; None for none.
            lengths: Length of each sequence, ``(B,)`` integers; None if all have T steps.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(T, B, ...)``, without gradient.

        Returns:
            The outputs ``(T, B, ·)`` and the final states.

        Raises:
            UsageError: if a name or a shape is invalid, or an auxiliary input is differentiated.
        """
        noise = None if key is None else jax.random.bits(key, (2,), jnp.uint32)
        params = _arrays("params", params)
        state = None if state is None else _arrays("state", state)
        x = _array("x", x)
        lengths = None if lengths is None else _array("lengths", lengths)
        aux = _arrays("inputs", inputs)
        self._check(params, x, state, lengths, aux)
        y, last = _run(self._kernels, params, x, state, NonDiffArgs(noise, lengths, aux))
        return y, last

    def _check(
        self, params: Arrays, x: Array, state: Arrays | None, lengths: Array | None, aux: Arrays
    ) -> None:
        """Validate here, since an error in a callback would be raised by XLA.

        Raises:
            UsageError: if an argument is invalid.
        """
        kernels, stack = self._kernels, self._kernels.stack
        is_tokens = x.ndim == 2 and jnp.issubdtype(x.dtype, jnp.integer)
        are_floats = x.ndim == 3 and x.shape[2] == stack.input_size and x.dtype == kernels.dtype
        if not (is_tokens or are_floats) or x.shape[1] == 0:
            raise UsageError(
                f"{OWNER}: x is {x.dtype}{x.shape}; expected {kernels.dtype} (T, B, {stack.input_size}) or "
                f"integer tokens (T, B), with at least one sequence in the batch."
            )
        steps = None if lengths is None else _values(lengths)
        if is_tokens:
            as_padded_batch(_values(x), steps, stack.input_size, kernels.dtype, OWNER)
        elif steps is not None:
            as_lengths(steps, x.shape[0], x.shape[1], OWNER)
        _check_named("params", params, stack.param_shapes, kernels.dtype)
        if state is not None:
            batch = {name: (x.shape[1], *shape) for name, shape in stack.state_shapes.items()}
            _check_named("state", state, batch, kernels.dtype)
        for name, value in aux.items():
            if name not in stack.input_shapes:
                known = ", ".join(stack.input_shapes) or "none"
                raise UsageError(f"{OWNER} has no input {name!r}; inputs besides x are {known}.")
            shape = (*x.shape[:2], *stack.input_shapes[name])
            if value.shape != shape:
                raise UsageError(f"{OWNER}: input {name!r} is {value.dtype}{value.shape}; expected {shape}.")
            if not isinstance(value, jax.core.Tracer):
                label = f"{OWNER}: input {name!r}"
                check_bounds(_values(value), stack.inputs[name], label, steps)


def _arrays(label: str, values: Any) -> dict[str, Array]:
    named = as_mapping(values, f"{OWNER}: {label}")
    return {name: _array(f"{label} {name!r}", value) for name, value in named.items()}


def _array(label: str, value: Any) -> Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{OWNER}: {label} cannot be converted to an array ({' '.join(str(error).split())})."
        ) from None


def _values(array: Array) -> np.ndarray[Any, Any]:
    """The values of an array, or zeros while JAX traces it."""
    is_traced = isinstance(array, jax.core.Tracer)
    return np.zeros(array.shape, array.dtype) if is_traced else np.asarray(array)


def _check_named(label: str, arrays: Arrays, shapes: Shapes, dtype: Any) -> None:
    """Check names, shapes and dtypes."""
    if arrays.keys() != shapes.keys():
        wrong = min(arrays.keys() ^ shapes.keys())
        problem = "unknown" if wrong in arrays else "missing"
        raise UsageError(f"{OWNER}: {label}: {wrong!r} is {problem}; the names are {', '.join(shapes)}.")
    for name, shape in shapes.items():
        value = arrays[name]
        if (value.shape, value.dtype) != (shape, dtype):
            raise UsageError(
                f"{OWNER}: {label} {name!r} is {value.dtype}{value.shape}; expected {dtype}{shape}."
            )


class NonDiffArgs(NamedTuple):
    """Arguments without a gradient.

    Args:
        noise: Two integers that seed noise and dropout; None for none.
        lengths: Length of each sequence ``(B,)``; None if all are T.
        inputs: Auxiliary inputs, by name.
    """

    noise: Any
    lengths: Any
    inputs: Mapping[str, Any]


class HostKernels:
    """Forward and backward passes that copy their arguments, because XLA reuses the memory.

    A forward pass with gradients stores its tape under an id that goes through JAX. JAX may run a callback
    any number of times, or never: the last few tapes are kept, each for one backward pass, and a missing one
    is computed again.

    Args:
        rnn: The layers; their parameters are not used.
    """

    def __init__(self, rnn: Recurrent) -> None:
        self.functional, self.threads = rnn.functional, rnn.threads
        self.stack, self.dtype = rnn.stack, rnn.dtype
        self._buffers = {name: value.copy() for name, value in rnn.buffers.items()}
        self._reset()

    def _reset(self) -> None:
        self._tapes: OrderedDict[int, Tape] = OrderedDict()
        self._tape_ids = itertools.count()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        names = "functional", "threads", "stack", "dtype", "_buffers"  # without the tapes
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def forward(self, *arguments: Any) -> tuple[Array, dict[str, Array]]:
        """Outputs ``(T, B, ·)`` and final states."""
        y, last, _ = self._run(*arguments, has_backward=False)
        return y, last

    def forward_with_tape(self, *arguments: Any) -> tuple[Array, dict[str, Array], Array]:
        """As :meth:`forward`, with the id of the tape."""
        y, last, tape = self._run(*arguments)
        tape_id = next(self._tape_ids) % 2**32
        with self._lock:
            self._tapes[tape_id] = tape
            while len(self._tapes) > MAX_TAPES:
                self._tapes.popitem(last=False)
        return y, last, np.array(tape_id, np.uint32)

    def backward(
        self,
        tape_id: Any,
        *arguments: Any,
        needs_dx: bool = True,
    ) -> tuple[dict[str, Array], Array | None, dict[str, Array]]:
        """Gradients of parameters, of x (None for tokens, or if not needed) and of the initial states.

        Args:
            tape_id: From :meth:`forward_with_tape`.
            *arguments: Arguments of :meth:`forward_with_tape`, then gradients of outputs and final states.
            needs_dx: Whether to compute the gradient of x.
        """
        *forward_arguments, dy, dfinal = arguments
        with self._lock:
            tape = self._tapes.pop(int(tape_id), None)
        if tape is None:
            _, _, tape = self._run(*forward_arguments)
        dx, dstate, dtheta = self.functional.vjp(
            tape, np.asarray(dy), _copies(dfinal), self.threads, needs_dx=needs_dx
        )
        return self.functional.layout.views(dtheta), dx, dict(dstate)

    def second_gradient(
        self, arguments: tuple[Any, ...], direction: tuple[Any, ...]
    ) -> tuple[dict[str, Array], Array | None, dict[str, Array], Array, dict[str, Array]]:
        """Gradients of the gradients in a direction.

        Args:
            arguments: Arguments of the forward pass, then gradients of its outputs and final states.
            direction: A tangent of each result of :meth:`backward`; None for an x without gradient.

        Returns:
            Gradients of the parameters, of x (None for tokens) and of the initial states, and gradients of
            the gradients of outputs and final states.
        """
        params, x, state, others, dy, dfinal = arguments
        of_params, of_x, of_state = direction
        tangents = ArgumentTangents(
            _copies(of_params),
            None if of_x is None else np.array(of_x),
            None if state is None else _copies(of_state),
        )
        result = self.tangents.jvp(
            _copies(params) | self._buffers,
            np.array(x),
            None if state is None else _copies(state),
            tangents,
            **self._other_arguments(others),
        )
        assert result.tape is not None  # it is saved by default
        dx, dstate, dtheta = self.tangents.gradient_tangents(
            result.tape, np.asarray(dy), _copies(dfinal), None, None, self.threads
        )
        dparams = self.functional.layout.views(dtheta)
        return dparams, dx, dict(dstate), result.y_tangent, dict(result.state_tangent)

    @cached_property
    def tangents(self) -> TangentStack:
        """Derivatives in a direction."""
        return TangentStack(self.functional)

    def _run(
        self, params: Any, x: Any, state: Any, others: NonDiffArgs, *, has_backward: bool = True
    ) -> tuple[Array, dict[str, Array], Tape]:
        y, last, tape = self.functional.apply(
            _copies(params) | self._buffers,
            np.array(x),
            None if state is None else _copies(state),
            **self._other_arguments(others),
            has_backward=has_backward,
        )
        return y, dict(last), tape  # to JAX, a subclass of dict is one leaf

    def _other_arguments(self, others: NonDiffArgs) -> dict[str, Any]:
        """The arguments of passes that are not differentiated, by name."""
        return {
            "noise": None if others.noise is None else tuple(np.asarray(others.noise).tolist()),
            "lengths": None if others.lengths is None else np.asarray(others.lengths),
            "inputs": _copies(others.inputs),
            "threads": self.threads,
        }


def _copies(values: Mapping[str, Any]) -> dict[str, Array]:
    """Copies: the tape outlives the arrays of JAX."""
    return {name: np.array(value) for name, value in values.items()}


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(kernels: HostKernels, params: Arrays, x: Array, state: Arrays | None, others: NonDiffArgs) -> Any:
    """Outputs and final states."""
    return _pure_callback(kernels.forward, _forward_shapes(kernels, x), params, x, state, others)


def _values_of(primals: Any) -> Any:
    """The values of primals: of each leaf, a ``CustomVJPPrimal``."""
    return jax.tree.map(
        lambda leaf: leaf.value, primals, is_leaf=lambda leaf: isinstance(leaf, CustomVJPPrimal)
    )


def _check_not_perturbed(others: NonDiffArgs) -> None:
    """Check that no auxiliary input is differentiated: a gradient of zero would look like a result.

    Args:
        others: Primals, with ``perturbed`` in every leaf.

    Raises:
        UsageError: if one is.
    """
    for name, value in others.inputs.items():
        if value.perturbed:
            raise UsageError(
                f"{OWNER}: input {name!r} is differentiated, and auxiliary inputs have no gradient; pass "
                f"jax.lax.stop_gradient({name})."
            )


def _forward(kernels: HostKernels, *primals: Any) -> Any:
    """Outputs, final states, and the residuals."""
    arguments = _values_of(primals)
    _, x, _, others = primals
    _check_not_perturbed(others)
    y, last, tape_id = _run_with_tape(kernels, *arguments)
    dx_marker = () if x.perturbed else None  # part of the tree, since JAX would trace a boolean
    return (y, last), (tape_id, arguments, dx_marker)


def _backward(kernels: HostKernels, residuals: Any, gradients: Any) -> Any:
    tape_id, arguments, dx_marker = residuals
    dy, dfinal = _instantiated(gradients)
    dparams, dx, dstate = _gradient(kernels, dx_marker is not None, tape_id, *arguments, dy, dfinal)
    _, _, state, _ = arguments
    return dparams, dx, None if state is None else dstate, None


def _instantiated(gradients: Any) -> Any:
    """Arrays for gradients, also for those that are symbolically zero."""

    def as_array(gradient: Any) -> Array:
        is_zero = isinstance(gradient, SymbolicZero)
        return jnp.zeros(gradient.shape, gradient.dtype) if is_zero else gradient

    return jax.tree.map(as_array, gradients, is_leaf=lambda leaf: isinstance(leaf, SymbolicZero))


_run.defvjp(_forward, _backward, symbolic_zeros=True)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run_with_tape(kernels: HostKernels, *arguments: Any) -> Any:
    """Outputs, final states and the id of the tape."""
    shapes = _forward_with_tape_shapes(kernels, *arguments)
    return _pure_callback(kernels.forward_with_tape, shapes, *arguments)


def _run_with_tape_forward(kernels: HostKernels, *primals: Any) -> Any:
    *_, others = primals
    _check_not_perturbed(others)
    arguments = _values_of(primals)
    results = _run_with_tape(kernels, *arguments)
    return results, (results[-1], arguments)


def _run_with_tape_backward(kernels: HostKernels, residuals: Any, gradients: Any) -> Any:
    (tape_id, arguments), (dy, dfinal) = residuals, _instantiated(gradients[:2])
    _, x, state, _ = arguments
    dparams, dx, dstate = _gradient(kernels, x.ndim == 3, tape_id, *arguments, dy, dfinal)
    return dparams, dx, None if state is None else dstate, None


_run_with_tape.defvjp(_run_with_tape_forward, _run_with_tape_backward, symbolic_zeros=True)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _gradient(kernels: HostKernels, needs_dx: bool, tape_id: Array, *arguments: Any) -> Any:
    """Gradients of the parameters, of x (None for tokens, or if not needed) and of the initial states.

    The arguments are those of the forward pass, and the gradients of the outputs and final states.
    """
    params, x, *_ = arguments
    shapes = _like(params), _like(x) if needs_dx and x.ndim == 3 else None, _forward_shapes(kernels, x)[1]
    return _pure_callback(partial(kernels.backward, needs_dx=needs_dx), shapes, tape_id, *arguments)


def _gradient_forward(kernels: HostKernels, needs_dx: bool, *primals: Any) -> Any:
    _, _, _, _, others, _, _ = primals
    _check_not_perturbed(others)
    tape_id, *arguments = _values_of(primals)
    return _gradient(kernels, needs_dx, tape_id, *arguments), tuple(arguments)


def _gradient_backward(kernels: HostKernels, _needs_dx: bool, arguments: Any, direction: Any) -> Any:
    _, _, _, others, *_ = arguments
    kernels.tangents.check(others.noise)
    dparams, dx, dstate, dy, dfinal = _second_gradient(kernels, arguments, _instantiated(direction))
    _, _, state, *_ = arguments
    return None, dparams, dx, None if state is None else dstate, None, dy, dfinal


_gradient.defvjp(_gradient_forward, _gradient_backward, symbolic_zeros=True)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _second_gradient(kernels: HostKernels, arguments: Any, direction: Any) -> Any:
    """Gradients of the gradients in a direction, with respect to all arguments of :func:`_gradient`."""
    params, x, _, _, dy, dfinal = arguments
    dx = _like(x) if x.ndim == 3 else None
    shapes = _like(params), dx, _forward_shapes(kernels, x)[1], _like(dy), _like(dfinal)
    return _pure_callback(kernels.second_gradient, shapes, arguments, direction)


def _no_third_derivative(*_: Any) -> Any:
    raise UsageError(
        f"{OWNER} can be differentiated twice; the gradient of a gradient of its gradient is unknown."
    )


_second_gradient.defvjp(_no_third_derivative, _no_third_derivative)


def _pure_callback(function: Callable[..., Any], shapes: Any, *arguments: Any) -> Any:
    """A callback from XLA; under vmap, one callback per element."""
    return jax.pure_callback(function, shapes, *arguments, vmap_method="sequential")


def _forward_shapes(kernels: HostKernels, x: Array) -> tuple[Any, dict[str, Any]]:
    """Shapes of outputs and final states."""
    steps, batch = x.shape[:2]
    states = {name: (batch, *shape) for name, shape in kernels.stack.state_shapes.items()}
    return (
        jax.ShapeDtypeStruct((steps, batch, kernels.stack.output_size), kernels.dtype),
        {name: jax.ShapeDtypeStruct(shape, kernels.dtype) for name, shape in states.items()},
    )


def _forward_with_tape_shapes(kernels: HostKernels, _params: Arrays, x: Array, *_: Any) -> Any:
    return *_forward_shapes(kernels, x), jax.ShapeDtypeStruct((), jnp.uint32)


def _like(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)
