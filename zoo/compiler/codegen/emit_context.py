"""State of one generated kernel while its lines are emitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.compiler.codegen.array_variables import BLOCK, BLOCK_OF_ALL, ArrayVar, FunctionVariables
from zoo.compiler.codegen.writer import ARRAY_SUFFIXES, Names, NumberVars, Writer
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.graph import Node, view_of
from zoo.compiler.ir.structural_ops import TRANSPOSE, transpose_last
from zoo.compiler.schedule.fusion import ArrayLayout
from zoo.compiler.schedule.sections import PassSchedule

_SUFFIXES = {
    ArrayLayout.STEPS: "_all",
    ArrayLayout.BATCH: "_now",
    ArrayLayout.ROW: "_here",
    ArrayLayout.SHARED: "",
}


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
        leaf_names: Arrays of the caller, of states and of their gradients, by pattern and declared name.
        zeroed: Arrays that are allocated with zeros.
        assigned: Arrays that a kernel returns.
        states_before: For arrays of states before a step: the line that selects those of step ``time``.
        trajectories: For the same arrays: the initial states, and the states after every step.
        step_lines: Lines at the start of every step.
        dx_writer: Lines that only the gradient of x needs.
        packed: Variables of packed matrices.
    """

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
        self.name, self.by_blocks = name, by_blocks
        if by_blocks:
            self.caller_time, self.local_time = BLOCK_OF_ALL, BLOCK
        self.names.taken |= {name + suffix for name in (*taken, "dy", "dx") for suffix in ARRAY_SUFFIXES}
        self.leaf_names = {
            key: self.names.fresh(key[0].format(key[1]), ARRAY_SUFFIXES) for key in _leaf_patterns(step_graph)
        }
        self.numbers = NumberVars(self.names, _option_names(step_graph))
        self.loops: list[list[str]] = []
        self.zeroed: set[str] = set()
        self.assigned: set[str] = set()
        self.states_before: dict[str, str] = {}
        self.trajectories: dict[str, tuple[str, str]] = {}
        self.step_lines: list[str] = []
        self.dx_writer = Writer(depth=3)
        self.packed: dict[Node, str] = {}

    @property
    def x(self) -> str:
        """Expression for the input of the steps that are computed together."""
        return self.caller_time.active_steps("x")

    @property
    def like(self) -> str:
        """An array that has the kernel's dtype."""
        params, states = self.step_graph.params, self.step_graph.states
        first = [*(("{}", name) for name in params), *(("{}_0", name) for name in states)]
        return self.leaf_names[first[0]]

    def _preferred_name(self, node: Node, layout: ArrayLayout) -> str:
        return f"{self._base_name(node)}{_SUFFIXES[layout]}"

    def _allocate(self, node: Node, layout: ArrayLayout) -> ArrayVar:
        array = super()._allocate(node, layout)
        if node.op.sums_rows:
            self.zeroed.add(array.name)
        return array

    def panels(self, w: Node) -> str:
        """The variable of a packed matrix, which is packed once, before the loops."""
        if w not in self.packed:
            matrix = transpose_last(w) if w.op == TRANSPOSE else w
            view = view_of(matrix)
            assert view is not None  # insert_copies.py made sure of it
            name = self.array_of(view.base).name
            self.packed[w] = self.names.fresh(f"{name}_{'transposed' if matrix is not w else 'packed'}")
        return self.packed[w]


def _leaf_patterns(step_graph: StepGraph) -> Iterator[tuple[str, str]]:
    """Patterns of names with the declared name they are for; the plain names come first."""
    yield from (("{}", name) for name in (*step_graph.params, *step_graph.buffers, *step_graph.inputs))
    for name in step_graph.states:
        yield from ((form, name) for form in ("{}_0", "{}_before", "d{}", "d{}_before", "dlast_{}"))
    yield from (("{}_all", name) for name in (*step_graph.inputs, "x"))


def _option_names(step_graph: StepGraph) -> dict[str, str]:
    """Names of options by the text of their number, where only one option has it."""
    names_by_text: dict[str, list[str]] = {}
    for name, value in step_graph.cell.options.items():
        if isinstance(value, float):
            names_by_text.setdefault(repr(value), []).append(name)
    return {text: names[0] for text, names in names_by_text.items() if len(names) == 1}
