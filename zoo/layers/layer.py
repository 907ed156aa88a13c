"""One layer of a stack: a cell at a size, and the names its arrays have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from zoo.compiler import passes
from zoo.contracts import Cell
from zoo.contracts.declarations import Array as Declaration
from zoo.layers.initializers import initialize
from zoo.layers.layout import Shapes

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

    Attributes:
        params: Shape of each parameter, ``l0.Wxh`` and so on.
        buffers: Shape of each buffer.
        arrays: Shape of everything that kernels take as ``params``: parameters, then buffers.
        states: Shape of each state, without the batch axis.
        inputs: Shape of each input beside x under its own name, without the axes of time and batch.
        output_size: Features of the output.
    """

    index: int
    cell: Cell
    input_size: int
    hidden_size: int
    params: Shapes = field(init=False)
    buffers: Shapes = field(init=False)
    arrays: Shapes = field(init=False)
    states: Shapes = field(init=False)
    inputs: Shapes = field(init=False)
    output_size: int = field(init=False)

    def __post_init__(self) -> None:
        """Work out the shapes; the names of the cell's arrays get the layer's in front."""
        cell, sizes = self.cell, (self.input_size, self.hidden_size)
        params, buffers = self._named(cell.param_shapes(*sizes)), self._named(cell.buffer_shapes(*sizes))
        facts = {
            "params": params,
            "buffers": buffers,
            "arrays": {**params, **buffers},
            "states": self._named(cell.state_shapes(*sizes)),
            "inputs": cell.input_shapes(*sizes),
            "output_size": passes(cell).output_size(*sizes),
        }
        vars(self).update(facts)

    def _named(self, shapes: Shapes) -> Shapes:
        return {f"l{self.index}.{name}": shape for name, shape in shapes.items()}

    def initial(self, seed: int) -> Arrays:
        """First values of the parameters, and the values of the buffers."""
        declared: Iterable[Declaration] = (*self.cell.params.values(), *self.cell.buffers.values())
        named = zip(declared, self.arrays.items(), strict=True)
        who = self.cell.label()
        return {
            name: initialize(array, shape, seed, (self.index, position), who, self.cell)
            for position, (array, (name, shape)) in enumerate(named)
        }


class LayerTape(NamedTuple):
    """What a layer's backward pass needs of its forward pass."""

    x: Array
    state: tuple[Array, ...]
    inputs: tuple[Array, ...]
    kept: tuple[Array, ...]
