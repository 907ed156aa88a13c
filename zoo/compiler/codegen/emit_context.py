"""State of one generated kernel while its lines are emitted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import NamedTuple

from zoo.compiler.codegen.array_variables import BLOCK, BLOCK_IN_FULL_ARRAY, ArrayVar, FunctionVariables
from zoo.compiler.codegen.writer import ARRAY_SUFFIXES, Names, NumberVars, Writer
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.dims import quotients_of
from zoo.compiler.ir.graph import Node, view_of
from zoo.compiler.ir.structural_ops import swaps_last_axes, transpose_last
from zoo.compiler.schedule.fusion import ArrayLayout
from zoo.compiler.schedule.sections import PassSchedule

_SUFFIXES = {
    ArrayLayout.STEPS: "_all",
    ArrayLayout.BATCH: "_step",
    ArrayLayout.ROW: "_row",
    ArrayLayout.SHARED: "",
}


class MemoryArrays(NamedTuple):
    """Variables of a matrix memory or a selective scan.

    Args:
        state: The states after the last step that has been computed, or their gradients.
        saved: The states before each chunk of steps, which are on the tape.
        dfactors: The gradient of the fixed factors of a scan.
    """

    state: str
    saved: str
    dfactors: str


_MEMORY_ARRAYS = "{}", "{}_memories", "{}_dfactors"


class LeafNames:
    """Variables of the caller's arrays, of states and of their gradients, by the declared name.

    Args:
        step_graph: The traced step.
        names: Names of the function.
        input_suffix: Suffix of the dense input and of auxiliary inputs with one axis for each sequence.
    """

    def __init__(self, step_graph: StepGraph, names: Names, input_suffix: str) -> None:
        self._variables: dict[tuple[str, str], str] = {}
        self._names, self._input_suffix = names, input_suffix
        for name in (*step_graph.params, *step_graph.buffers, *step_graph.inputs):
            self.declared(name)  # the plain names come first
        for name in step_graph.states:
            for variable in (
                self.initial_state,
                self.state_before,
                self.dstate,
                self.dstate_before,
                self.dlast,
            ):
                variable(name)
        for name in (*step_graph.inputs, "x"):
            self.flat_input(name)

    def declared(self, name: str) -> str:
        """A parameter, a buffer or an auxiliary input, as the caller passes it."""
        return self._variable("{}", name)

    def initial_state(self, name: str) -> str:
        """A state before the first step."""
        return self._variable("{}_0", name)

    def state_before(self, name: str) -> str:
        """A state before a step."""
        return self._variable("{}_before", name)

    def dstate(self, name: str) -> str:
        """The gradient of a state after a step."""
        return self._variable("d{}", name)

    def dstate_before(self, name: str) -> str:
        """The gradient of a state before a step."""
        return self._variable("d{}_before", name)

    def dlast(self, name: str) -> str:
        """The gradient of a state after the last step."""
        return self._variable("dlast_{}", name)

    def flat_input(self, name: str) -> str:
        """The dense input, or an auxiliary input, with one axis for each sequence."""
        return self._variable("{}" + self._input_suffix, name)

    def _variable(self, pattern: str, name: str) -> str:
        key = (pattern, name)
        if key not in self._variables:
            self._variables[key] = self._names.fresh(pattern.format(name), ARRAY_SUFFIXES)
        return self._variables[key]


class EmitContext(FunctionVariables):
    """Names, arrays and collected lines of one kernel, for the emitters of its parts.

    Args:
        name: Name of the kernel.
        step_graph: The traced step.
        schedule: The pass.
        value_names: Names of the values.
        taken: Reserved names.
        by_blocks: Whether the kernel runs block after block of steps, and allocates arrays for one block.

    Attributes:
        loops: Lines of each loop that became a function.
        input_layout: Kind of array of x and of auxiliary inputs.
        leaf_names: Variables of the arrays of the caller, of states and of their gradients.
        zeroed: Arrays that are allocated with zeros.
        set_by_products: Arrays whose values the first product replaces: sums over rows, and dx.
        assigned: Arrays that a kernel returns.
        states_before: For arrays of states before a step: the line that selects those of step ``time``.
        trajectories: For the same arrays: the initial states, and the states after every step.
        rows_before: For the same arrays: the variable of the states before the steps of a block.
        states_after: For the gradients of delays after a step: the line that selects those of step ``time``.
        step_lines: Lines at the start of every step.
        setup: Variables of input weights and biases, and their expressions.
        dx_writer: Lines that only the gradient of x needs.
        packed: Variables of packed matrices.
        packed_for_dx: Matrices that only the gradient of x multiplies by.
        memories: Arrays of matrix memories, by state.
    """

    input_layout = ArrayLayout.STEPS

    def __init__(
        self,
        name: str,
        step_graph: StepGraph,
        schedule: PassSchedule,
        value_names: ValueNames,
        taken: Collection[str] = (),
        by_blocks: bool = False,
    ) -> None:
        super().__init__(step_graph, schedule, Names(), value_names)
        self.name, self.by_blocks = name, False
        if by_blocks:
            self.begin_blocks()
        options = step_graph.size_options
        self.names.taken |= {*options, *(quotient.name for quotient in quotients_of(options))}
        self.names.taken |= {name + suffix for name in (*taken, "dy", "dx") for suffix in ARRAY_SUFFIXES}
        self.leaf_names = LeafNames(step_graph, self.names, _SUFFIXES[self.input_layout])
        self.numbers = NumberVars(self.names, _option_names(step_graph))
        self.loops: list[list[str]] = []
        self.zeroed: set[str] = set()
        self.set_by_products: set[str] = set()
        self.assigned: set[str] = set()
        self.states_before: dict[str, str] = {}
        self.trajectories: dict[str, tuple[str, str]] = {}
        self.rows_before: dict[str, str] = {}
        self.states_after: dict[str, str] = {}
        self.step_lines: list[str] = []
        self.setup: dict[str, str] = {}
        self.dx_writer = Writer(depth=2)
        self.packed: dict[Node, str] = {}
        self.packed_for_dx: set[Node] = set()
        self.memories = {
            state: MemoryArrays(*(self.names.fresh(name.format(state)) for name in _MEMORY_ARRAYS))
            for state in step_graph.memories
        }

    def begin_blocks(self, outputs: Iterable[Node] = ()) -> None:
        """Emit for one block of steps from now on; the outputs and all arrays so far have rows for all steps.

        Args:
            outputs: Values whose arrays have rows for all steps.
        """
        for node in outputs:
            self.array_of(node)
        self.by_blocks, self.caller_time, self.local_time = True, BLOCK_IN_FULL_ARRAY, BLOCK
        self.arrays = {node: replace(array, time=self.caller_time) for node, array in self.arrays.items()}

    @property
    def x(self) -> str:
        """Expression for the input of the steps that are computed together."""
        return self.caller_time.active_steps("x")

    @property
    def like(self) -> str:
        """An array that has the kernel's dtype."""
        params, states, names = self.step_graph.params, self.step_graph.states, self.leaf_names
        return names.declared(next(iter(params))) if params else names.initial_state(next(iter(states)))

    def _preferred_name(self, node: Node, layout: ArrayLayout) -> str:
        is_block = layout == ArrayLayout.STEPS and self.local_time is BLOCK
        return f"{self._base_name(node)}{'_block' if is_block else _SUFFIXES[layout]}"

    def _allocate(self, node: Node, layout: ArrayLayout) -> ArrayVar:
        array = super()._allocate(node, layout)
        if node.op.sums_rows:
            self.zeroed.add(array.name)
        return array

    def panels(self, w: Node, for_dx: bool = False) -> str:
        """The variable of a packed matrix, which is packed once for all loops.

        Args:
            w: The matrix.
            for_dx: Whether this product is part of the gradient of x alone.
        """
        if not for_dx:
            self.packed_for_dx.discard(w)
        elif w not in self.packed:
            self.packed_for_dx.add(w)
        if w not in self.packed:
            matrix = transpose_last(w) if swaps_last_axes(w) else w
            view = view_of(matrix)
            assert view is not None  # insert_copies.py made sure of it
            name = self.array_of(view.base).name
            self.packed[w] = self.names.fresh(f"{name}_{'transposed' if matrix is not w else 'packed'}")
        return self.packed[w]


def _option_names(step_graph: StepGraph) -> dict[str, str]:
    """Names of options by the text of their number, where only one option has it."""
    names_by_text: dict[str, list[str]] = {}
    for name, value in step_graph.cell.options.items():
        if isinstance(value, float):
            names_by_text.setdefault(repr(value), []).append(name)
    return {text: names[0] for text, names in names_by_text.items() if len(names) == 1}
