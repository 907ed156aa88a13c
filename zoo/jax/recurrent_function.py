"""``zoo.jax.recurrent``: any cell, stacked, as a pure function of JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from zoo.arguments import as_mapping
from zoo.errors import UsageError
from zoo.jax.host_callbacks import Calls, Told
from zoo.layers.config import CellSpec
from zoo.layers.parameters import Shapes
from zoo.layers.recurrent import Recurrent

Array = Any
Arrays = Mapping[str, Array]
WHO = "zoo.jax.recurrent"


def recurrent(
    cell: CellSpec | Sequence[CellSpec],
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    dtype: Any = "float32",
    seed: int = 0,
    **more: Any,
) -> Function:
    """A stack of recurrent layers as a function of its parameters.

    It can be jitted, differentiated (once, in reverse) and mapped; kernels run on the CPU, outside of XLA.

    >>> rnn = zoo.jax.recurrent("lstm", input_size=3, hidden_size=5)
    >>> y, state = jax.jit(rnn)(rnn.params, jnp.ones((7, 2, 3)))

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen; or a list of these.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``.
        dtype: ``"float32"``, or ``"float64"`` where JAX has it enabled (``jax_enable_x64``).
        seed: Decides the first values of the parameters, and what a cell holds that is not trained.
        **more: ``bidirectional``, ``dropout``, ``residual``, ``learned_state``, ``recompute`` and ``threads``
            as for :class:`zoo.Recurrent`.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if an argument does not fit.
    """
    rnn = Recurrent(cell, input_size, hidden_size, num_layers, dtype, seed, **more)
    if jax.dtypes.canonicalize_dtype(rnn.dtype) != rnn.dtype:
        raise UsageError(
            f"{WHO}: dtype is {rnn.dtype}, which JAX has switched off; jax.config.update('jax_enable_x64', "
            f"True) switches it on."
        )
    return Function(rnn)


class Function:
    """What :func:`recurrent` returns: ``rnn(params, x)``.

    Args:
        rnn: The layers.

    Attributes:
        params: First values of the parameters, ``"l0.Wx"`` to an array.
    """

    def __init__(self, rnn: Recurrent) -> None:
        self._calls = Calls(rnn)
        self.params: dict[str, Array] = {name: jnp.array(value) for name, value in rnn.params.items()}

    def __repr__(self) -> str:
        return f"{WHO}({self._calls.stack.config.describe()}, dtype={self._calls.dtype.name!r})"

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
            state: States before the first step, ``"l0.h"`` to ``(B, H)``; if None the learned ones, or zeros.
            key: What decides dropout and the noise of a cell that has some, in training; None for none.
            lengths: Steps of each row, ``(B,)`` integers; None if all rows have T steps.
            **inputs: What the cell takes beside x, ``dt=...`` of shape ``(T, B, ...)``; nothing is
                differentiated by it.

        Returns:
            The outputs ``(T, B, ·)`` and the states after the last step.

        Raises:
            UsageError: if a name or a shape does not fit.
        """
        noise = None if key is None else jax.random.bits(key, (2,), jnp.uint32)
        known = _arrays("params", params)
        state = None if state is None else _arrays("state", state)
        x = _array("x", x)
        lengths = None if lengths is None else _array("lengths", lengths)
        beside = {name: jax.lax.stop_gradient(value) for name, value in _arrays("inputs", inputs).items()}
        self._check(known, x, state, beside)
        y, last = _run(self._calls, known, x, state, Told(noise, lengths, beside))
        return y, last

    def _check(self, params: Arrays, x: Array, state: Arrays | None, beside: Arrays) -> None:
        """Refuse here what would come out of a callback as an error of XLA.

        Raises:
            UsageError: if something does not fit.
        """
        calls, stack = self._calls, self._calls.stack
        is_tokens = x.ndim == 2 and jnp.issubdtype(x.dtype, jnp.integer)
        are_floats = x.ndim == 3 and x.shape[2] == stack.input_size and x.dtype == calls.dtype
        if not (is_tokens or are_floats) or x.shape[1] == 0:
            raise UsageError(
                f"{WHO}: x is {x.dtype}{x.shape}; expected {calls.dtype} (T, B, {stack.input_size}) or "
                f"integer tokens (T, B), with at least one row in the batch."
            )
        _check_named("params", params, stack.param_shapes, calls.dtype)
        if state is not None:
            batch = {name: (x.shape[1], *shape) for name, shape in stack.state_shapes.items()}
            _check_named("state", state, batch, calls.dtype)
        for name, value in beside.items():
            if name not in stack.input_shapes:
                taken = ", ".join(stack.input_shapes) or "none"
                raise UsageError(f"{WHO} was given the input {name!r}; beside x it takes {taken}.")
            shape = (*x.shape[:2], *stack.input_shapes[name])
            if value.shape != shape:
                raise UsageError(f"{WHO}: input {name!r} is {value.dtype}{value.shape}; expected {shape}.")


def _arrays(what: str, given: Any) -> dict[str, Array]:
    """Arrays by name."""
    named = as_mapping(given, f"{WHO}: {what}")
    return {name: _array(f"{what} {name!r}", value) for name, value in named.items()}


def _array(what: str, value: Any) -> Array:
    """A value as a JAX array."""
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{WHO}: {what} cannot be made an array ({' '.join(str(error).split())}).") from None


def _check_named(what: str, found: Arrays, shapes: Shapes, dtype: Any) -> None:
    """Refuse arrays of other names, shapes or dtypes."""
    told = {name: (value.shape, value.dtype) for name, value in found.items()}
    expected = {name: (shape, dtype) for name, shape in shapes.items()}
    if told != expected:
        wrong = min(name for name in {*told, *expected} if told.get(name) != expected.get(name))
        one, other = (
            f"{each[wrong][1]}{each[wrong][0]}" if wrong in each else "none" for each in (told, expected)
        )
        raise UsageError(f"{WHO}: {what} {wrong!r} is {one}; expected {other}.")


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(calls: Calls, params: Arrays, x: Array, state: Arrays | None, told: Told) -> Any:
    """Outputs and last states."""
    return _call(calls.forward, _shapes(calls, x), params, x, state, told)


def _forward(calls: Calls, *given: Any) -> Any:
    y, last, number = _once(calls, "forward_and_keep", *given)
    return (y, last), (number, given)


def _backward(calls: Calls, kept: Any, gradients: Any) -> Any:
    number, given = kept
    dparams, dx, dstate = _once(calls, "backward", number, given, *gradients)
    return dparams, dx, None if given[2] is None else dstate, None


_run.defvjp(_forward, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _once(calls: Calls, method: str, *given: Any) -> Any:
    """What one differentiation calls; another one finds this sentence and not JAX's about callbacks."""
    shapes = {"forward_and_keep": _shapes_kept, "backward": _shapes_back}[method]
    return _call(getattr(calls, method), shapes(calls, *given), *given)


def _refuse(*_: Any) -> Any:
    raise UsageError(f"{WHO} can be differentiated once; the gradient of its gradient is not known.")


_once.defvjp(_refuse, _refuse)


def _call(function: Callable[..., Any], shapes: Any, *given: Any) -> Any:
    """A call out of XLA; mapped, it is a call for each."""
    return jax.pure_callback(function, shapes, *given, vmap_method="sequential")


def _shapes(calls: Calls, x: Array) -> tuple[Any, dict[str, Any]]:
    """Those of outputs and last states."""
    steps, batch = x.shape[:2]
    states = {name: (batch, *shape) for name, shape in calls.stack.state_shapes.items()}
    return (
        jax.ShapeDtypeStruct((steps, batch, calls.stack.output_size), calls.dtype),
        {name: jax.ShapeDtypeStruct(shape, calls.dtype) for name, shape in states.items()},
    )


def _shapes_kept(calls: Calls, _params: Arrays, x: Array, *_: Any) -> Any:
    return *_shapes(calls, x), jax.ShapeDtypeStruct((), jnp.uint32)


def _shapes_back(calls: Calls, _number: Array, given: Any, *_: Any) -> Any:
    """Those of parameters, of x (None for tokens) and of the first states."""
    params, x, *_ = given
    return _like(params), None if x.ndim == 2 else _like(x), _shapes(calls, x)[1]


def _like(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)
