"""Replay a step in NumPy over a sequence: values that no kernel saves, and their gradients.

The output and the saved states come from the tape. Other states need a loop over the steps, which computes
only what they depend on. For cells with kernels and no step, only the states can be traced, with one call of
the kernels for each step.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph, step_graph_of
from zoo.compiler.interpreter import GraphInterpreter, PreparedScan
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.structural_ops import STATE
from zoo.compiler.passes.autodiff import step_vjp
from zoo.layers.direction import Direction, DirectionParams, DirectionTape

Values = Iterator[tuple[slice, list[Any]]]
"""Blocks of steps with the values of the requested nodes, ``(steps, B, ...)``."""


class StepReplay:
    """Evaluates the step of a direction over a sequence.

    Args:
        direction: The direction; its cell has a ``step``.
        arrays: Its parameters and buffers, as kernels take them.

    Raises:
        DefinitionError: if the ``step`` cannot be read.
    """

    def __init__(self, direction: Direction, arrays: tuple[Array, ...]) -> None:
        self.direction, self.arrays, self.step_graph = direction, arrays, step_graph_of(direction.cell)
        leaves = [*self.step_graph.params.values(), *self.step_graph.buffers.values()]
        sizes = {"I": direction.input_size, "H": direction.hidden_size}
        self.interpreter = GraphInterpreter(dict(zip(leaves, arrays, strict=True)), sizes, arrays[0].dtype)
        self._scans: dict[Any, PreparedScan] = {}

    def values(self, nodes: Sequence[Node], tape: DirectionTape) -> Values:
        """Values of the step at every step, in order of time.

        Args:
            nodes: The values.
            tape: Tape of the direction.
        """
        leaf_values = self._step_inputs(nodes, tape) | self._states_before_steps(nodes, tape)
        return self._scan(nodes, leaf_values, {})(leaf_values, {}, *tape.x.shape[:2])

    def gradients(
        self, nodes: Sequence[Node], tape: DirectionTape, dy: Array, dfinal: Sequence[Array]
    ) -> Values:
        """Gradients of values of the step at every step, from the last to the first.

        Args:
            nodes: Nodes of :class:`zoo.compiler.passes.autodiff.StepVJP` for the gradients.
            tape: Tape of the direction.
            dy: Gradients of the outputs, ``(T, B, ·)``.
            dfinal: Gradients of the final states.
        """
        back = step_vjp(self.direction.cell)
        assert back.dy is not None
        carry = {leaf: back.dstate_in[name] for name, leaf in back.dstate_out.items()}
        wanted = [*nodes, *carry.values()]
        leaf_values = (
            self._step_inputs(wanted, tape) | self._states_before_steps(wanted, tape) | {back.dy: dy}
        )
        of_state = dict(zip(self.step_graph.states, dfinal, strict=True))
        start = {leaf: of_state[name] for name, leaf in back.dstate_out.items()}
        return self._scan(nodes, leaf_values, carry, reverse=True)(leaf_values, start, *tape.x.shape[:2])

    def new_states(self, names: Sequence[str], tape: DirectionTape) -> dict[str, Array]:
        """States after every step, ``(T, B, ...)``."""
        known = self._saved_states(tape)
        missing = [name for name in names if name not in known]
        states = known | (self._scan_missing_states(missing, known, tape) if missing else {})
        return {name: states[name] for name in names}

    def _states_before_steps(self, nodes: Sequence[Node], tape: DirectionTape) -> dict[Node, Array]:
        """States before every step, of those that the nodes depend on."""
        reached = set(ancestors(nodes))
        names = [name for name, leaf in self.step_graph.states.items() if leaf in reached]
        return self._states_before(self.new_states(names, tape), tape)

    def _states_before(self, after: Mapping[str, Array], tape: DirectionTape) -> dict[Node, Array]:
        """Convert states after every step to states before every step."""
        initial = dict(zip(self.step_graph.states, tape.state, strict=True))
        return {
            self.step_graph.states[name]: np.concatenate([initial[name][None], value])[: len(value)]
            for name, value in after.items()
        }

    def _saved_states(self, tape: DirectionTape) -> dict[str, Array]:
        """States after every step that kernels save, or return as the output."""
        front = tape.x.shape[:2]
        if self.direction.cell.is_derived():
            assert tape.saved is not None
            states = {name: tape.saved[slot] for name, slot in saved_state_slots(self.direction.cell).items()}
        else:  # the meaning of what its kernels save is unknown
            y, *_ = self.direction.forward(
                DirectionParams(self.arrays), tape.x, self._initial_states(tape), tape.inputs
            )
            states = {
                name: y for name, node in self.step_graph.new_states.items() if node is self.step_graph.y
            }
        shapes = dict(zip(self.step_graph.states, self.direction.states.values(), strict=True))
        return {name: value.reshape(*front, *shapes[name]) for name, value in states.items()}

    def _initial_states(self, tape: DirectionTape) -> dict[str, Array]:
        return dict(zip(self.direction.states, tape.state, strict=True))

    def _scan_missing_states(
        self, names: Sequence[str], known: Mapping[str, Array], tape: DirectionTape
    ) -> dict[str, Array]:
        """States after every step that need a loop."""
        leaves, after = self.step_graph.states, self.step_graph.new_states
        needed = _state_dependencies([after[name] for name in names], after)
        missing = [name for name in dict.fromkeys([*names, *needed]) if name not in known]
        initial = dict(zip(leaves, tape.state, strict=True))
        nodes = [after[name] for name in missing]
        leaf_values = self._step_inputs(nodes, tape) | self._states_before(
            {name: known[name] for name in needed if name in known}, tape
        )
        scan = self._scan(nodes, leaf_values, {leaves[name]: after[name] for name in missing})
        states = {
            name: np.empty((len(tape.x), *initial[name].shape), initial[name].dtype) for name in missing
        }
        for steps, values in scan(
            leaf_values, {leaves[name]: initial[name] for name in missing}, *tape.x.shape[:2]
        ):
            for name, value in zip(missing, values, strict=True):
                states[name][steps] = value
        return states

    def _scan(
        self,
        nodes: Sequence[Node],
        leaf_values: Mapping[Node, Array],
        carry: Mapping[Node, Node],
        reverse: bool = False,
    ) -> PreparedScan:
        """The prepared loop over the steps, shared by all shards."""
        key = tuple(nodes), tuple(leaf_values), tuple(carry.items()), reverse
        if key not in self._scans:
            self._scans[key] = self.interpreter.scan(nodes, list(leaf_values), carry, reverse)
        return self._scans[key]

    def _step_inputs(self, nodes: Sequence[Node], tape: DirectionTape) -> dict[Node, Array]:
        """Values of x and the auxiliary inputs."""
        aux_inputs = dict(zip(self.step_graph.inputs.values(), tape.inputs, strict=True))
        return aux_inputs | {
            self.step_graph.x: input_as_needed(self.step_graph, nodes, tape.x, self.interpreter)
        }


def input_as_needed(
    step_graph: StepGraph, nodes: Sequence[Node], x: Array, interpreter: GraphInterpreter
) -> Array:
    """Tokens if only matrix products read x, one-hot rows otherwise.

    Args:
        step_graph: The step.
        nodes: The values.
        x: Floats with an axis of features, or integer tokens.
        interpreter: The interpreter of the direction.
    """
    readers = {node.op for node in ancestors(nodes) if step_graph.x in node.inputs}
    if x.dtype.kind == "f" or (step_graph.x not in nodes and readers <= {"dot"}):
        return x
    return np.eye(interpreter.sizes["I"], dtype=interpreter.dtype)[x]


@functools.lru_cache(maxsize=256)
def saved_state_slots(cell: Cell) -> dict[str, int]:
    """Index in the tape of each state whose trajectory a derived kernel saves."""
    from zoo.compiler.compile import plan_kernels

    return {name: slot for slot, each in enumerate(plan_kernels(cell).tape) for name in each.states}


def _state_dependencies(nodes: Sequence[Node], after: Mapping[str, Node]) -> list[str]:
    """States that nodes depend on, at this step or any before."""
    states: dict[str, None] = {}
    pending = list(nodes)
    while pending:
        reached = [node.attr for node in ancestors(pending) if node.op == STATE]
        pending = [after[name] for name in reached if name not in states]
        states.update(dict.fromkeys(reached))
    return list(states)


def kernel_states(direction: Direction, arrays: tuple[Array, ...], tape: DirectionTape) -> Arrays:
    """States after every step, ``(T, B, ...)``, with one call of the forward kernel for each step."""
    params = DirectionParams(arrays)
    state = dict(zip(direction.states, tape.state, strict=True))
    trajectories = {name: np.empty((len(tape.x), *value.shape), value.dtype) for name, value in state.items()}
    for t in range(len(tape.x)):
        inputs = tuple([_at(each, t) for each in tape.inputs])
        _, state, _ = direction.forward(params, _at(tape.x, t), state, inputs)
        for name, trajectory in trajectories.items():
            trajectory[t] = state[name]
    return dict(zip(direction.cell.states, trajectories.values(), strict=True))


def kernel_state_gradients(
    direction: Direction, arrays: tuple[Array, ...], tape: DirectionTape, dy: Array, dfinal: Sequence[Array]
) -> Arrays:
    """Gradients of the states after every step, with one call of both kernels for each step.

    The first state is the output; other uses of a new state within its own step are unknown.
    """
    params = DirectionParams(arrays)
    after = kernel_states(direction, arrays, tape)
    before = {
        name: np.concatenate([initial[None], trajectory])
        for name, initial, trajectory in zip(direction.states, tape.state, after.values(), strict=True)
    }
    gradients = {name: np.empty_like(trajectory) for name, trajectory in after.items()}
    dstate = dict(zip(direction.states, dfinal, strict=True))
    for t in reversed(range(len(tape.x))):
        for trajectory, gradient in zip(gradients.values(), dstate.values(), strict=True):
            trajectory[t] = gradient
        state = {name: np.ascontiguousarray(trajectory[t]) for name, trajectory in before.items()}
        aux_inputs = tuple([_at(each, t) for each in tape.inputs])
        *_, step_tape = direction.forward(params, _at(tape.x, t), state, aux_inputs)
        _, dstate, _ = direction.backward(params, step_tape, _at(dy, t), dstate, needs_dx=False)
    next(iter(gradients.values()))[...] += dy
    return gradients


def _at(array: Array, t: int) -> Array:
    """One step of a sequence, as a sequence."""
    return np.ascontiguousarray(array[t : t + 1])
