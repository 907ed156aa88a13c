"""``rnn.stepper()``: layers over a stream, one time step in each call.

With 64 units of an LSTM, a call takes 5 us. :meth:`zoo.Recurrent.step` takes 24 us: it prepares the
parameters in every call, and Python calls the kernels (batch of one, float32, one thread, AMD EPYC, Zen 4).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_integer, short_repr
from zoo.array_types import Array, Arrays
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.layers.config import StackConfig
from zoo.layers.parameters import ArrayViews
from zoo.layers.stack import Stack, states_by_layer
from zoo.layers.states import GivenState, States
from zoo.layers.validation import as_state, as_step_inputs

if TYPE_CHECKING:
    from zoo.layers.stream_step import ByLayer, Readout

MAX_BATCH = 1 << 24
"""Sequences at most, of which even one number each takes 64 MiB."""


class HasLayers(Protocol):
    """Layers or a model."""

    config: StackConfig
    params: ArrayViews
    buffers: ArrayViews
    dtype: np.dtype[Any]
    threads: int


class Stepper:
    """Runs layers over a stream, one time step in each call, and keeps the states.

    >>> stepper = rnn.stepper(batch_size=4)
    >>> for x in stream:  # (4, I)
    ...     y = stepper(x)  # (4, H)

    Use it where an input depends on the output before it, or arrives later: an agent in an environment, a
    controller, a recording in progress. The results equal those of the whole sequence, bit for bit; for
    matrix memories and cells with kernels of their own up to rounding. There are no gradients.

    The stepper has a copy of the parameters: call :meth:`reload` after training. Copies by ``copy.deepcopy``
    and ``pickle`` continue from the same states.

    Args:
        layers: The layers.
        batch_size: ``B``, the number of sequences.
        state: States before the first step, and after :meth:`reset`: as for :meth:`zoo.Recurrent.forward`.

    Raises:
        UsageError: if a layer reads backwards, or an argument does not fit.
    """

    def __init__(self, layers: HasLayers, batch_size: int = 1, state: GivenState | None = None) -> None:
        self._layers, self._dtype = layers, layers.dtype
        self._stack = Stack(layers.config, is_stream=True)
        self._label = f"{self._stack.label()}: stepper"
        if self._stack.bidirectional:
            raise UsageError(f"{self._label}: a layer that reads backwards needs the whole sequence.")
        self._batch_size = as_integer(batch_size, f"{self._label}: batch_size", 1, MAX_BATCH)
        self._default_aux: ByLayer | None = None
        self._states: ByLayer = ()
        self._given = None if state is None else self._checked(state)
        self.reload()
        self.reset()

    def __repr__(self) -> str:
        return f"{self._layers!r}.stepper(batch_size={self._batch_size})"

    def __call__(self, x: ArrayLike, **inputs: ArrayLike) -> Array:
        """Run one time step.

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

    @property
    def batch_size(self) -> int:
        """``B``, the number of sequences."""
        return self._batch_size

    @property
    def state(self) -> States:
        """The states by name, ``(B, ...)``; you may assign any form of ``state``."""
        return States({name: value.copy() for name, value in self._named_states().items()})

    @state.setter
    def state(self, value: GivenState) -> None:
        self._states = states_by_layer(self._stack, self._checked(value))

    def reset(self, rows: ArrayLike | None = None) -> None:
        """Return to the initial states, for example at the end of an episode.

        Args:
            rows: The sequences to reset, booleans ``(B,)``; None for all.

        Raises:
            UsageError: if rows are something else.
        """
        states = self._initial_states()
        if rows is not None:
            selected = self._as_row_mask(rows)
            for name, value in self._named_states().items():
                states[name][~selected] = value[~selected]
        self._states = states_by_layer(self._stack, states)

    def reload(self) -> None:
        """Copy the parameters of the layers, as they are now; the states stay as they are."""
        from zoo.layers.stream_step import StreamStep  # imports Numba

        layers = self._layers
        self._arrays: Arrays = {
            name: value.copy() for arrays in (layers.params, layers.buffers) for name, value in arrays.items()
        }
        params = self._stack.params_by_direction(self._arrays)
        self._step = StreamStep(self._stack, params, self._readout(), layers.threads)

    def _readout(self) -> Readout | None:
        """The readout of a model."""
        return None

    def _inputs(self, x: ArrayLike) -> Array:
        """Check and convert the inputs of a step for the first layer: ``(1, B, I)``, or tokens ``(1, B)``."""
        return as_step_inputs(x, self._batch_size, self._stack.input_size, self._dtype, self._label)

    def _aux_inputs(self, inputs: Mapping[str, ArrayLike]) -> ByLayer:
        """Check the auxiliary inputs of a step; their defaults are made once."""
        if not inputs and self._default_aux is not None:
            return self._default_aux
        given = {name: as_array(value, self._label)[np.newaxis] for name, value in inputs.items()}
        source = self._stack.aux_inputs(given, (1, self._batch_size), self._dtype)
        aux = tuple([each.inputs[0] for each in source.chunk(slice(0, 1), slice(0, self._batch_size))])
        if not inputs:
            self._default_aux = aux
        return aux

    def _checked(self, state: GivenState | None) -> Arrays:
        shapes = self._stack.state_shapes
        return {
            name: value.copy()
            for name, value in as_state(state, shapes, self._batch_size, self._dtype, self._label).items()
        }

    def _initial_states(self) -> Arrays:
        given, batch = self._given, self._batch_size
        states = self._stack.initial_states(given, self._arrays, batch, self._dtype, self._label)
        return {name: value.copy() for name, value in states.items()}

    def _named_states(self) -> Arrays:
        return dict(zip(self._stack.state_shapes, itertools.chain(*self._states), strict=True))

    def _as_row_mask(self, rows: ArrayLike) -> Array:
        mask = as_array(rows, f"{self._label}: rows")
        if mask.dtype != bool or mask.shape != (self._batch_size,):
            raise UsageError(
                f"{self._label}: rows are {short_repr(rows)}; expected {self._batch_size} booleans, one for "
                f"each sequence, or None for all."
            )
        return mask
