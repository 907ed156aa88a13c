"""What layers are told beside x: inputs that were given, noise that is drawn, and the defaults of others.

One floor of a stack: a layer or two, and how what is below comes in and what is above gets it.

A stack of floors on one shard of the batch: pure functions of named arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo.arguments import as_bool
from zoo.base import Cell, Input, Noise
from zoo.errors import UsageError
from zoo.layers.checkpointing import (
    ChunkedTape,
    TimeChunks,
    Weights,
    backward_chunks,
    forward_chunks,
    iter_chunks,
    slice_batch,
)
from zoo.layers.direction import Array, Arrays, BackwardHook, Direction, DirectionTape
from zoo.layers.noise import Block, NoiseKey, check_noise, draw_dropout, draw_noise
from zoo.layers.padding import reverse_time
from zoo.layers.sharding import Rows, row_count
from zoo.layers.validation import as_aux_inputs, as_cells, as_dropout, as_size, as_state, cells_label


@dataclass(frozen=True)
class AuxInputSource:
    """The inputs beside x of a whole sequence, made for some steps and rows at a time.

    Args:
        floors: The floors of the stack, whose cells declare them.
        given: Those that were given, ``(T, B, ...)``; every layer that declares one gets it.
        turned: The same for layers that read backwards, in their order of time.
        dtype: Of all arrays.
        draw: What decides the noise; None for its expectation.
        dropout: How probable it is that a number of what a floor hands to the next is dropped.
    """

    layers: list[Layer]
    given: Mapping[str, Array]
    turned: Mapping[str, Array]
    dtype: np.dtype[Any]
    noise_key: NoiseKey | None = None
    dropout: float = 0.0

    def chunk(self, steps: slice, rows: Rows) -> list[AuxInputs]:
        """What every floor is told in these steps, in these rows."""
        part = steps, rows
        made: dict[Any, Array] = {}
        return [
            AuxInputs(
                [self._inputs(layer, part, made) for layer in floor.directions], self._mask(floor, part)
            )
            for floor in self.layers
        ]

    def _mask(self, floor: Layer, part: Block) -> Array | None:
        """What the floor's input is multiplied by: nothing lies below the first."""
        if self.noise_key is None or not self.dropout or floor.index == 0:
            return None
        return draw_dropout(self.dropout, self.noise_key, floor.index, part, floor.input_size, self.dtype)

    def _inputs(self, layer: Direction, part: Block, made: dict[Any, Array]) -> tuple[Array, ...]:
        return tuple([self._array(name, layer, part, made) for name in layer.inputs])

    def _array(self, name: str, layer: Direction, part: Block, made: dict[Any, Array]) -> Array:
        """One input of one layer; what layers share is made once."""
        declared, shape = layer.cell.inputs[name], layer.inputs[name]
        value = declared.value(layer.cell.options)
        given = self.turned if layer.reverse else self.given
        if name not in given and self.noise_key is not None and isinstance(declared, Noise):
            return draw_noise(declared, value, self.noise_key, layer.place, part, shape, self.dtype)
        key = (name, layer.reverse) if name in given else (shape, value)
        if key not in made:
            steps, rows = part
            sizes = (steps.stop - steps.start, row_count(rows), *shape)
            made[key] = (
                slice_batch(given[name], *part) if name in given else np.full(sizes, value, self.dtype)
            )
        return made[key]


def check_same_shape(names: Iterable[str], layers: list[Direction], who: str) -> None:
    """Refuse inputs beside x that cannot be the same for every layer that declares them.

    Raises:
        UsageError: naming the first that has another shape in another layer.
    """
    for name in names:
        first, *others = [layer for layer in layers if name in layer.inputs]
        for layer in others:
            if layer.inputs[name] != first.inputs[name]:
                raise UsageError(
                    f"{who}: every layer gets the same inputs, but {name!r} is {first.inputs[name]} in layer "
                    f"{first.index} and {layer.inputs[name]} in layer {layer.index}; choose one layer, or "
                    f"sizes for which these are equal."
                )


class AuxInputs(NamedTuple):
    """What a floor is told beside its input.

    Args:
        inputs: For each layer the inputs that its cell declares, in the order of declaration.
        mask: What the input is multiplied by, ``(T, B, ·)``; None to leave it as it is.
    """

    inputs: list[tuple[Array, ...]]
    mask: Array | None = None


class LayerTape(NamedTuple):
    """What the way back through a floor needs.

    Args:
        course: How the time of each layer was cut, if it was.
        mask: What the input was multiplied by, if by anything.
        ways: The tape of each layer.
    """

    course: TimeChunks | None
    mask: Array | None
    ways: list[ChunkedTape | DirectionTape]


@dataclass(frozen=True)
class Layer:
    """A layer, or one for each direction of time: ``y = layer(mask x)``, or ``y = x + layer(mask x)``.

    Args:
        layers: The layer, and the one that reads backwards if there is one.
        is_residual: Whether the input is added to the output.
    """

    directions: tuple[Direction, ...]
    is_residual: bool

    @property
    def index(self) -> int:
        """Place in the stack, from 0."""
        return self.directions[0].index

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.directions[0].input_size

    @property
    def output_size(self) -> int:
        """Features of the output: those of each layer, one behind the other."""
        return sum(layer.output_size for layer in self.directions)

    def forward(
        self,
        weights: list[Weights],
        x: Array,
        state: Mapping[str, Array],
        told: AuxInputs,
        course: TimeChunks | None,
    ) -> tuple[Array, Arrays, LayerTape]:
        """Outputs ``(T, B, ·)``, the states of each row at its end, and the tape."""
        lengths = course.lengths if course else None
        seen = x if told.mask is None else x * told.mask
        outputs, ways = [], []
        last: Arrays = {}
        for layer, arrays, inputs in zip(self.directions, weights, told.inputs, strict=True):
            given = reverse_time(seen, lengths) if layer.reverse else seen
            y, after, way = forward_chunks(layer, arrays, given, state, inputs, course)
            outputs.append(reverse_time(y, lengths) if layer.reverse else y)
            ways.append(way)
            last |= after
        y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
        return _residual_sum(x, y) if self.is_residual else y, last, LayerTape(course, told.mask, ways)

    def backward(
        self,
        weights: list[Weights],
        tape: LayerTape,
        dy: Array,
        dlast: Mapping[str, Array],
        watch: BackwardHook | None = None,
    ) -> tuple[Array | None, Arrays, list[Array]]:
        """Gradients with respect to x (None for tokens), the first states, and the parameters."""
        lengths, parts = tape.course.lengths if tape.course else None, []
        dstate: Arrays = {}
        gradients: list[Array] = []
        for layer, arrays, way, dway in zip(
            self.directions, weights, tape.ways, self._split(dy), strict=True
        ):
            given = reverse_time(dway, lengths) if layer.reverse else dway
            dx, dbefore, found = backward_chunks(layer, arrays, way, given, dlast, watch)
            if dx is not None:
                parts.append(reverse_time(dx, lengths) if layer.reverse else dx)
            dstate |= dbefore
            gradients += found
        return self._below(parts, tape.mask, dy), dstate, gradients

    def _split(self, dy: Array) -> list[Array]:
        """The part of each layer in the gradient of the output."""
        if len(self.directions) == 1:
            return [dy]
        return np.split(dy, [self.directions[0].output_size], axis=2)

    def _below(self, parts: list[Array], mask: Array | None, dy: Array) -> Array | None:
        """The gradient of the input, from what each layer adds to it; None for tokens."""
        if not parts:
            return None
        dx = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if mask is not None:
            dx = dx * mask
        return dx + dy if self.is_residual else dx


def build_layers(
    cells: Sequence[Cell], input_size: int, hidden_size: int, bidirectional: bool, residual: bool
) -> list[Layer]:
    """Floors of these cells, each of which reads the output of the one below."""
    floors, size = [], input_size
    for index, cell in enumerate(cells):
        directions = (False, True) if bidirectional else (False,)
        layers = tuple([Direction(index, cell, size, hidden_size, reverse) for reverse in directions])
        output_size = sum(layer.output_size for layer in layers)
        floors.append(Layer(layers, residual and size == output_size))
        size = output_size
    return floors


def _residual_sum(x: Array, y: Array) -> Array:
    """Both in a new array; tokens are one-hot rows, and rows of zeros behind their end, where they are -1."""
    return y + (x if x.ndim == 3 else x[..., np.newaxis] == np.arange(y.shape[2]))


_CHOICES = ("bidirectional", "dropout", "residual", "learned_state")

StackWeights = list[tuple[Array, ...]]

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
        self._label = who = cells_label(self.cells)
        self.input_size = as_size(who, "input_size", input_size)
        self.hidden_size = as_size(who, "hidden_size", hidden_size)
        self.bidirectional = as_bool(bidirectional, f"{who}: bidirectional")
        self.residual = as_bool(residual, f"{who}: residual")
        self.learned_state = as_bool(learned_state, f"{who}: learned_state")
        self.dropout = as_dropout(dropout, who)
        self.layers = build_layers(self.cells, self.input_size, self.hidden_size, bidirectional, residual)
        self.directions = [layer for floor in self.layers for layer in floor.directions]
        self.output_size = self.layers[-1].output_size
        lowest_last = [each.inputs.items() for each in reversed(self.directions)]
        self.input_shapes = {name: shape for inputs in lowest_last for name, shape in inputs}
        must_agree = [name for name, each in self.inputs.items() if not isinstance(each, Noise)]
        check_same_shape(must_agree, self.directions, who)
        self.buffer_shapes = self._shapes("buffers")
        self.state_shapes = self._shapes("states")
        self.learned = (
            {f"{name}.initial": name for name in self._differentiable_states()} if self.learned_state else {}
        )
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
        return tuple([name for name in self.state_shapes if name not in self._differentiable_states()])

    def label(self) -> str:
        """How an error names the layers: ``cell 'lstm'``, or ``cells 'gru', 'lstm'``."""
        return self._label

    def describe(self) -> str:
        """Its arguments, as they are written; what is switched off is left out."""
        cells = self.cell if self._has_single_cell() else list(self.cells)
        facts = {name: getattr(self, name) for name in ("input_size", "hidden_size")}
        facts["num_layers"] = len(self.layers)
        facts |= {name: getattr(self, name) for name in _CHOICES if getattr(self, name)}
        return ", ".join([repr(cells), *(f"{name}={value!r}" for name, value in facts.items())])

    def aux_inputs(
        self,
        given: Mapping[str, Any],
        times_rows: tuple[int, int],
        dtype: np.dtype[Any],
        noise: Any = None,
        lengths: Array | None = None,
    ) -> AuxInputSource:
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
        found = as_aux_inputs(given, self.inputs, self.input_shapes, times_rows, dtype, self.label())
        check_same_shape(found, self.directions, self.label())
        backwards = found if self.bidirectional else {}
        backwards = {name: reverse_time(value, lengths) for name, value in backwards.items()}
        return AuxInputSource(self.layers, found, backwards, dtype, check_noise(noise), self.dropout)

    def initial_states(
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

    def initial_values(self, seed: int) -> Arrays:
        """First values of all parameters, and the values of all buffers."""
        drawn = {
            name: value for layer in self.directions for name, value in layer.initial_values(seed).items()
        }
        return drawn | {name: np.zeros(self.param_shapes[name]) for name in self.learned}

    def weights(self, arrays: Mapping[str, Array]) -> StackWeights:
        """The parameters and buffers of each layer, as kernels take them, from all by name."""
        return [tuple(arrays[name] for name in layer.arrays) for layer in self.directions]

    def forward(
        self,
        weights: StackWeights,
        x: Array,
        state: Mapping[str, Array],
        told: list[AuxInputs],
        course: TimeChunks | None = None,
    ) -> tuple[Array, Arrays, list[LayerTape]]:
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
        for floor, arrays, beside in zip(self.layers, self._by_layer(weights), told, strict=True):
            x, after, kept = floor.forward(arrays, x, state, beside, course)
            last |= after
            tape.append(kept)
        return x, last, tape

    def backward(
        self,
        weights: StackWeights,
        tape: list[LayerTape],
        dy: Array,
        dlast: Mapping[str, Array],
        watch: BackwardHook | None = None,
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
            reversed(self.layers), reversed(self._by_layer(weights)), reversed(tape), strict=True
        ):
            assert dx is not None  # only the lowest floor reads tokens
            dx, dbefore, found = floor.backward(arrays, kept, dx, dlast, watch)
            dstate |= dbefore
            gradients[:0] = found
        return dx, dstate, gradients

    def pieces(
        self, weights: StackWeights, tape: list[LayerTape]
    ) -> Iterator[tuple[Direction, slice, Rows, DirectionTape]]:
        """What every layer went through, piece by piece: steps in its own order of time, rows, and tape."""
        for floor, arrays, kept in zip(self.layers, self._by_layer(weights), tape, strict=True):
            for layer, own, way in zip(floor.directions, arrays, kept.ways, strict=True):
                yield from ((layer, *piece) for piece in iter_chunks(layer, own, way))

    def learned_state_gradients(self, dstate: Mapping[str, Array], are_used: bool) -> list[Array]:
        """Gradients of the learned first states: the sum over the rows that began with them, or zeros."""
        rows = slice(None if are_used else 0)
        return [dstate[state][rows].sum(axis=0) for state in self.learned.values()]

    def _has_single_cell(self) -> bool:
        """Whether one cell was chosen for all floors."""
        return all(cell == self.cell for cell in self.cells)

    def _by_layer(self, weights: StackWeights) -> list[StackWeights]:
        width = len(self.layers[0].directions)
        return [weights[start : start + width] for start in range(0, len(weights), width)]

    def _shapes(self, kind: str) -> dict[str, tuple[int, ...]]:
        return {name: shape for layer in self.directions for name, shape in getattr(layer, kind).items()}

    def _differentiable_states(self) -> list[str]:
        """The states that are no whole numbers: what can be differentiated by."""
        return [
            name
            for layer in self.directions
            for name, declared in zip(layer.states, layer.cell.states.values(), strict=True)
            if not declared.discrete
        ]
