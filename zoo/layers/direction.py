"""One layer of a stack: a cell at a size, in one direction of time, and the names its arrays have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from zoo.base import Cell
from zoo.base.declarations import Array as Declaration
from zoo.base.initializers import initialize
from zoo.compiler import kernels_of
from zoo.compiler.cell_kernels import CellKernels
from zoo.errors import DefinitionError
from zoo.layers.parameters import Shapes
from zoo.layers.sharding import Rows

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]

BackwardHook: TypeAlias = (
    "Callable[[Direction, slice, Rows, DirectionTape, Array, Mapping[str, Array]], None]"
)
"""Sees a layer before its way back through some steps and rows: its tape, and gradients of what it made."""

_REVERSE = 2**20  # more than any stack has layers


class DirectionTape(NamedTuple):
    """What a layer's backward pass needs of its forward pass."""

    x: Array
    state: tuple[Array, ...]
    inputs: tuple[Array, ...]
    saved: tuple[Array, ...]


@dataclass(frozen=True)
class Direction:
    """One layer: a cell at a size, and the names its arrays have in the stack.

    Args:
        index: Floor of the stack, from 0.
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.
        reverse: Whether it reads from the end of time to its beginning; it is given what is turned already.

    Attributes:
        params: Shape of each parameter, ``l0.Wxh`` and so on, or ``l0.reverse.Wxh``.
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
    reverse: bool = False
    params: Shapes = field(init=False)
    buffers: Shapes = field(init=False)
    arrays: Shapes = field(init=False)
    states: Shapes = field(init=False)
    inputs: Shapes = field(init=False)
    output_size: int = field(init=False)
    kernels: CellKernels = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Work out the shapes; the names of the cell's arrays get the layer's in front."""
        cell, sizes = self.cell, (self.input_size, self.hidden_size)
        params, buffers = self._named(cell.param_shapes(*sizes)), self._named(cell.buffer_shapes(*sizes))
        found = kernels_of(cell)
        facts = {
            "params": params,
            "buffers": buffers,
            "arrays": {**params, **buffers},
            "states": self._named(cell.state_shapes(*sizes)),
            "inputs": cell.input_shapes(*sizes),
            "output_size": found.output_size(*sizes),
            "kernels": found,
        }
        vars(self).update(facts)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what follows from these: compiled functions exist in one process only.
        return Direction, (self.index, self.cell, self.input_size, self.hidden_size, self.reverse)

    @property
    def prefix(self) -> str:
        """What stands before the names of its arrays."""
        return f"l{self.index}.reverse." if self.reverse else f"l{self.index}."

    @property
    def place(self) -> int:
        """A number that no other layer of the stack has: initial values and noise are drawn from it."""
        return self.index + _REVERSE * self.reverse

    def _named(self, shapes: Shapes) -> Shapes:
        return {f"{self.prefix}{name}": shape for name, shape in shapes.items()}

    def initial_values(self, seed: int) -> Arrays:
        """First values of the parameters, and the values of the buffers."""
        declared: Iterable[Declaration] = (*self.cell.params.values(), *self.cell.buffers.values())
        named = zip(declared, self.arrays.items(), strict=True)
        who = self.cell.label()
        return {
            name: initialize(array, shape, seed, (self.place, position), who, self.cell)
            for position, (array, (name, shape)) in enumerate(named)
        }

    def forward(
        self, arrays: tuple[Array, ...], x: Array, state: Mapping[str, Array], inputs: tuple[Array, ...]
    ) -> tuple[Array, Arrays, DirectionTape]:
        """Outputs ``(T, B, ·)``, last states, and the tape.

        Args:
            arrays: Parameters and buffers, as :attr:`arrays`.
            x: Floats or tokens, as kernels take them.
            state: States before the first step; those of other layers are left alone.
            inputs: What the cell takes beside x, in the order of declaration.

        Raises:
            DefinitionError: if the cell's kernel returns what it should not.
        """
        before = tuple([state[name] for name in self.states])
        y, after, kept = self.kernels.forward(arrays, x, before, *self._beside(inputs), *self.kernels.options)
        self._check_array("output of forward", y, (*x.shape[:2], self.output_size), arrays[0].dtype)
        self._check_number("states from forward", self.states, after)
        return y, dict(zip(self.states, after, strict=True)), DirectionTape(x, before, inputs, kept)

    def backward(
        self, arrays: tuple[Array, ...], tape: DirectionTape, dy: Array, dafter: Mapping[str, Array]
    ) -> tuple[Array, Arrays, list[Array]]:
        """Gradients with respect to x (empty for tokens), the first states, and the parameters.

        Raises:
            DefinitionError: if the cell's kernel returns what it should not.
        """
        seen = arrays, tape.x, tape.state, *self._beside(tape.inputs), tape.saved
        dlast = tuple([dafter[name] for name in self.states])
        dx, dbefore, gradients = self.kernels.backward(*seen, dy, dlast, *self.kernels.options)
        if tape.x.ndim == 3:
            self._check_array("gradient of the input", dx, tape.x.shape, arrays[0].dtype)
        self._check_number("state gradients from backward", self.states, dbefore)
        self._check_gradients(gradients)
        return dx, dict(zip(self.states, dbefore, strict=True)), list(gradients)

    def _beside(self, inputs: tuple[Array, ...]) -> tuple[tuple[Array, ...], ...]:
        """The inputs as an argument of kernels, which only those of cells that declare inputs have."""
        return (inputs,) if self.cell.inputs else ()

    def _check_array(self, what: str, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuse what the next kernel, which checks nothing, would read out of bounds."""
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != dtype:
            facts = f"{found.dtype}{found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise DefinitionError(
                f"{self.cell.error_name()}: the {what} is {facts}; expected {dtype}{shape}."
            )

    def _check_gradients(self, found: Any) -> None:
        """Refuse gradients that would lie in the flat vector in another order than their parameters."""
        self._check_number("parameter gradients from backward", self.params, found)
        if [gradient.shape for gradient in found] != list(self.params.values()):
            expected = ", ".join(f"{name} {shape}" for name, shape in self.params.items())
            raise DefinitionError(
                f"{self.cell.error_name()}: the parameter gradients from backward have the shapes "
                f"{', '.join(str(gradient.shape) for gradient in found)}; expected {expected}."
            )

    def _check_number(self, what: str, names: Mapping[str, Any], arrays: Any) -> None:
        if len(arrays) != len(names):
            raise DefinitionError(
                f"{self.cell.error_name()}: {len(arrays)} {what}; expected {len(names)}, in the order of "
                f"declaration: {', '.join(names)}."
            )
