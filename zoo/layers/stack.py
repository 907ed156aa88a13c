"""A stack of floors on one shard of the batch: pure functions of named arrays."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import as_bool
from zoo.contracts import Cell, Input, Noise
from zoo.layers.along import pieces
from zoo.layers.beside import Beside, check_shared
from zoo.layers.boundary import as_given, as_state
from zoo.layers.choices import as_cells, as_dropout, as_size, label
from zoo.layers.course import Course
from zoo.layers.floor import FloorTape, Told, build
from zoo.layers.layer import Array, Arrays, Layer, LayerTape, Watch
from zoo.layers.lengths import turned
from zoo.layers.noise import check_noise
from zoo.layers.shards import Rows

_CHOICES = ("bidirectional", "dropout", "residual", "learned_state")

Weights = list[tuple[Array, ...]]
"""The arrays of each layer."""


class Stack:
    """Floors of one or two layers, each reading the output of the floor below.

    Args:
        cell: The cell of every floor, or one for each.
        input_size: ``I`` of the first floor.
        hidden_size: ``H``.
        num_layers: ``L``, the number of floors.
        bidirectional: Whether each floor has a second layer, which reads from the end to the beginning.
        dropout: How probable it is, where noise is drawn, that a number that one floor hands to the next is
            dropped.
        residual: Whether a floor adds its input to its output, where both have the same size.
        learned_state: Whether the states before the first step, where none are given, are parameters.

    Attributes:
        cells: The cell of each floor.
        floors: The floors.
        layers: All layers, floor by floor.
        param_shapes: Shape of every parameter, ``l0.Wxh`` and so on, ``l0.h.initial`` after all others.
        state_shapes: Shape of every state, ``l0.h`` and so on, without the batch axis.
        buffer_shapes: Shape of every buffer, ``l0.A`` and so on.
        input_shapes: Shape of every input beside x, without the axes of time and batch.
        learned: Name of each learned first state to that of the state.
        output_size: Features of the output.

    Raises:
        UsageError: if a size is no positive integer or does not suit the cell, or another argument does not
            fit.
    """

    def __init__(
        self,
        cell: Cell | Sequence[Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        learned_state: bool = False,
    ) -> None:
        self.cells = as_cells(cell, num_layers)
        self._label = who = label(self.cells)
        self.input_size = as_size(who, "input_size", input_size)
        self.hidden_size = as_size(who, "hidden_size", hidden_size)
        self.bidirectional = as_bool(bidirectional, f"{who}: bidirectional")
        self.residual = as_bool(residual, f"{who}: residual")
        self.learned_state = as_bool(learned_state, f"{who}: learned_state")
        self.dropout = as_dropout(dropout, who)
        self.floors = build(self.cells, self.input_size, self.hidden_size, bidirectional, residual)
        self.layers = [layer for floor in self.floors for layer in floor.layers]
        self.output_size = self.floors[-1].output_size
        lowest_last = [each.inputs.items() for each in reversed(self.layers)]
        self.input_shapes = {name: shape for inputs in lowest_last for name, shape in inputs}
        must_agree = [name for name, each in self.inputs.items() if not isinstance(each, Noise)]
        check_shared(must_agree, self.layers, who)
        self.buffer_shapes = self._shapes("buffers")
        self.state_shapes = self._shapes("states")
        self.learned = {f"{name}.initial": name for name in self._variables()} if self.learned_state else {}
        initial = {name: self.state_shapes[state] for name, state in self.learned.items()}
        self.param_shapes = self._shapes("params") | initial

    def __reduce__(self) -> tuple[Any, ...]:
        choices = {name: getattr(self, name) for name in _CHOICES}
        return functools.partial(Stack, **choices), (self.cells, self.input_size, self.hidden_size)

    @property
    def cell(self) -> Cell:
        """The cell of the first floor, and of the others if they were not chosen one by one."""
        return self.cells[0]

    @property
    def inputs(self) -> dict[str, Input]:
        """What the cells declare beside x; where several declare a name, the lowest."""
        return {name: each for cell in reversed(self.cells) for name, each in cell.inputs.items()}

    @property
    def discrete(self) -> tuple[str, ...]:
        """The states that only ever hold whole numbers."""
        return tuple([name for name in self.state_shapes if name not in self._variables()])

    def label(self) -> str:
        """How an error names the layers: ``cell 'lstm'``, or ``cells 'gru', 'lstm'``."""
        return self._label

    def describe(self) -> str:
        """Its arguments, as they are written; what is switched off is left out."""
        cells = self.cell if self._is_one() else list(self.cells)
        facts = {name: getattr(self, name) for name in ("input_size", "hidden_size")}
        facts["num_layers"] = len(self.floors)
        facts |= {name: getattr(self, name) for name in _CHOICES if getattr(self, name)}
        return ", ".join([repr(cells), *(f"{name}={value!r}" for name, value in facts.items())])

    def beside(
        self,
        given: Mapping[str, Any],
        times_rows: tuple[int, int],
        dtype: np.dtype[Any],
        noise: Any = None,
        lengths: Array | None = None,
    ) -> Beside:
        """The inputs beside x: those given, the noise of ``(seed, step)``, the defaults of the others.

        Args:
            given: By name, ``(T, B, ...)``.
            times_rows: ``T`` and ``B``.
            dtype: Of all arrays.
            noise: What decides the noise; None for its expectation, and no dropout.
            lengths: Steps of each row ``(B,)``; None if all steps are of all rows.

        Raises:
            UsageError: if one is unknown or does not fit, or the noise is no such pair.
        """
        found = as_given(given, self.inputs, self.input_shapes, times_rows, dtype, self.label())
        check_shared(found, self.layers, self.label())
        backwards = found if self.bidirectional else {}
        backwards = {name: turned(value, lengths) for name, value in backwards.items()}
        return Beside(self.floors, found, backwards, dtype, check_noise(noise), self.dropout)

    def states_before(
        self, state: Mapping[str, Any] | None, params: Mapping[str, Array], batch: int, dtype: np.dtype[Any]
    ) -> Arrays:
        """The states before the first step: those given, or else the learned ones, or zeros.

        Raises:
            UsageError: if a name is missing or unknown, or a shape does not fit.
        """
        before = as_state(state, self.state_shapes, batch, dtype, self.label())
        if state is None:
            for name, which in self.learned.items():
                before[which][...] = params[name]
        return before

    def initial(self, seed: int) -> Arrays:
        """First values of all parameters, and the values of all buffers."""
        drawn = {name: value for layer in self.layers for name, value in layer.initial(seed).items()}
        return drawn | {name: np.zeros(self.param_shapes[name]) for name in self.learned}

    def weights(self, arrays: Mapping[str, Array]) -> Weights:
        """The parameters and buffers of each layer, as kernels take them, from all by name."""
        return [tuple(arrays[name] for name in layer.arrays) for layer in self.layers]

    def forward(
        self,
        weights: Weights,
        x: Array,
        state: Mapping[str, Array],
        told: list[Told],
        course: Course | None = None,
    ) -> tuple[Array, Arrays, list[FloorTape]]:
        """Outputs ``(T, B, ·)``, the states of each row at its end, and the tape.

        Args:
            weights: From :meth:`weights`.
            x: Floats or tokens, as kernels take them; where rows have lengths, zeros or -1 behind their ends.
            state: States before the first step.
            told: What each floor is told beside x, a part of what :meth:`beside` found.
            course: How each layer's time is cut; None to run each through all steps at once.

        Raises:
            DefinitionError: if a cell's kernel returns what it should not.
        """
        last: Arrays = {}
        tape = []
        for floor, arrays, beside in zip(self.floors, self._by_floor(weights), told, strict=True):
            x, after, kept = floor.forward(arrays, x, state, beside, course)
            last |= after
            tape.append(kept)
        return x, last, tape

    def backward(
        self,
        weights: Weights,
        tape: list[FloorTape],
        dy: Array,
        dlast: Mapping[str, Array],
        watch: Watch | None = None,
    ) -> tuple[Array | None, Arrays, list[Array]]:
        """Gradients with respect to x (None for tokens), the first states, and the parameters of all layers.

        Those of the parameters are in the order of their names, without the learned first states: with
        :meth:`learned_gradients` behind them they are all.

        Args:
            weights: From :meth:`weights`.
            tape: From :meth:`forward`.
            dy: Gradient of the outputs.
            dlast: Gradients of the states of each row at its end.
            watch: What sees every layer before its way back.

        Raises:
            DefinitionError: if a cell's kernel returns what it should not.
        """
        dx: Array | None = dy
        dstate: Arrays = {}
        gradients: list[Array] = []
        for floor, arrays, kept in zip(
            reversed(self.floors), reversed(self._by_floor(weights)), reversed(tape), strict=True
        ):
            assert dx is not None  # only the lowest floor reads tokens
            dx, dbefore, found = floor.backward(arrays, kept, dx, dlast, watch)
            dstate |= dbefore
            gradients[:0] = found
        return dx, dstate, gradients

    def pieces(
        self, weights: Weights, tape: list[FloorTape]
    ) -> Iterator[tuple[Layer, slice, Rows, LayerTape]]:
        """What every layer went through, piece by piece: steps in its own order of time, rows, and tape."""
        for floor, arrays, kept in zip(self.floors, self._by_floor(weights), tape, strict=True):
            for layer, own, way in zip(floor.layers, arrays, kept.ways, strict=True):
                yield from ((layer, *piece) for piece in pieces(layer, own, way))

    def learned_gradients(self, dstate: Mapping[str, Array], are_used: bool) -> list[Array]:
        """Gradients of the learned first states: the sum over the rows that began with them, or zeros."""
        rows = slice(None if are_used else 0)
        return [dstate[state][rows].sum(axis=0) for state in self.learned.values()]

    def _is_one(self) -> bool:
        """Whether one cell was chosen for all floors."""
        return all(cell == self.cell for cell in self.cells)

    def _by_floor(self, weights: Weights) -> list[Weights]:
        width = len(self.floors[0].layers)
        return [weights[start : start + width] for start in range(0, len(weights), width)]

    def _shapes(self, kind: str) -> dict[str, tuple[int, ...]]:
        return {name: shape for layer in self.layers for name, shape in getattr(layer, kind).items()}

    def _variables(self) -> list[str]:
        """The states that are no whole numbers: what can be differentiated by."""
        return [
            name
            for layer in self.layers
            for name, declared in zip(layer.states, layer.cell.states.values(), strict=True)
            if not declared.discrete
        ]
