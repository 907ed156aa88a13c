"""One direction of a layer: a cell with sizes, the names of its arrays in the stack, and its tape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.base.declarations import ArrayDeclaration
from zoo.base.initializers import initialize
from zoo.compiler import kernels_of
from zoo.compiler.cell_kernels import CellKernels
from zoo.errors import DefinitionError
from zoo.kernels.jit import pure_python
from zoo.layers.parameters import Shapes
from zoo.layers.sharding import Rows

BackwardHook: TypeAlias = (
    "Callable[[Direction, slice, Rows, DirectionTape, Array, Mapping[str, Array]], None]"
)
"""Called before the backward pass of a direction over a chunk: steps, rows, tape, result gradients."""

_REVERSE = 2**20  # more than any stack has layers


class DirectionTape(NamedTuple):
    """Tape of one direction over one time chunk.

    Args:
        x: Inputs ``(T, B, I)`` or tokens ``(T, B)`` of the chunk; B counts the leading rows of the shard.
        state: Initial states, in the order of declaration.
        inputs: Auxiliary inputs, in the order of declaration.
        saved: Arrays that the kernel saved for the backward pass; None if the forward pass has to run again.
        start: First step of the chunk.
    """

    x: Array
    state: tuple[Array, ...]
    inputs: tuple[Array, ...]
    saved: tuple[Array, ...] | None
    start: int = 0

    @property
    def time_slice(self) -> slice:
        """Steps of the chunk, in the direction's order of time."""
        return slice(self.start, self.start + len(self.x))

    @property
    def rows(self) -> slice:
        """Rows of the shard."""
        return slice(0, self.x.shape[1])


class DirectionParams(NamedTuple):
    """Parameters and buffers of a direction, and values computed from them once for all shards.

    Args:
        arrays: Parameters and buffers, as :attr:`Direction.arrays`.
        forward_params: The first argument of the forward kernel; None to prepare it in each call.
        backward_params: The first argument of the backward kernel; None to prepare it in each call.
        needs_dx: Whether ``backward_params`` suffice for the gradient with respect to x.
    """

    arrays: tuple[Array, ...]
    forward_params: tuple[Any, ...] | None = None
    backward_params: tuple[Any, ...] | None = None
    needs_dx: bool = False


@dataclass(frozen=True)
class Direction:
    """A cell with sizes in one direction of time.

    Args:
        index: Layer of the stack, from 0.
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.
        reverse: Whether it reads from the end to the beginning; its inputs are already reversed.
        precision: Precision of the matrix products.
        prefers_derived: As for :func:`zoo.compiler.kernels_of`.

    Attributes:
        params: Shape of each parameter, ``l0.Wxh`` and so on, or ``l0.reverse.Wxh``.
        buffers: Shape of each buffer.
        arrays: Shapes of parameters, then buffers.
        states: Shape of each state, without the batch axis.
        inputs: Shape of each auxiliary input under the cell's name, without the axes of time and batch.
        output_size: Features of the output.
        kernels: The cell's kernels.
    """

    index: int
    cell: Cell
    input_size: int
    hidden_size: int
    reverse: bool = False
    precision: str | None = None
    prefers_derived: bool = False
    params: Shapes = field(init=False)
    buffers: Shapes = field(init=False)
    arrays: Shapes = field(init=False)
    states: Shapes = field(init=False)
    inputs: Shapes = field(init=False)
    output_size: int = field(init=False)
    kernels: CellKernels = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the shapes, with the prefix of the direction before the names of the cell's arrays."""
        cell, sizes = self.cell, (self.input_size, self.hidden_size)
        params = self._prefixed(cell.param_shapes(*sizes))
        buffers = self._prefixed(cell.buffer_shapes(*sizes))
        kernels = kernels_of(cell, self.precision, self.prefers_derived)
        vars(self).update(
            params=params,
            buffers=buffers,
            arrays={**params, **buffers},
            states=self._prefixed(cell.state_shapes(*sizes)),
            inputs=cell.input_shapes(*sizes),
            output_size=kernels.output_size(*sizes),
            kernels=kernels,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Attributes are computed again: compiled functions exist in one process only.
        sizes = self.input_size, self.hidden_size
        return Direction, (self.index, self.cell, *sizes, self.reverse, self.precision, self.prefers_derived)

    @property
    def prefix(self) -> str:
        """Prefix of the names of its arrays."""
        return f"l{self.index}.reverse." if self.reverse else f"l{self.index}."

    def reads_following_steps(self, name: str) -> bool:
        """Whether an auxiliary input has, at each step, the value of the following step."""
        return self.reverse and self.cell.inputs[name].between_steps

    @property
    def rng_index(self) -> int:
        """Number of this direction in the random streams of initial values and noise."""
        return self.index + _REVERSE * self.reverse

    def _prefixed(self, shapes: Shapes) -> Shapes:
        return {f"{self.prefix}{name}": shape for name, shape in shapes.items()}

    @property
    def largest_matrix(self) -> int:
        """Elements of the largest parameter that is not multiplied by the input.

        Products of inputs are computed for all steps at once, and tokens select rows.
        """
        declared = [[size.text for size in param.shape] for param in self.cell.params.values()]
        shapes = zip(declared, self.params.values(), strict=True)
        return max([math.prod(shape) for sizes, shape in shapes if sizes[:1] != ["I"]], default=0)

    def initial_values(self, seed: int) -> Arrays:
        """Initial values of the parameters, and the values of the buffers."""
        declared: Iterable[ArrayDeclaration] = (*self.cell.params.values(), *self.cell.buffers.values())
        named = zip(declared, self.arrays.items(), strict=True)
        owner = self.cell.label()
        return {
            name: initialize(array, shape, seed, (self.rng_index, position), owner, self.cell)
            for position, (array, (name, shape)) in enumerate(named)
        }

    def prepare(
        self, params: DirectionParams, is_dense: bool, *, forward: bool, backward: bool, needs_dx: bool
    ) -> DirectionParams:
        """Prepare the parameters once for all shards of a batch.

        Args:
            params: Parameters and buffers.
            is_dense: Whether the inputs are floats; if not, they are tokens.
            forward: Whether there will be forward passes.
            backward: Whether there will be backward passes.
            needs_dx: Whether they compute the gradient with respect to x.
        """
        arrays, kernels = params.arrays, self.kernels
        # Forward last: its arrays are read first, and are then in the cache.
        backward_params = kernels.backward_params(arrays, is_dense, needs_dx) if backward else None
        forward_params = kernels.forward_params(arrays, is_dense) if forward else None
        return DirectionParams(arrays, forward_params, backward_params, needs_dx)

    def forward(
        self,
        params: DirectionParams,
        x: Array,
        state: Mapping[str, Array],
        inputs: tuple[Array, ...],
        start: int = 0,
    ) -> tuple[Array, Arrays, DirectionTape]:
        """Outputs ``(T, B, ·)``, final states, and the tape.

        Args:
            params: Parameters and buffers.
            x: Floats or tokens, as kernels take them.
            state: Initial states; those of other directions are ignored.
            inputs: Auxiliary inputs in the order of declaration.
            start: First step, for the tape.

        Raises:
            DefinitionError: if the cell's kernel returns something invalid.
        """
        initial = tuple([state[name] for name in self.states])
        aux = (inputs,) if self.cell.inputs else ()  # an argument that only cells with inputs have
        first = params.forward_params
        if first is None:
            first = self.kernels.forward_params(params.arrays, x.ndim == 3)
        results = self.kernels.forward(first, x, initial, *aux, *self.kernels.options)
        self._check_results("forward", results, "y, last, tape")
        y, final, saved = results
        dtype = params.arrays[0].dtype
        self._check_array("output of forward", y, (*x.shape[:2], self.output_size), dtype)
        self._check_number("states from forward", self.states, final)
        for (name, shape), array in zip(self.states.items(), final, strict=True):
            self._check_array(f"state {name!r} from forward", array, (x.shape[1], *shape), dtype)
        return (
            y,
            dict(zip(self.states, final, strict=True)),
            DirectionTape(x, initial, inputs, saved, start),
        )

    def rerun(self, params: DirectionParams, tape: DirectionTape) -> DirectionTape:
        """The tape with the saved arrays, from a forward pass if it has none."""
        if tape.saved is not None:
            return tape
        x, *inputs = map(np.ascontiguousarray, (tape.x, *tape.inputs))
        state = dict(zip(self.states, tape.state, strict=True))
        return self.forward(params, x, state, tuple(inputs), tape.start)[2]

    def backward(
        self,
        params: DirectionParams,
        tape: DirectionTape,
        dy: Array,
        dfinal: Mapping[str, Array],
        needs_dx: bool = True,
    ) -> tuple[Array | None, Arrays, list[Array]]:
        """Gradients of x (None for tokens, or if not needed), the initial states, and the parameters.

        Args:
            params: Parameters and buffers.
            tape: From :meth:`forward`.
            dy: Gradient of the outputs.
            dfinal: Gradients of the final states.
            needs_dx: Whether to compute the gradient with respect to x.

        Raises:
            DefinitionError: if the cell's kernel returns something invalid.
        """
        aux = (tape.inputs,) if self.cell.inputs else ()
        first = params.backward_params
        if first is None:
            first = self.kernels.backward_params(params.arrays, tape.x.ndim == 3, needs_dx)
        else:
            assert params.needs_dx >= needs_dx  # else the kernel would read a matrix of no rows
        forward_arguments = first, tape.x, tape.state, *aux, tape.saved
        kernel_dfinal = tuple([dfinal[name] for name in self.states])
        results = self.kernels.backward(
            *forward_arguments, dy, kernel_dfinal, *self.kernels.last_backward_arguments(needs_dx)
        )
        self._check_results("backward", results, "dx, dstate, dparams")
        dx, dinitial, gradients = results
        has_dx = needs_dx and tape.x.ndim == 3
        if has_dx:
            self._check_array("gradient of the input", dx, tape.x.shape, params.arrays[0].dtype)
        self._check_number("state gradients from backward", self.states, dinitial)
        self._check_gradients(gradients)
        return dx if has_dx else None, dict(zip(self.states, dinitial, strict=True)), list(gradients)

    def _check_results(self, name: str, results: Any, expected: str) -> None:
        if not isinstance(results, tuple) or len(results) != expected.count(",") + 1:
            actual = f"{len(results)} values" if isinstance(results, tuple) else type(results).__name__
            raise DefinitionError(
                f"{self.cell.error_name()}: {name} returns {actual}; expected `return {expected}`."
            )

    def _check_array(self, what: str, array: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        # The next kernel checks nothing and would read out of bounds.
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
            actual = f"{array.dtype}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise DefinitionError(
                f"{self.cell.error_name()}: the {what} is {actual}; expected {dtype}{shape}."
            )

    def _check_gradients(self, gradients: Any) -> None:
        # In another order they would go to the wrong places of the flat vector.
        self._check_number("parameter gradients from backward", self.params, gradients)
        if [gradient.shape for gradient in gradients] != list(self.params.values()):
            expected = ", ".join(f"{name} {shape}" for name, shape in self.params.items())
            raise DefinitionError(
                f"{self.cell.error_name()}: the parameter gradients from backward have the shapes "
                f"{', '.join(str(gradient.shape) for gradient in gradients)}; expected {expected}."
            )

    def _check_number(self, what: str, names: Mapping[str, Any], arrays: Any) -> None:
        if len(arrays) != len(names):
            raise DefinitionError(
                f"{self.cell.error_name()}: {len(arrays)} {what}; expected {len(names)}, in the order of "
                f"declaration: {', '.join(names)}."
            )


def tape_elements_per_token(cell: Cell, input_size: int, hidden_size: int) -> int:
    """Elements saved for the backward pass per token, which is one time step of one row of the batch.

    Args:
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.

    Raises:
        UsageError: if the sizes do not suit the cell.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    direction = Direction(0, cell, input_size, hidden_size)
    if cell.is_derived():
        from zoo.compiler.explain import explain  # the compiler, which kernels from the cache do not need

        return int(explain(cell).saved_elements.evaluate(cell.size_values(input_size, hidden_size)))
    return _measure_tape(direction, 2) - _measure_tape(direction, 1)


def _measure_tape(direction: Direction, steps: int) -> int:
    """Elements in the tape of a sequence. Kernels of the cell itself are run as plain Python."""
    arrays, inputs = _dummy_arrays(direction.arrays), _dummy_arrays(direction.inputs, (steps, 1))
    state = dict(zip(direction.states, _dummy_arrays(direction.states, (1,)), strict=True))
    with pure_python():
        params = DirectionParams(arrays)
        *_, tape = direction.forward(params, np.zeros((steps, 1), np.int32), state, inputs)
    assert tape.saved is not None
    return sum({id(array): np.size(array) for array in tape.saved}.values())


def _dummy_arrays(shapes: Shapes, front: tuple[int, ...] = ()) -> tuple[Array, ...]:
    return tuple([np.full((*front, *shape), 0.5, np.float32) for shape in shapes.values()])
