"""A stack of recurrent layers: pure functions of named arrays for the rows of one shard.

A layer has one or two directions of time, input dropout, and a residual connection. Auxiliary inputs of its
cells are user arrays, sampled noise, or the declared defaults.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell, Input, Noise
from zoo.errors import UsageError, warn_caller
from zoo.kernels.precision import product_cost
from zoo.layers.aux_inputs import AuxInputs, AuxInputSource, check_noise, reverse_aux_inputs
from zoo.layers.config import StackConfig
from zoo.layers.direction import BackwardHook, Direction, DirectionParams, DirectionTape
from zoo.layers.parameters import parameter_part
from zoo.layers.sharding import Rows
from zoo.layers.states import GivenState
from zoo.layers.time_chunks import (
    TimeChunks,
    add_gradients,
    forward_segments,
    leading_states,
    plan_segments,
    reverse_time,
    slice_batch,
    update_leading_rows,
)
from zoo.layers.validation import as_aux_inputs, as_floats, as_state, check_bounds, is_boolean

StackParams = list[DirectionParams]
"""The parameters and buffers of each direction."""


class LayerTape(NamedTuple):
    """Tape of a layer.

    Args:
        lengths: Steps of each sequence, longest first; None if all have all steps.
        mask: Dropout mask of x, if any.
        directions: The tapes of each direction, one for each chunk.
    """

    lengths: Array | None
    mask: Array | None
    directions: list[list[DirectionTape]]


@dataclass(frozen=True)
class Layer:
    """One or two directions of time: ``y = layer(mask x)``, or ``y = x + layer(mask x)``.

    Args:
        directions: The forward direction, and the one that reads backwards if there is one.
        is_residual: Whether the input is added to the output.
    """

    directions: tuple[Direction, ...]
    is_residual: bool

    @property
    def index(self) -> int:
        """Index in the stack, from 0."""
        return self.directions[0].index

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.directions[0].input_size

    @property
    def output_size(self) -> int:
        """Features of the output, over all directions."""
        return sum(direction.output_size for direction in self.directions)

    def forward(
        self,
        params: StackParams,
        x: Array,
        state: Mapping[str, Array],
        aux: AuxInputs,
        chunks: TimeChunks | None,
    ) -> tuple[Array, Arrays, LayerTape]:
        """Outputs ``(T, B, ·)``, the final states of each sequence, and the tape."""
        lengths = chunks.lengths if chunks else None
        dropped = x if aux.mask is None else x * aux.mask
        outputs, tapes = [], []
        final: Arrays = {}
        for direction, own_params, inputs in zip(self.directions, params, aux.inputs, strict=True):
            ordered = reverse_time(dropped, lengths) if direction.reverse else dropped
            if chunks is None:
                y, direction_final, tape = direction.forward(own_params, ordered, state, inputs)
                tapes.append([tape])
            else:
                y, direction_final, direction_tapes = _forward_chunks(
                    direction, own_params, ordered, state, inputs, chunks
                )
                tapes.append(direction_tapes)
            outputs.append(reverse_time(y, lengths) if direction.reverse else y)
            final |= direction_final
        y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
        return _residual_sum(x, y) if self.is_residual else y, final, LayerTape(lengths, aux.mask, tapes)

    def backward(
        self,
        params: StackParams,
        tape: LayerTape,
        dy: Array,
        dfinal: Mapping[str, Array],
        hook: BackwardHook | None = None,
        needs_dx: bool = True,
    ) -> tuple[Array | None, Arrays, list[Array]]:
        """Gradients of x (None for tokens, or if not needed), the initial states, and the parameters."""
        input_gradients = []
        dstate: Arrays = {}
        gradients: list[Array] = []
        sizes = [direction.output_size for direction in self.directions]
        parts = [dy] if len(sizes) == 1 else np.split(dy, sizes[:1], axis=2)
        for direction, own_params, tapes, part in zip(
            self.directions, params, tape.directions, parts, strict=True
        ):
            ordered = reverse_time(part, tape.lengths) if direction.reverse else part
            dx, dinitial, direction_gradients = _backward_chunks(
                direction, own_params, tapes, ordered, dfinal, hook, needs_dx
            )
            if dx is not None:
                input_gradients.append(reverse_time(dx, tape.lengths) if direction.reverse else dx)
            dstate |= dinitial
            gradients += direction_gradients
        return self._input_gradient(input_gradients, tape.mask, dy), dstate, gradients

    def iter_tapes(
        self, params: StackParams, tape: LayerTape
    ) -> Iterator[tuple[Direction, slice, Rows, DirectionTape]]:
        """Iterate over directions and chunks: steps in the direction's order of time, rows, and tape."""
        for direction, own_params, tapes in zip(self.directions, params, tape.directions, strict=True):
            for each in tapes:
                yield direction, each.time_slice, each.rows, direction.rerun(own_params, each)

    def _input_gradient(self, parts: list[Array], mask: Array | None, dy: Array) -> Array | None:
        if not parts:
            return None
        dx = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if mask is not None:
            dx = dx * mask
        return dx + dy if self.is_residual else dx


def _forward_chunks(
    direction: Direction,
    params: DirectionParams,
    x: Array,
    state: Mapping[str, Array],
    inputs: tuple[Array, ...],
    chunks: TimeChunks,
) -> tuple[Array, Arrays, list[DirectionTape]]:
    """Run a direction chunk by chunk and concatenate the outputs, with zeros in the padding."""
    carry = dict(state)
    outputs, tapes = [], []
    for time_slice, count in chunks.chunks:
        rows = slice(0, count)
        chunk_inputs = tuple([slice_batch(value, time_slice, rows) for value in inputs])
        y, chunk_final, tape = direction.forward(
            params,
            slice_batch(x, time_slice, rows),
            leading_states(direction.states, carry, count),
            chunk_inputs,
            time_slice.start,
        )
        if not chunks.keeps_tapes:  # views instead of copies of x and the inputs
            views = tuple([value[time_slice, rows] for value in inputs])
            tape = tape._replace(x=x[time_slice, rows], inputs=views, saved=None)
        carry = update_leading_rows(carry, chunk_final)
        outputs.append(y)
        tapes.append(tape)
    return _concatenate(outputs, tapes, x.shape[:2]), carry, tapes


def _backward_chunks(
    direction: Direction,
    params: DirectionParams,
    tapes: list[DirectionTape],
    dy: Array,
    dfinal: Mapping[str, Array],
    hook: BackwardHook | None,
    needs_dx: bool,
) -> tuple[Array | None, Arrays, list[Array]]:
    """Gradients of x (None for tokens, or if not needed), the initial states, and the parameters."""
    dstate = dict(dfinal)
    input_gradients, total = list[Array](), list[Array]()
    for each in reversed(tapes):
        tape = each if each.saved is not None else direction.rerun(params, each)
        time_slice, rows = tape.time_slice, tape.rows
        part, chunk_dfinal = (
            slice_batch(dy, time_slice, rows),
            leading_states(direction.states, dstate, rows.stop),
        )
        if hook is not None:
            hook(direction, time_slice, rows, tape, part, chunk_dfinal)
        dx, dinitial, gradients = direction.backward(params, tape, part, chunk_dfinal, needs_dx)
        if dx is not None:
            input_gradients.append(dx)
        dstate, total = update_leading_rows(dstate, dinitial), add_gradients(total, gradients)
    whole = _concatenate(input_gradients[::-1], tapes, dy.shape[:2]) if input_gradients else None
    return whole, dstate, total


def _concatenate(parts: list[Array], tapes: list[DirectionTape], shape: tuple[int, ...]) -> Array:
    """Each part at the steps and rows of its tape, and zeros elsewhere; the part itself if it is all."""
    if parts[0].shape[:2] == shape:
        return parts[0]
    whole = np.zeros((*shape, parts[0].shape[2]), parts[0].dtype)
    for part, tape in zip(parts, tapes, strict=True):
        whole[tape.time_slice, tape.rows] = part
    return whole


def _residual_sum(x: Array, y: Array) -> Array:
    """``x + y`` in a new array; tokens are one-hot rows, and rows of zeros in the padding (-1)."""
    return y + (x if x.ndim == 3 else x[..., np.newaxis] == np.arange(y.shape[2]))


def build_layers(config: StackConfig, prefers_derived: bool = False) -> list[Layer]:
    """Make the layers of a config, each of which reads the output of the one below.

    Args:
        config: The config.
        prefers_derived: As for :class:`Direction`.
    """
    layers, size = [], config.input_size
    for index, cell in enumerate(config.cells):
        reverse = (False, True) if config.bidirectional else (False,)
        sizes, precision = (size, config.hidden_size), config.precision
        directions = tuple(
            [Direction(index, cell, *sizes, each, precision, prefers_derived) for each in reverse]
        )
        output_size = sum(direction.output_size for direction in directions)
        layers.append(Layer(directions, config.residual and size == output_size))
        size = output_size
    return layers


def check_residual(stack: Stack, owner: str = "") -> None:
    """Check that a stack with the setting ``residual`` has a residual connection.

    Args:
        stack: The stack.
        owner: Beginning of the error, such as ``"compare: gru on copying: "``.

    Raises:
        UsageError: if no layer has an output of the size of its input.
    """
    if not any(layer.is_residual for layer in stack.layers):
        raise UsageError(
            f"{owner}`residual` is given and has no effect, since no layer has an output of the size of its "
            f"input; leave out `residual`, or give more `layers`."
        )


class Stack:
    """Layers of one or two directions, each reading the output of the layer below.

    Args:
        config: The cells, sizes and options.
        prefers_derived: As for :class:`Direction`.

    Attributes:
        cells: The cell of each layer.
        layers: The layers.
        directions: The directions of all layers, layer by layer.
        param_shapes: Shape of every parameter, ``l0.Wxh`` and so on, ``l0.h.initial`` after all others.
        state_shapes: Shape of every state, ``l0.h`` and so on, without the batch axis.
        discrete_states: Names of the states that are integers, for which there are no gradients.
        buffer_shapes: Shape of every buffer, ``l0.A`` and so on.
        input_shapes: Shape of every auxiliary input, without the axes of time and batch.
        learned: Name of each learned initial state to the name of the state.
        largest_matrix: Elements of the largest parameter that a time step multiplies.
        output_size: Features of the output.

    Raises:
        UsageError: if a size does not suit a cell, or layers with different sizes or bounds that exclude each
            other share an auxiliary input.
    """

    def __init__(self, config: StackConfig, prefers_derived: bool = False) -> None:
        self.config, self.cells, self.prefers_derived = config, config.cells, prefers_derived
        self.input_size, self.hidden_size = config.input_size, config.hidden_size
        self.bidirectional, self.dropout = config.bidirectional, config.dropout
        self.layers = build_layers(config, prefers_derived)
        self.directions = [direction for layer in self.layers for direction in layer.directions]
        self.output_size = self.layers[-1].output_size
        width = len(self.layers[0].directions)
        self._layer_slices = [slice(n, n + width) for n in range(0, len(self.directions), width)]
        lowest_last = [each.inputs.items() for each in reversed(self.directions)]
        self.input_shapes = {name: shape for inputs in lowest_last for name, shape in inputs}
        shared = [name for name, each in self.inputs.items() if not isinstance(each, Noise)]
        check_same_shape(shared, self.directions, config.label)
        check_shared_bounds(shared, self.directions, config.label)
        self.buffer_shapes = self._shapes("buffers")
        self.state_shapes = self._shapes("states")
        differentiable = self._differentiable_states()
        self.discrete_states = tuple([name for name in self.state_shapes if name not in differentiable])
        self.learned = {f"{name}.initial": name for name in differentiable} if config.learned_state else {}
        initial = {name: self.state_shapes[state] for name, state in self.learned.items()}
        self.param_shapes = self._shapes("params") | initial
        self.largest_matrix = max(each.largest_matrix for each in self.directions)
        self._product_cost = product_cost(config.precision)
        self._default_aux: dict[np.dtype[Any], AuxInputSource] = {}

    def product_size(self, rows: int, elements: int = 0) -> int:
        """The largest matrix product of a time step, an estimate: multiply-adds of float32 in the same time.

        Args:
            rows: Rows of the batch.
            elements: Elements of the matrix of a readout, which may be the largest.
        """
        return int(self._product_cost * rows * max(self.largest_matrix, elements))

    def __reduce__(self) -> tuple[Any, ...]:
        return Stack, (self.config, self.prefers_derived)

    @property
    def cell(self) -> Cell:
        """The cell of the first layer."""
        return self.cells[0]

    @functools.cached_property
    def inputs(self) -> dict[str, Input]:
        """Declarations of auxiliary inputs.

        Where several layers declare a name, it is the declaration of the lowest one with the bounds of all.
        """
        inputs: dict[str, Input] = {}
        for cell in reversed(self.cells):
            inputs |= {name: each.narrowed(inputs.get(name)) for name, each in cell.inputs.items()}
        return inputs

    @property
    def param_parts(self) -> dict[str, list[str]]:
        """Names of the parameters of the cells and of the blocks around them: ``"cell"`` and ``"block"``."""
        parts: dict[str, list[str]] = {"cell": [], "block": []}
        for name in self.param_shapes:
            parts[parameter_part(name)].append(name)
        return parts

    def label(self) -> str:
        """Name of the layers in error messages: ``cell 'lstm'``, or ``cells 'gru', 'lstm'``."""
        return self.config.label

    def segments(self, steps: int, batch: int, *, has_backward: bool) -> list[slice]:
        """The steps of each segment of a forward pass.

        Args:
            steps: ``T``.
            batch: ``B``.
            has_backward: Whether a backward pass follows.
        """
        if has_backward:
            return plan_segments(steps, batch, self.config.recompute)
        return forward_segments(steps, batch, max(layer.output_size for layer in self.layers))

    def aux_inputs(
        self,
        given: Mapping[str, Any],
        times_rows: tuple[int, int],
        dtype: np.dtype[Any],
        noise: Any = None,
        lengths: Array | None = None,
    ) -> AuxInputSource:
        """Make the source of auxiliary inputs.

        Args:
            given: User arrays by name, ``(T, B, ...)``; inputs that are not given are noise or defaults.
            times_rows: ``T`` and ``B``.
            dtype: Of all arrays.
            noise: ``(seed, step)`` of the noise; None for its expectation, and no dropout.
            lengths: Steps of each sequence ``(B,)``; None if all have all steps.

        Raises:
            UsageError: if an input is unknown or does not fit, or the noise is invalid.
        """
        if not given:
            defaults = self._default_aux_inputs(dtype)
            return defaults if noise is None else replace(defaults, noise_key=check_noise(noise))
        sizes = self.inputs, self.input_shapes, times_rows
        arrays = as_aux_inputs(given, *sizes, dtype, self.label(), lengths)
        check_same_shape(arrays, self.directions, self.label())
        reverse = reverse_aux_inputs(arrays, self.directions, lengths)
        defaults, noise_key = self._default_aux_inputs(dtype), check_noise(noise)
        return replace(defaults, given=arrays, reversed=reverse, noise_key=noise_key)

    def step_aux_inputs(
        self, given: Mapping[str, Any], batch: int, dtype: np.dtype[Any], noise: Any, owner: str
    ) -> list[AuxInputs]:
        """Check the auxiliary inputs of one time step, and make the inputs of each layer.

        Args:
            given: User arrays by name, ``(B, ...)``, whose names are known.
            batch: ``B``.
            dtype: Of all arrays.
            noise: As for :meth:`aux_inputs`.
            owner: Owner, for messages.

        Raises:
            UsageError: if an input does not fit, or the noise is invalid.
        """
        arrays = self.step_arrays(given, batch, dtype, owner)
        return self.aux_inputs(arrays, (1, batch), dtype, noise).chunk(slice(0, 1), slice(0, batch))

    def step_arrays(
        self, given: Mapping[str, Any], batch: int, dtype: np.dtype[Any], owner: str
    ) -> dict[str, Array]:
        """Check auxiliary inputs of one time step, and give them an axis of time, ``(1, B, ...)``.

        Raises:
            UsageError: if one does not fit or is out of bounds.
        """
        shapes, declared, arrays = self.input_shapes, self.inputs, {}
        for name, value in given.items():
            label = f"{owner}: input {name!r}"
            array = as_floats(value, (batch, *shapes[name]), dtype, label, allows_booleans=True)
            check_bounds(array, declared[name], label, axes=("sequence",), is_boolean=is_boolean(value))
            arrays[name] = array[None]
        return arrays

    def check_reads_forwards(self, owner: str) -> None:
        """Check that the stack can run one time step in each call.

        Raises:
            UsageError: if a layer reads backwards.
        """
        if self.bidirectional:
            raise UsageError(
                f"{owner}: a layer that reads backwards needs the whole sequence; call it with all steps."
            )

    def _default_aux_inputs(self, dtype: np.dtype[Any]) -> AuxInputSource:
        """Auxiliary inputs without user arrays and noise, made once: that takes 5 us."""
        if dtype not in self._default_aux:
            layers = [layer.directions for layer in self.layers]
            self._default_aux[dtype] = AuxInputSource(layers, {}, {}, dtype, dropout=self.dropout)
        return self._default_aux[dtype]

    def initial_states(
        self,
        state: GivenState | None,
        params: Mapping[str, Array],
        batch: int,
        dtype: np.dtype[Any],
        owner: str = "",
    ) -> Arrays:
        """Initial states: those given, or else the learned ones, or zeros.

        Raises:
            UsageError: if a name is missing or unknown, or a shape does not fit.
        """
        initial = as_state(state, self.state_shapes, batch, dtype, owner or self.label())
        if state is None:
            for name, learned in self.learned.items():
                initial[learned][...] = params[name]
        return initial

    def initial_values(self, seed: int) -> Arrays:
        """Initial values of all parameters, and the values of all buffers."""
        drawn = {name: value for each in self.directions for name, value in each.initial_values(seed).items()}
        return drawn | {name: np.zeros(self.param_shapes[name]) for name in self.learned}

    def params_by_direction(self, arrays: Mapping[str, Array]) -> StackParams:
        """The parameters and buffers of each direction, from all by name."""
        return [
            DirectionParams(tuple([arrays[name] for name in direction.arrays]))
            for direction in self.directions
        ]

    def prepare(
        self, params: StackParams, is_dense: bool, *, forward: bool, backward: bool, needs_dx: bool
    ) -> StackParams:
        """Prepare the parameters once for all shards of a batch, see :meth:`Direction.prepare`.

        Args:
            params: From :meth:`params_by_direction`.
            is_dense: Whether the inputs of the first layer are floats; if not, they are tokens.
            forward: Whether there will be forward passes.
            backward: Whether there will be backward passes.
            needs_dx: Whether they compute the gradient with respect to the inputs of the first layer.
        """
        prepared = [
            direction.prepare(
                own,
                is_dense or direction.index > 0,
                forward=forward,
                backward=backward,
                needs_dx=needs_dx or direction.index > 0,
            )
            # From the top: the first layer is read first, and is then in the cache.
            for direction, own in reversed(list(zip(self.directions, params, strict=True)))
        ]
        return prepared[::-1]

    def forward(
        self,
        params: StackParams,
        x: Array,
        state: Mapping[str, Array],
        aux_inputs: list[AuxInputs],
        chunks: TimeChunks | None = None,
    ) -> tuple[Array, Arrays, list[LayerTape]]:
        """Outputs ``(T, B, ·)``, the final states of each sequence, and the tape of each layer.

        Args:
            params: From :meth:`params_by_direction`, or :meth:`prepare`.
            x: Floats or tokens, as kernels take them; zeros or -1 in the padding.
            state: Initial states.
            aux_inputs: From :meth:`AuxInputSource.chunk`.
            chunks: Time chunks of each direction; None for one chunk with all steps.

        Raises:
            DefinitionError: if a cell's kernel returns something invalid.
        """
        final: Arrays = {}
        tape = []
        for layer, own_params, aux in zip(self.layers, self._by_layer(params), aux_inputs, strict=True):
            x, layer_final, layer_tape = layer.forward(own_params, x, state, aux, chunks)
            final |= layer_final
            tape.append(layer_tape)
        return x, final, tape

    def backward(
        self,
        params: StackParams,
        tape: list[LayerTape],
        dy: Array,
        dfinal: Mapping[str, Array],
        hook: BackwardHook | None = None,
        needs_dx: bool = True,
    ) -> tuple[Array | None, Arrays, list[Array]]:
        """Gradients of x (None for tokens, or if not needed), the initial states, and the parameters.

        The parameter gradients are in the order of :attr:`param_shapes`, without the learned initial states,
        whose gradients :meth:`learned_state_gradients` returns.

        Args:
            params: From :meth:`params_by_direction`, or :meth:`prepare`.
            tape: From :meth:`forward`.
            dy: Gradient of the outputs.
            dfinal: Gradients of the final states.
            hook: Called before the backward pass of each direction and chunk.
            needs_dx: Whether to compute the gradient with respect to x.

        Raises:
            DefinitionError: if a cell's kernel returns something invalid.
        """
        dx: Array | None = dy
        dstate: Arrays = {}
        gradients: list[Array] = []
        for layer, own_params, layer_tape in zip(
            reversed(self.layers), reversed(self._by_layer(params)), reversed(tape), strict=True
        ):
            assert dx is not None  # only the lowest layer reads tokens
            needs_own_dx = needs_dx or layer is not self.layers[0]
            dx, dinitial, layer_gradients = layer.backward(
                own_params, layer_tape, dx, dfinal, hook, needs_own_dx
            )
            dstate |= dinitial
            gradients[:0] = layer_gradients
        return dx, dstate, gradients

    def iter_tapes(
        self, params: StackParams, tape: list[LayerTape]
    ) -> Iterator[tuple[Direction, slice, Rows, DirectionTape]]:
        """Iterate over directions and chunks: steps in the direction's order of time, rows, and tape."""
        for layer, own_params, layer_tape in zip(self.layers, self._by_layer(params), tape, strict=True):
            yield from layer.iter_tapes(own_params, layer_tape)

    def learned_state_gradients(self, dstate: Mapping[str, Array], was_used: bool) -> list[Array]:
        """Gradients of the learned initial states: sums over the rows, or zeros if they were not used."""
        rows = slice(None if was_used else 0)
        return [dstate[state][rows].sum(axis=0) for state in self.learned.values()]

    def _by_layer(self, params: StackParams) -> list[StackParams]:
        return [params[layer_slice] for layer_slice in self._layer_slices]

    def _shapes(self, kind: str) -> dict[str, tuple[int, ...]]:
        return {name: shape for each in self.directions for name, shape in getattr(each, kind).items()}

    def _differentiable_states(self) -> list[str]:
        return [
            name
            for direction in self.directions
            for name, declared in zip(direction.states, direction.cell.states.values(), strict=True)
            if not declared.discrete
        ]


def check_same_shape(names: Iterable[str], directions: list[Direction], owner: str) -> None:
    """Check that auxiliary inputs have the same shape in every layer that declares them.

    Raises:
        UsageError: naming the first input that has another shape in another layer.
    """
    for name in names:
        first, *others = [direction for direction in directions if name in direction.inputs]
        for other in others:
            if other.inputs[name] != first.inputs[name]:
                raise UsageError(
                    f"{owner}: every layer gets the same inputs, but {name!r} is {first.inputs[name]} in "
                    f"layer {first.index} and {other.inputs[name]} in layer {other.index}; choose one layer, "
                    f"or sizes for which these are equal."
                )


def check_shared_bounds(names: Iterable[str], directions: list[Direction], owner: str) -> None:
    """Check that a value of each auxiliary input exists that all layers allow.

    Raises:
        UsageError: naming the first input for which none exists, and two layers.
    """
    for name in names:
        readers = [direction for direction in directions if name in direction.inputs]
        common: Input | None = None
        for number, reader in enumerate(readers):
            declared = reader.cell.inputs[name]
            common = declared.narrowed(common)
            if common.is_impossible:
                others = [each for each in readers[:number] if _exclude(each, reader, name)]
                first, second = (
                    f"{each.cell.inputs[name].bounds_text()} in layer {each.index} ({each.cell.label()})"
                    for each in ((others or readers)[0], reader)
                )
                raise UsageError(
                    f"{owner}: every layer gets the same inputs, but {name!r} is {first} and {second}, and "
                    f"no value suits both; rename it in one of the cells."
                )


def _exclude(one: Direction, other: Direction, name: str) -> bool:
    """Whether no value of an auxiliary input suits two layers."""
    return one.cell.inputs[name].narrowed(other.cell.inputs[name]).is_impossible


def warn_without_effect(stack: Stack) -> None:
    """Warn if dropout or residual connections of a stack have no effect."""
    if stack.dropout and len(stack.layers) == 1:
        warn_caller(
            f"{stack.label()}: dropout is {stack.dropout:g} and has no effect, because it acts between "
            f"layers and there is only one; leave it out, or give num_layers=2."
        )
    if stack.config.residual and not any(layer.is_residual for layer in stack.layers):
        warn_caller(
            f"{stack.label()}: residual is True and has no effect, because no layer has an output of the "
            f"size of its input; leave it out, or give num_layers=2."
        )


LayerArrays = tuple[tuple[Array, ...], ...]
"""Arrays of each layer, in the order of declaration."""


def states_by_layer(stack: Stack, state: Mapping[str, Array]) -> LayerArrays:
    """The states of each layer, from a mapping from their names in the stack."""
    return tuple([tuple([state[name] for name in layer.states]) for layer in stack.directions])


def named_states(stack: Stack, states: LayerArrays) -> Arrays:
    """The inverse of :func:`states_by_layer`."""
    return dict(zip(stack.state_shapes, itertools.chain(*states), strict=True))
