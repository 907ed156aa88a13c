"""One layer's step as a function in C: the compiler's plan of one row, with numbers for sizes.

The schedule is that of a decoding step (``walk_pass``): matrix products, and fused element-wise loops between
them. Values that depend on parameters alone are computed here and written as constants.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zoo.compiler.codegen.expressions import ATOM, BINDING, COMPARISON, SIGN, Expressions, ExprText
from zoo.compiler.codegen.storage import ArrayVar, StorageMap
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Level, Node
from zoo.compiler.passes.simplify import fuse_accumulations, push_slices_down
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.sections import decode_schedule, step_with_copies
from zoo.errors import UsageError
from zoo.export.c.literals import c_names, c_type, number_literal
from zoo.export.c.operations import OPERATIONS, OperationTemplate
from zoo.export.exported_model import Array as Numbers
from zoo.export.exported_model import DirectionExport

# Calls, where Python has operators.
_BINDING = {**BINDING, "power": ATOM, "remainder": ATOM}


def step_for_export(equations: StepGraph) -> StepGraph:
    """The equations as they run with few arrays: sums of products grow in place, slices cost nothing."""
    equations = equations.map_nodes(fuse_accumulations(equations.outputs))
    equations = equations.map_nodes(push_slices_down(equations.outputs))
    return step_with_copies(equations)


class CStepEmitter(StorageMap):
    """A step function while it is written.

    Args:
        part: The layer.
        is_tokens: Whether its input is a token.

    Attributes:
        constants: Numbers that never change, by name.
        helpers: Names of helpers that are called.
    """

    def __init__(self, part: DirectionExport, is_tokens: bool) -> None:
        equations = step_for_export(part.step_graph)
        super().__init__(equations, decode_schedule(equations), c_names())
        self.part, self.dtype, self.is_tokens = part, part.dtype, is_tokens
        self.constants: dict[str, Numbers] = {}
        self.helpers: set[str] = set()
        self._shared = part.shared(equations.outputs)
        self.states = {name: self.names.fresh(name) for name in equations.states}
        self.inputs = {name: self.names.fresh(name) for name in equations.inputs}
        self._give_leaves()

    def _give_leaves(self) -> None:
        equations = self.step_graph
        self.give(equations.x, "x", Storage.BATCH)
        for name, node in equations.states.items():
            self.give(node, self.states[name], Storage.BATCH)
        for name, node in equations.inputs.items():
            self.give(node, self.inputs[name], Storage.BATCH)
        for name, node in equations.new_states.items():
            if node not in self.arrays:
                array = self.give(node, self.names.fresh(f"{name}_next"), Storage.BATCH)
                self.shapes[array.name] = node.shape
                self.labels[node] = self.names.fresh(f"{name}_new")
        if equations.y not in self.arrays:
            self.give(equations.y, "y", Storage.BATCH)

    @property
    def y_is_state(self) -> str:
        """The state that is the output; empty if none is."""
        after = self.step_graph.new_states.items()
        return next((name for name, node in after if node is self.step_graph.y), "")

    def array_of(self, node: Node) -> ArrayVar:
        """The array that holds a value: a constant, if parameters alone decide it."""
        if node.level != Level.ONCE:
            return super().array_of(node)
        if node not in self.arrays:
            name = self.names.fresh(f"{self.part.name}_{self._called(node)}")
            self.constants[name] = self._shared[node]
            self.give(node, name, Storage.SHARED)
        return self.arrays[node]

    def _wish(self, node: Node, store: Storage) -> str:  # noqa: ARG002 - one room for all kinds of arrays
        return self._called(node)

    def _called(self, node: Node) -> str:
        return str(node.attr) if node.op in ("param", "buffer") else super()._called(node)

    def scratch(self) -> dict[str, int]:
        """How many numbers each array holds that the function makes."""
        sizes = {array.name: array.width for array in self.arrays.values()}
        return {name: int(sizes[name].evaluate({})) for name in self.shapes}

    def call(self, helper: str) -> str:
        """The name of a helper, which is called from now on."""
        self.helpers.add(helper)
        return helper

    def row(self, node: Node) -> OperationTemplate:
        """How an operation is written.

        Raises:
            UsageError: if the table does not say.
        """
        if node.op not in OPERATIONS:
            raise UsageError(
                f"{self.part.layer.cell.label()}: its step uses {node.op}, which has no row in the table of "
                f"zoo.export.c.operations; add one."
            )
        return OPERATIONS[node.op]


class CExpressions(Expressions):
    """The expressions of one loop in C."""

    def __init__(self, step: CStepEmitter, body: Iterable[Node], stored: Iterable[Node]) -> None:
        self._step = step
        super().__init__(step, body, stored)

    def number(self, value: float) -> ExprText:
        """A constant of the type of all numbers."""
        text = number_literal(value, self._step.dtype)
        return ExprText(text, SIGN if text.startswith("-") else ATOM)

    def as_number(self, condition: str) -> str:
        """A conditional expression."""
        return f"({condition}) ? {self.number(1.0).text} : {self.number(0.0).text}"

    def assignment(self, node: Node, name: str, text: str) -> str:
        """A variable that stays what it is."""
        return f"const {'int' if node.is_bool else c_type(self._step.dtype)} {name} = {text};"

    def template(self, node: Node) -> tuple[str, int]:
        """As the table for C has it."""
        row, step = self._step.row(node), self._step
        suffix = "f" if step.dtype == np.float32 else ""
        function = step.call(row.helper) if row.helper else f"{row.function}{suffix}"
        binding = COMPARISON if node.is_bool else _BINDING.get(node.op, ATOM)
        return row.code.replace("{f}", function), binding
