"""One layer's step as a function in C: the compiler's plan of one row, with numbers for sizes.

The schedule is that of a decoding step (``walk_pass``): matrix products, and fused element-wise loops between
them. Values that depend on parameters alone are computed here and written as constants.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zoo.compiler.codegen.expressions import ATOM, COMPARISON, PRECEDENCE, SIGN, Expressions, ExprText
from zoo.compiler.codegen.storage import ArrayVar, StorageMap
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Level, Node
from zoo.compiler.ir.structural_ops import BUFFER, PARAM
from zoo.compiler.passes.simplify import fuse_accumulations, push_slices_down
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.sections import decode_schedule, step_with_copies
from zoo.errors import UsageError
from zoo.export.c.literals import c_names, c_type, number_literal
from zoo.export.c.operations import OPERATIONS, OperationTemplate
from zoo.export.exported_model import Array as Numbers
from zoo.export.exported_model import DirectionExport

# C calls functions where Python has operators.
_PRECEDENCE = {**PRECEDENCE, "power": ATOM, "remainder": ATOM}


def step_for_export(step_graph: StepGraph) -> StepGraph:
    """Rewrite the step for few arrays: sums of products accumulate in place, slices cost nothing."""
    step_graph = step_graph.map_nodes(fuse_accumulations(step_graph.outputs))
    step_graph = step_graph.map_nodes(push_slices_down(step_graph.outputs))
    return step_with_copies(step_graph)


class CStepEmitter(StorageMap):
    """Names and arrays of a step function.

    Args:
        direction: The layer direction.
        is_tokens: Whether its input is a token.

    Attributes:
        constants: Constant arrays by name.
        helpers: Names of the helpers that it calls.
    """

    def __init__(self, direction: DirectionExport, is_tokens: bool) -> None:
        step_graph = step_for_export(direction.step_graph)
        super().__init__(step_graph, decode_schedule(step_graph), c_names(), step_graph.value_names())
        self.direction, self.dtype, self.is_tokens = direction, direction.dtype, is_tokens
        self.constants: dict[str, Numbers] = {}
        self.helpers: set[str] = set()
        self._shared = direction.folded(step_graph.outputs)
        self.states = {name: self.names.fresh(name) for name in step_graph.states}
        self.inputs = {name: self.names.fresh(name) for name in step_graph.inputs}
        self._bind_leaves()

    def _bind_leaves(self) -> None:
        step_graph = self.step_graph
        self.bind(step_graph.x, "x", Storage.BATCH)
        for name, node in step_graph.states.items():
            self.bind(node, self.states[name], Storage.BATCH)
        for name, node in step_graph.inputs.items():
            self.bind(node, self.inputs[name], Storage.BATCH)
        for name, node in step_graph.new_states.items():
            if node not in self.arrays:
                array = self.bind(node, self.names.fresh(f"{name}_next"), Storage.BATCH)
                self.shapes[array.name] = node.shape
                self.variables[node] = self.names.fresh(f"{name}_new")
        if step_graph.y not in self.arrays:
            self.bind(step_graph.y, "y", Storage.BATCH)

    @property
    def y_is_state(self) -> str:
        """The state that is the output; empty if there is none."""
        after = self.step_graph.new_states.items()
        return next((name for name, node in after if node is self.step_graph.y), "")

    def array_of(self, node: Node) -> ArrayVar:
        """The array that holds a value; a constant if it depends on parameters alone."""
        if node.level != Level.ONCE:
            return super().array_of(node)
        if node not in self.arrays:
            name = self.names.fresh(f"{self.direction.name}_{self._base_name(node)}")
            self.constants[name] = self._shared[node]
            self.bind(node, name, Storage.SHARED)
        return self.arrays[node]

    def _preferred_name(self, node: Node, storage: Storage) -> str:  # noqa: ARG002 - one name for all kinds of arrays
        return self._base_name(node)

    def _base_name(self, node: Node) -> str:
        return str(node.attr) if node.op in (PARAM, BUFFER) else super()._base_name(node)

    def scratch(self) -> dict[str, int]:
        """Number of elements of each array that the function allocates."""
        sizes = {array.name: array.width for array in self.arrays.values()}
        return {name: int(sizes[name].evaluate({})) for name in self.shapes}

    def call(self, helper: str) -> str:
        """Register a helper; its name."""
        self.helpers.add(helper)
        return helper

    def operation(self, node: Node) -> OperationTemplate:
        """The template of an operation.

        Raises:
            UsageError: if it has none.
        """
        if node.op not in OPERATIONS:
            raise UsageError(
                f"{self.direction.spec.cell.label()}: its step uses {node.op}, which has no row in the table "
                f"of zoo.export.c.operations; add one."
            )
        return OPERATIONS[node.op]


class CExpressions(Expressions):
    """The expressions of one loop in C."""

    def __init__(self, step: CStepEmitter, body: Iterable[Node], stored: Iterable[Node]) -> None:
        self._step = step
        super().__init__(step, body, stored)

    def number(self, value: float) -> ExprText:
        """A literal of the model's dtype."""
        text = number_literal(value, self._step.dtype)
        return ExprText(text, SIGN if text.startswith("-") else ATOM)

    def as_number(self, condition: str) -> str:
        """A conditional expression."""
        return f"({condition}) ? {self.number(1.0).text} : {self.number(0.0).text}"

    def assignment(self, node: Node, name: str, text: str) -> str:
        """A constant variable."""
        return f"const {'int' if node.is_bool else c_type(self._step.dtype)} {name} = {text};"

    def template(self, node: Node) -> tuple[str, int]:
        """The template in the table for C."""
        operation, step = self._step.operation(node), self._step
        suffix = "f" if step.dtype == np.float32 else ""
        function = step.call(operation.helper) if operation.helper else f"{operation.function}{suffix}"
        precedence = COMPARISON if node.is_bool else _PRECEDENCE.get(node.op, ATOM)
        return operation.code.replace("{f}", function), precedence
