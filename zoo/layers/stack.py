"""A stack of layers on one shard of the batch: pure functions of named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.contracts import Cell
from zoo.errors import UsageError
from zoo.layers.initializers import initialize

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Layer:
    """One layer: a cell at a size, and the names its arrays have in the stack.

    Args:
        index: Place in the stack, from 0.
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.
    """

    index: int
    cell: Cell
    input_size: int
    hidden_size: int
    params: Mapping[str, tuple[int, ...]] = field(init=False)
    states: Mapping[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """Prefix the names of the cell's arrays with the layer's, ``Wxh`` to ``l0.Wxh``."""
        for kind, shapes in (
            ("params", self.cell.param_shapes(self.input_size, self.hidden_size)),
            ("states", self.cell.state_shapes(self.input_size, self.hidden_size)),
        ):
            object.__setattr__(self, kind, {f"l{self.index}.{name}": shape for name, shape in shapes.items()})

    @property
    def output_size(self) -> int:
        """Features of the layer's output."""
        return self.cell.output_size(self.input_size, self.hidden_size)

    def initial(self, seed: int) -> Arrays:
        """First values of the parameters."""
        declared = self.cell.params.values()
        return {
            name: initialize(param, shape, seed, (self.index, position), self.cell.label())
            for position, (param, (name, shape)) in enumerate(zip(declared, self.params.items(), strict=True))
        }


@dataclass(frozen=True)
class LayerTape:
    """What a layer's backward pass needs of its forward pass."""

    x: Array
    state: tuple[Array, ...]
    kept: tuple[Array, ...]


class Stack:
    """Layers of one cell, each reading the output of the one below.

    Args:
        cell: The cell of every layer.
        input_size: ``I`` of the first layer.
        hidden_size: ``H``.
        num_layers: ``L``.

    Raises:
        UsageError: if a size is no positive integer or does not suit the cell.
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, num_layers: int) -> None:
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise UsageError(f"{cell.label()}: {name} is {value!r}; expected a positive integer.")
        self.cell = cell
        self.input_size, self.hidden_size = int(input_size), int(hidden_size)
        self.layers: list[Layer] = []
        size = self.input_size
        for index in range(num_layers):
            self.layers.append(Layer(index, cell, size, self.hidden_size))
            size = self.layers[-1].output_size
        self.output_size = size
        self._forward, self._backward = cell.kernel("forward"), cell.kernel("backward")
        self._options = tuple(cell.options.values())

    @property
    def param_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter, ``l0.Wxh`` and so on."""
        return {name: shape for layer in self.layers for name, shape in layer.params.items()}

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every state, ``l0.h`` and so on, without the batch axis."""
        return {name: shape for layer in self.layers for name, shape in layer.states.items()}

    def initial(self, seed: int) -> Arrays:
        """First values of all parameters, float64."""
        return {name: value for layer in self.layers for name, value in layer.initial(seed).items()}

    def forward(self, params: Mapping[str, Array], x: Array, state: Mapping[str, Array]) -> tuple[Array, Arrays, list[LayerTape]]:
        """Outputs ``(T, B, ·)``, last states, and the tape."""
        last: Arrays = {}
        tape = []
        for layer in self.layers:
            before = tuple(state[name] for name in layer.states)
            y, after, kept = self._forward(tuple(params[name] for name in layer.params), x, before, *self._options)
            last |= zip(layer.states, after, strict=True)
            tape.append(LayerTape(x, before, kept))
            x = y
        return x, last, tape

    def backward(
        self, params: Mapping[str, Array], tape: list[LayerTape], dy: Array, dlast: Mapping[str, Array]
    ) -> tuple[Array, Arrays, Arrays]:
        """Gradients with respect to x, the first states, and the parameters."""
        dstate: Arrays = {}
        dparams: Arrays = {}
        for layer, kept in zip(reversed(self.layers), reversed(tape), strict=True):
            weights = tuple(params[name] for name in layer.params)
            dafter = tuple(dlast[name] for name in layer.states)
            dy, dbefore, dweights = self._backward(weights, kept.x, kept.state, kept.kept, dy, dafter, *self._options)
            dstate |= zip(layer.states, dbefore, strict=True)
            dparams |= zip(layer.params, dweights, strict=True)
        return dy, dstate, dparams
