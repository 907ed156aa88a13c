"""A stack of layers on one shard of the batch: pure functions of named arrays."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.compiler import passes
from zoo.contracts import Cell, Noise
from zoo.errors import DefinitionError, UsageError
from zoo.layers.beside import Beside, Told
from zoo.layers.boundary import as_given
from zoo.layers.layer import Array, Arrays, Layer, LayerTape
from zoo.layers.layout import Shapes
from zoo.layers.noise import check_noise

MOST_LAYERS = 1000

Weights = list[tuple[Array, ...]]
"""The arrays of each layer."""


class Stack:
    """Layers of one cell, each reading the output of the one below.

    Args:
        cell: The cell of every layer.
        input_size: ``I`` of the first layer.
        hidden_size: ``H``.
        num_layers: ``L``.

    Attributes:
        param_shapes: Shape of every parameter, ``l0.Wxh`` and so on.
        state_shapes: Shape of every state, ``l0.h`` and so on, without the batch axis.
        buffer_shapes: Shape of every buffer, ``l0.A`` and so on.
        output_size: Features of the output.

    Raises:
        UsageError: if a size is no positive integer or does not suit the cell.
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, num_layers: int) -> None:
        self.cell = cell
        self.input_size = self._size("input_size", input_size)
        self.hidden_size = self._size("hidden_size", hidden_size)
        self.layers: list[Layer] = []
        size = self.input_size
        for index in range(self._size("num_layers", num_layers, MOST_LAYERS)):
            self.layers.append(Layer(index, cell, size, self.hidden_size))
            told = [name for name, each in cell.inputs.items() if not isinstance(each, Noise)]
            self._check_inputs(self.layers[-1], told)
            size = self.layers[-1].output_size
        self.output_size = size
        self.param_shapes = self._shapes("params")
        self.state_shapes = self._shapes("states")
        self.buffer_shapes = self._shapes("buffers")
        self._passes = passes(cell)

    def _size(self, name: str, value: object, most: int | None = None) -> int:
        """A size as an integer, if it is one."""
        right = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
        if not right or (most is not None and int(value) > most):  # type: ignore[call-overload]
            expected = "a positive integer" if most is None else f"an integer from 1 to {most}"
            raise UsageError(f"{self.cell.label()}: {name} is {reprlib.repr(value)}; expected {expected}.")
        return int(value)  # type: ignore[call-overload,no-any-return]

    def _check_inputs(self, layer: Layer, names: Iterable[str]) -> None:
        """Refuse inputs beside x that cannot be the same for this layer as for the first."""
        for name in names:
            shape = self.input_shapes[name]
            if layer.inputs[name] != shape:
                raise UsageError(
                    f"{self.cell.label()}: every layer gets the same inputs, but {name!r} depends on I: "
                    f"{shape} in layer 0, {layer.inputs[name]} in layer {layer.index}; choose one layer, or "
                    f"sizes for which these are equal."
                )

    def _shapes(self, kind: str) -> dict[str, tuple[int, ...]]:
        return {name: shape for layer in self.layers for name, shape in getattr(layer, kind).items()}

    @property
    def input_shapes(self) -> Shapes:
        """Shape of every input beside x in the first layer, without the axes of time and batch."""
        return self.layers[0].inputs

    def beside(
        self,
        given: Mapping[str, Any],
        times_rows: tuple[int, int],
        dtype: np.dtype[Any],
        noise: Any = None,
    ) -> Beside:
        """The inputs beside x: those given, the noise of ``(seed, step)``, the defaults of the others.

        Raises:
            UsageError: if one is unknown or does not fit, or the noise is no such pair.
        """
        shapes, who = self.input_shapes, self.cell.label()
        found = as_given(given, self.cell.inputs, shapes, times_rows, dtype, who) if given else {}
        for layer in self.layers:
            self._check_inputs(layer, found)
        return Beside(self.cell, self.layers, found, dtype, check_noise(noise))

    def initial(self, seed: int) -> Arrays:
        """First values of all parameters, and the values of all buffers."""
        return {name: value for layer in self.layers for name, value in layer.initial(seed).items()}

    def weights(self, arrays: Mapping[str, Array]) -> Weights:
        """The parameters and buffers of each layer, as kernels take them, from all by name."""
        return [tuple(arrays[name] for name in layer.arrays) for layer in self.layers]

    def forward(
        self,
        weights: Weights,
        x: Array,
        state: Mapping[str, Array],
        told: Told,
        watch: Callable[[Layer, LayerTape, Array], None] | None = None,
    ) -> tuple[Array, Arrays, list[LayerTape]]:
        """Outputs ``(T, B, ·)``, last states, and the tape.

        Args:
            weights: From :meth:`weights`.
            x: Floats or tokens, as kernels take them.
            state: States before the first step.
            told: What each layer is told beside x, a part of what :meth:`beside` found.
            watch: Called with every layer, its tape and its output.

        Raises:
            DefinitionError: if the cell's kernel returns what it should not.
        """
        run = self._passes
        last: Arrays = {}
        tape = []
        for layer, arrays, inputs in zip(self.layers, weights, told, strict=True):
            before = tuple([state[name] for name in layer.states])
            y, after, kept = run.forward(arrays, x, before, *self._beside(inputs), *run.options)
            self._check_array("output of forward", y, (*x.shape[:2], layer.output_size), arrays[0].dtype)
            self._check_number("states from forward", layer.states, after)
            last.update(zip(layer.states, after, strict=True))
            tape.append(LayerTape(x, before, inputs, kept))
            if watch is not None:
                watch(layer, tape[-1], y)
            x = y
        return x, last, tape

    def backward(
        self,
        weights: Weights,
        tape: list[LayerTape],
        dy: Array,
        dlast: Mapping[str, Array],
        watch: Callable[[Layer, LayerTape, Array, Sequence[Array]], None] | None = None,
    ) -> tuple[Array, Arrays, list[Array]]:
        """Gradients with respect to x, the first states, and the parameters in the order of their names.

        Args:
            weights: From :meth:`weights`.
            tape: From :meth:`forward`.
            dy: Gradient of the outputs, ``(T, B, ·)``.
            dlast: Gradients of the states after the last step.
            watch: Called with every layer, its tape, and the gradients of its outputs and last states.

        Raises:
            DefinitionError: if the cell's kernel returns what it should not.
        """
        run = self._passes
        dstate: Arrays = {}
        gradients: list[Array] = []
        for layer, arrays, kept in zip(reversed(self.layers), reversed(weights), reversed(tape), strict=True):
            dafter = tuple([dlast[name] for name in layer.states])
            if watch is not None:
                watch(layer, kept, dy, dafter)
            seen = arrays, kept.x, kept.state, *self._beside(kept.inputs)
            dy, dbefore, dweights = run.backward(*seen, kept.kept, dy, dafter, *run.options)
            if kept.x.ndim == 3:
                self._check_array("gradient of the input", dy, kept.x.shape, arrays[0].dtype)
            self._check_number("state gradients from backward", layer.states, dbefore)
            self._check_gradients(layer, dweights)
            dstate.update(zip(layer.states, dbefore, strict=True))
            gradients[:0] = dweights
        return dy, dstate, gradients

    def _beside(self, inputs: tuple[Array, ...]) -> tuple[tuple[Array, ...], ...]:
        """The inputs as an argument of kernels, which only those of cells that declare inputs have."""
        return (inputs,) if self.cell.inputs else ()

    def _check_array(self, what: str, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuse what the next kernel, which checks nothing, would read out of bounds."""
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != dtype:
            facts = f"{found.dtype}{found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise DefinitionError(f"{self.cell.who()}: the {what} is {facts}; expected {dtype}{shape}.")

    def _check_gradients(self, layer: Layer, found: Any) -> None:
        """Refuse gradients that would lie in the flat vector in another order than their parameters."""
        self._check_number("parameter gradients from backward", layer.params, found)
        if [gradient.shape for gradient in found] != list(layer.params.values()):
            expected = ", ".join(f"{name} {shape}" for name, shape in layer.params.items())
            raise DefinitionError(
                f"{self.cell.who()}: the parameter gradients from backward have the shapes "
                f"{', '.join(str(gradient.shape) for gradient in found)}; expected {expected}."
            )

    def _check_number(self, what: str, names: Mapping[str, Any], arrays: Any) -> None:
        if len(arrays) != len(names):
            raise DefinitionError(
                f"{self.cell.who()}: {len(arrays)} {what}; expected {len(names)}, in the order of "
                f"declaration: {', '.join(names)}."
            )
