"""``rnn.stepper()``: layers over a stream, one time step in each call.

With 64 units of an LSTM, a call takes 5 us. :meth:`zoo.Recurrent.step` takes 24 us: it prepares the
parameters in every call, and Python calls the kernels (batch of one, float32, one thread, AMD EPYC, Zen 4).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_integer, counted, short_repr
from zoo.array_types import Array, Arrays
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.layers.config import StackConfig
from zoo.layers.parameters import ArrayViews
from zoo.layers.stack import LayerArrays, Stack, check_same_shape, named_states, states_by_layer
from zoo.layers.states import GivenState, States, read_only_states
from zoo.layers.validation import as_step_inputs, check_aux_names

if TYPE_CHECKING:
    from zoo.layers.stream_step import Readout

MAX_BATCH = 1 << 24
"""The largest batch size: a typing error such as 10**9 would otherwise ask for gigabytes."""


class HasLayers(Protocol):
    """Layers or a model."""

    config: StackConfig
    params: ArrayViews
    buffers: ArrayViews
    dtype: np.dtype[Any]
    threads: int


class Stepper:
    """Runs layers over a stream, one time step in each call, and keeps the states. Made by ``rnn.stepper()``.

    >>> stepper = rnn.stepper(batch_size=4)
    >>> for x in stream:  # (4, I)
    ...     y = stepper(x)  # (4, H)

    Use it where an input depends on the output before it, or arrives later: an agent in an environment, a
    controller, a recording in progress. The results equal the outputs for the whole sequence, bit for bit;
    for matrix memories and cells with kernels of their own up to rounding. There are no gradients.

    The stepper has a copy of the parameters: call :meth:`reload` after training. ``copy.copy(stepper)`` is a
    second stepper of the same layers that continues from the same states. One thread at a time may use a
    stepper; make one for each thread.

    Args:
        layers: The layers.
        batch_size: ``B``, the number of sequences.
        state: States before the first step, and after :meth:`reset`: as for :meth:`zoo.Recurrent.forward`.

    Raises:
        UsageError: if a layer reads backwards, or an argument does not fit.
    """

    __slots__ = (
        "_arrays",
        "_batch_size",
        "_default_aux",
        "_dtype",
        "_inputs_by_name",
        "_label",
        "_layers",
        "_reset_state",
        "_stack",
        "_states",
        "_step",
    )

    def __init__(self, layers: HasLayers, batch_size: int = 1, state: GivenState | None = None) -> None:
        from zoo.layers.stream_step import StreamStep  # imports Numba

        self._layers, self._dtype = layers, layers.dtype
        self._stack = Stack(layers.config, prefers_derived=True)
        self._label = f"{self._stack.label()}: stepper"
        self._stack.check_reads_forwards(self._label)
        self._batch_size = as_integer(batch_size, f"{self._label}: batch_size", 1, MAX_BATCH)
        self._inputs_by_name = self._stack.inputs
        defaults = self._stack.step_aux_inputs({}, self._batch_size, self._dtype, None, self._label)
        self._default_aux: LayerArrays = tuple([layer.inputs[0] for layer in defaults])
        self._states: LayerArrays = ()
        self._arrays = self._copied_arrays()
        self._step = StreamStep(self._stack, *self._parameters())
        self._reset_state = None if state is None else self._as_states(state)
        self.reset()

    def __repr__(self) -> str:
        return f"{self._layers!r}.stepper(batch_size={self._batch_size})"

    def __deepcopy__(self, memo: Any) -> Stepper:
        # A step makes new states, and reload new arrays: nothing that two steppers share is written to.
        return copy.copy(self)

    def step(self, x: ArrayLike, **inputs: ArrayLike) -> Array:
        """Run one time step. Also ``stepper(x)``.

        Args:
            x: Floats ``(B, I)`` or integer tokens ``(B,)``.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(B, ...)``; missing ones have their
                defaults, and noise is its expectation.

        Returns:
            The outputs ``(B, ·)``, a new array.

        Raises:
            UsageError: if an argument does not fit.
        """
        outputs, self._states = self._step(self._inputs(x), self._states, self._aux_inputs(inputs))
        y: Array = outputs[0]
        return y

    __call__ = step

    @property
    def batch_size(self) -> int:
        """``B``, the number of sequences."""
        return self._batch_size

    @property
    def state(self) -> States:
        """The states by name, ``(B, ...)``, read-only. Assign any form of ``state`` to replace them."""
        return read_only_states(named_states(self._stack, self._states))

    @state.setter
    def state(self, value: GivenState | None) -> None:
        self._states = states_by_layer(self._stack, self._as_states(value))

    def reset(self, done: ArrayLike | None = None) -> None:
        """Return to the initial states, for example at the end of an episode.

        Args:
            done: The sequences to reset, booleans ``(B,)``; None for all.

        Raises:
            UsageError: if it is something else.
        """
        states = self._as_states(self._reset_state)
        if done is not None:
            is_done = self._as_mask(done)
            for name, value in named_states(self._stack, self._states).items():
                states[name][~is_done] = value[~is_done]
        self._states = states_by_layer(self._stack, states)

    def reload(self) -> None:
        """Copy the parameters of the layers, as they are now; the states stay as they are."""
        self._arrays = self._copied_arrays()
        self._step.set_parameters(*self._parameters())

    def _copied_arrays(self) -> Arrays:
        arrays = {**self._layers.params, **self._layers.buffers}
        return {name: value.copy() for name, value in arrays.items()}

    def _parameters(self) -> tuple[Any, Readout | None, int]:
        """The arguments of :meth:`StreamStep.set_parameters`."""
        params = self._stack.params_by_direction(self._arrays)
        return params, self._readout(), self._layers.threads

    def _readout(self) -> Readout | None:
        """The readout of a model; None for layers."""
        return None

    def _inputs(self, x: ArrayLike) -> Array:
        """Check and convert the inputs of a step for the first layer: ``(1, B, I)``, or tokens ``(1, B)``."""
        return as_step_inputs(x, self._batch_size, self._stack.input_size, self._dtype, self._label)

    def _aux_inputs(self, inputs: Mapping[str, ArrayLike]) -> LayerArrays:
        """Check the auxiliary inputs of a step, and add the defaults of others."""
        if not inputs:
            return self._default_aux
        stack, label = self._stack, self._label
        advice = " Assign states to `stepper.state`."
        check_aux_names(inputs, self._inputs_by_name, label, arguments=(), state_advice=advice)
        check_same_shape(inputs, stack.directions, label)
        arrays = stack.step_arrays(inputs, self._batch_size, self._dtype, label)
        return tuple(
            [
                tuple(
                    [arrays.get(name, default) for name, default in zip(direction.inputs, own, strict=True)]
                )
                for direction, own in zip(stack.directions, self._default_aux, strict=True)
            ]
        )

    def _as_states(self, state: GivenState | None) -> Arrays:
        """Check states and copy them; None for the learned ones, or zeros."""
        states = self._stack.initial_states(state, self._arrays, self._batch_size, self._dtype, self._label)
        return {name: value.copy() for name, value in states.items()}

    def _as_mask(self, done: ArrayLike) -> Array:
        mask = as_array(done, f"{self._label}: done")
        if mask.dtype != bool or mask.shape != (self._batch_size,):
            raise UsageError(
                f"{self._label}: done is {short_repr(done)}; expected {counted(self._batch_size, 'boolean')} "
                f"in an array, one for each sequence, or None for all."
            )
        return mask
