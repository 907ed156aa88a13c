"""Operations of a matrix memory, which :mod:`zoo.compiler.passes.matrix_memory` finds in a step.

They are not in the table of operations: no step contains them, only the kernels of a pass over a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.compiler.ir.dims import Dim
from zoo.compiler.ir.graph import Level, Node, Shape
from zoo.compiler.ir.op_table import Kind, Op

STEPS_PER_STORED_MEMORY = 16
"""``CHUNK`` of :mod:`zoo.kernels.matrix_memory`, which imports Numba. A test compares the two."""


@dataclass(frozen=True)
class MemoryForm:
    """The form of a matrix memory (:mod:`zoo.kernels.matrix_memory`).

    Args:
        state: Name of the state.
        heads: Number of memories of a sequence.
        depth: Rows ``K``, over which queries sum.
        width: Columns ``D``.
        decays: Whether a step multiplies the rows by factors.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether the query reads the memory before the update.
        transposed: Whether the state is ``(heads, D, K)``.
    """

    state: str
    heads: Dim
    depth: Dim
    width: Dim
    decays: bool
    has_probe: bool
    query_first: bool
    transposed: bool

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        return f"{self.heads}, {self.decays}, {self.has_probe}, {self.query_first}"

    @property
    def elements(self) -> Dim:
        """Elements of the memory of one head."""
        return self.depth * self.width


def _memory(inputs: tuple[Node, ...], attr: MemoryForm, shape: Shape) -> Node:
    (operands,) = inputs
    return operands.graph.node(MEMORY, inputs, attr, shape, max(operands.level, Level.SEQUENCE))


def _memory_vjp(g: Node, node: Node, operands: Node) -> tuple[Node]:
    return (g.graph.node(MEMORY_GRADIENT, (g, operands), node.attr, operands.shape),)


MEMORY = Op("read_memory", Kind.MEMORY, vjp=_memory_vjp, build=_memory, expensive=True)
"""What the query reads at a step, ``(heads, D)``, given the operands of the step, ``(heads, ...)``."""

MEMORY_GRADIENT = Op("memory_gradient", Kind.MEMORY, expensive=True)
"""The gradients of the operands of a step, given the gradient of what the query reads and the operands."""


def matrix_memory(operands: Node, form: Any) -> Node:
    """Return what the query reads at every step."""
    return _memory((operands,), form, (form.heads, form.width))
