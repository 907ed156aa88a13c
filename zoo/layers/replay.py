"""One layer's step in NumPy, for all steps of a sequence: values that no kernel keeps, and their gradients.

What a kernel did keep, the output and the states that its way back needs, is taken from it; other states are
carried through a loop over the steps, which works out no more than they take.

Layers whose cell brings kernels and states no step: what can be traced is its states, step by step.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.frontend.traceable_values import step_graph_of
from zoo.compiler.interpreter import CompiledScan, GraphInterpreter
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.structural_ops import STATE
from zoo.compiler.passes.autodiff import step_vjp
from zoo.layers.direction import Array, Arrays, Direction, DirectionTape

Values = Iterator[tuple[slice, list[Any]]]

"""Some steps at a time: which they are, and what was wanted of them, ``(steps, B, ...)``."""


class StepReplay:
    """The step of a layer with its numbers put in.

    Args:
        layer: The layer, whose cell has a ``step``.
        arrays: Its parameters and buffers, as kernels take them.

    Raises:
        DefinitionError: if the ``step`` cannot be read.
    """

    def __init__(self, layer: Direction, arrays: tuple[Array, ...]) -> None:
        self.layer, self.arrays, self.step_graph = layer, arrays, step_graph_of(layer.cell)
        leaves = [*self.step_graph.params.values(), *self.step_graph.buffers.values()]
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        self.numbers = GraphInterpreter(dict(zip(leaves, arrays, strict=True)), sizes, arrays[0].dtype)
        self._sweeps: dict[Any, CompiledScan] = {}

    def values(self, nodes: Sequence[Node], tape: DirectionTape) -> Values:
        """Values of the step at every step, in order of time.

        Args:
            nodes: Which ones.
            tape: Of the layer's forward pass.
        """
        given = self._given(nodes, tape) | self._before(nodes, tape)
        return self._sweep(nodes, given, {})(given, {}, *tape.x.shape[:2])

    def gradients(
        self, nodes: Sequence[Node], tape: DirectionTape, dy: Array, dlast: Sequence[Array]
    ) -> Values:
        """Gradients of values of the step at every step, from the last to the first.

        Args:
            nodes: The nodes of :class:`zoo.compiler.passes.autodiff.StepVJP` that stand for them.
            tape: Of the layer's forward pass.
            dy: Gradients of the outputs, ``(T, B, ·)``.
            dlast: Gradients of the states after the last step.
        """
        back = step_vjp(self.layer.cell)
        assert back.dy is not None
        carried = {leaf: back.dstate_in[name] for name, leaf in back.dstate_out.items()}
        wanted = [*nodes, *carried.values()]
        given = self._given(wanted, tape) | self._before(wanted, tape) | {back.dy: dy}
        of_state = dict(zip(self.step_graph.states, dlast, strict=True))
        start = {leaf: of_state[name] for name, leaf in back.dstate_out.items()}
        return self._sweep(nodes, given, carried, reverse=True)(given, start, *tape.x.shape[:2])

    def new_states(self, names: Sequence[str], tape: DirectionTape) -> dict[str, Array]:
        """States after every step, ``(T, B, ...)``."""
        known = self._known(tape)
        missing = [name for name in names if name not in known]
        found = known | (self._looped(missing, known, tape) if missing else {})
        return {name: found[name] for name in names}

    def _before(self, nodes: Sequence[Node], tape: DirectionTape) -> dict[Node, Array]:
        """The states before every step that values depend on."""
        reached = set(ancestors(nodes))
        names = [name for name, leaf in self.step_graph.states.items() if leaf in reached]
        return self._shifted(self.new_states(names, tape), tape)

    def _shifted(self, after: Mapping[str, Array], tape: DirectionTape) -> dict[Node, Array]:
        """From states after every step to those before."""
        first = dict(zip(self.step_graph.states, tape.state, strict=True))
        return {
            self.step_graph.states[name]: np.concatenate([first[name][None], value])[: len(value)]
            for name, value in after.items()
        }

    def _known(self, tape: DirectionTape) -> dict[str, Array]:
        """States after every step that kernels keep, or give as the output."""
        front = tape.x.shape[:2]
        if self.layer.cell.is_derived():
            assert tape.saved is not None
            found = {name: tape.saved[place] for name, place in saved_state_slots(self.layer.cell).items()}
        else:  # only the cell knows what its kernels keep
            y, *_ = self.layer.forward(self.arrays, tape.x, self._first(tape), tape.inputs)
            found = {
                name: y for name, node in self.step_graph.new_states.items() if node is self.step_graph.y
            }
        shapes = dict(zip(self.step_graph.states, self.layer.states.values(), strict=True))
        return {name: value.reshape(*front, *shapes[name]) for name, value in found.items()}

    def _first(self, tape: DirectionTape) -> dict[str, Array]:
        """The states before the first step, by their full names."""
        return dict(zip(self.layer.states, tape.state, strict=True))

    def _looped(
        self, names: Sequence[str], known: Mapping[str, Array], tape: DirectionTape
    ) -> dict[str, Array]:
        """States after every step that only a loop finds."""
        leaves, after = self.step_graph.states, self.step_graph.new_states
        needed = _state_dependencies([after[name] for name in names], after)
        looped = [name for name in dict.fromkeys([*names, *needed]) if name not in known]
        first = dict(zip(leaves, tape.state, strict=True))
        nodes = [after[name] for name in looped]
        given = self._given(nodes, tape) | self._shifted(
            {name: known[name] for name in needed if name in known}, tape
        )
        sweep = self._sweep(nodes, given, {leaves[name]: after[name] for name in looped})
        found = {name: np.empty((len(tape.x), *first[name].shape), first[name].dtype) for name in looped}
        for part, values in sweep(given, {leaves[name]: first[name] for name in looped}, *tape.x.shape[:2]):
            for name, value in zip(looped, values, strict=True):
                found[name][part] = value
        return found

    def _sweep(
        self,
        nodes: Sequence[Node],
        given: Mapping[Node, Array],
        carried: Mapping[Node, Node],
        reverse: bool = False,
    ) -> CompiledScan:
        """How values are worked out, which is the same for every shard."""
        key = tuple(nodes), tuple(given), tuple(carried.items()), reverse
        if key not in self._sweeps:
            self._sweeps[key] = self.numbers.scan(nodes, list(given), carried, reverse)
        return self._sweeps[key]

    def _given(self, nodes: Sequence[Node], tape: DirectionTape) -> dict[Node, Array]:
        """What the step was told: x and the inputs beside it."""
        told = dict(zip(self.step_graph.inputs.values(), tape.inputs, strict=True))
        return told | {self.step_graph.x: input_as_needed(self.step_graph, nodes, tape.x, self.numbers)}


def input_as_needed(
    equations: StepGraph, nodes: Sequence[Node], x: Array, numbers: GraphInterpreter
) -> Array:
    """What values read of x: tokens where only products read them, one-hot rows where anything else does.

    Args:
        equations: The step.
        nodes: The values.
        x: Floats with an axis of features, or integer tokens.
        numbers: The layer's.
    """
    readers = {node.op for node in ancestors(nodes) if equations.x in node.inputs}
    if x.dtype.kind == "f" or (equations.x not in nodes and readers <= {"dot"}):
        return x
    return np.eye(numbers.sizes["I"], dtype=numbers.dtype)[x]


@functools.lru_cache(maxsize=256)
def saved_state_slots(cell: Cell) -> dict[str, int]:
    """The states whose course a derived kernel keeps, and where in its tape."""
    from zoo.compiler.compile import plan_kernels

    return {name: place for place, each in enumerate(plan_kernels(cell).tape) for name in each.states}


def _state_dependencies(nodes: Sequence[Node], after: Mapping[str, Node]) -> list[str]:
    """The states that values depend on, at this step or any before."""
    found: dict[str, None] = {}
    waiting = list(nodes)
    while waiting:
        reached = [node.attr for node in ancestors(waiting) if node.op == STATE]
        waiting = [after[name] for name in reached if name not in found]
        found.update(dict.fromkeys(reached))
    return list(found)


def kernel_states(layer: Direction, arrays: tuple[Array, ...], tape: DirectionTape) -> Arrays:
    """States after every step, ``(T, B, ...)``: one call of the forward pass for each."""
    now = dict(zip(layer.states, tape.state, strict=True))
    found = {name: np.empty((len(tape.x), *state.shape), state.dtype) for name, state in now.items()}
    for t in range(len(tape.x)):
        _, now, _ = layer.forward(arrays, _at(tape.x, t), now, tuple([_at(each, t) for each in tape.inputs]))
        for name, course in found.items():
            course[t] = now[name]
    return dict(zip(layer.cell.states, found.values(), strict=True))


def kernel_state_gradients(
    layer: Direction, arrays: tuple[Array, ...], tape: DirectionTape, dy: Array, dlast: Sequence[Array]
) -> Arrays:
    """Gradients of the states after every step: one call of both passes for each.

    What reads a state within the step that makes it is not known, but that the first is the output.
    """
    after = kernel_states(layer, arrays, tape)
    before = {
        name: np.concatenate([first[None], course])
        for name, first, course in zip(layer.states, tape.state, after.values(), strict=True)
    }
    found = {name: np.empty_like(course) for name, course in after.items()}
    now = dict(zip(layer.states, dlast, strict=True))
    for t in reversed(range(len(tape.x))):
        for course, gradient in zip(found.values(), now.values(), strict=True):
            course[t] = gradient
        state = {name: np.ascontiguousarray(course[t]) for name, course in before.items()}
        told = tuple([_at(each, t) for each in tape.inputs])
        *_, kept = layer.forward(arrays, _at(tape.x, t), state, told)
        _, now, _ = layer.backward(arrays, kept, _at(dy, t), now)
    next(iter(found.values()))[...] += dy
    return found


def _at(array: Array, t: int) -> Array:
    """One step of a sequence, as a sequence."""
    return np.ascontiguousarray(array[t : t + 1])
