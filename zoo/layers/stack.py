"""A stack of layers on one shard of the batch: pure functions of named arrays."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.contracts import Cell
from zoo.errors import DefinitionError, UsageError
from zoo.layers.initializers import initialize

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]

MOST_LAYERS = 1000


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
        self.cell = cell
        self.input_size = self._size("input_size", input_size)
        self.hidden_size = self._size("hidden_size", hidden_size)
        self.layers: list[Layer] = []
        size = self.input_size
        for index in range(self._size("num_layers", num_layers, MOST_LAYERS)):
            self.layers.append(Layer(index, cell, size, self.hidden_size))
            size = self.layers[-1].output_size
        self.output_size = size
        self._forward, self._backward = cell.kernel("forward"), cell.kernel("backward")
        self._options = tuple(cell.options.values())

    def _size(self, name: str, value: object, most: int | None = None) -> int:
        """A size as an integer, if it is one."""
        right = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
        if not right or (most is not None and int(value) > most):  # type: ignore[call-overload]
            expected = "a positive integer" if most is None else f"an integer from 1 to {most}"
            raise UsageError(f"{self.cell.label()}: {name} is {reprlib.repr(value)}; expected {expected}.")
        return int(value)  # type: ignore[call-overload,no-any-return]

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

    def forward(
        self, params: Mapping[str, Array], x: Array, state: Mapping[str, Array]
    ) -> tuple[Array, Arrays, list[LayerTape]]:
        """Outputs ``(T, B, ·)``, last states, and the tape.

        Raises:
            DefinitionError: if the cell's kernel returns what it should not.
        """
        last: Arrays = {}
        tape = []
        for layer in self.layers:
            weights = tuple(params[name] for name in layer.params)
            before = tuple(state[name] for name in layer.states)
            y, after, kept = self._forward(weights, x, before, *self._options)
            self._check_array("output of forward", y, (*x.shape[:2], layer.output_size), weights[0].dtype)
            last |= self._by_name("states from forward", layer.states, after)
            tape.append(LayerTape(x, before, kept))
            x = y
        return x, last, tape

    def backward(
        self, params: Mapping[str, Array], tape: list[LayerTape], dy: Array, dlast: Mapping[str, Array]
    ) -> tuple[Array, Arrays, Arrays]:
        """Gradients with respect to x, the first states, and the parameters.

        Raises:
            DefinitionError: if the cell's kernel returns what it should not.
        """
        dstate: Arrays = {}
        dparams: Arrays = {}
        for layer, kept in zip(reversed(self.layers), reversed(tape), strict=True):
            weights = tuple(params[name] for name in layer.params)
            dafter = tuple(dlast[name] for name in layer.states)
            dy, dbefore, dweights = self._backward(
                weights, kept.x, kept.state, kept.kept, dy, dafter, *self._options
            )
            if kept.x.ndim == 3:
                self._check_array("gradient of the input", dy, kept.x.shape, weights[0].dtype)
            dstate |= self._by_name("state gradients from backward", layer.states, dbefore)
            dparams |= self._by_name("parameter gradients from backward", layer.params, dweights)
        return dy, dstate, dparams

    def _check_array(self, what: str, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuse what the next kernel, which checks nothing, would read out of bounds."""
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != dtype:
            facts = f"{found.dtype}{found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise DefinitionError(f"{self.cell.who()}: the {what} is {facts}; expected {dtype}{shape}.")

    def _by_name(self, what: str, names: Mapping[str, Any], arrays: Any) -> Arrays:
        if len(arrays) != len(names):
            raise DefinitionError(
                f"{self.cell.who()}: {len(arrays)} {what}; expected {len(names)}, in the order of "
                f"declaration: {', '.join(names)}."
            )
        return dict(zip(names, arrays, strict=True))
