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
        probed: Whether a step reads the memory before it writes.
        early: Whether the query reads the memory before the step.
        transposed: Whether the state is ``(heads, D, K)``.
    """

    state: str
    heads: Dim
    depth: Dim
    width: Dim
    decays: bool
    probed: bool
    early: bool
    transposed: bool

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        return f"{self.heads}, {self.decays}, {self.probed}, {self.early}"

    @property
    def elements(self) -> Dim:
        """Elements of the memory of one head."""
        return self.depth * self.width


def _memory(inputs: tuple[Node, ...], attr: MemoryForm, shape: Shape) -> Node:
    (numbers,) = inputs
    return numbers.graph.node(MEMORY, inputs, attr, shape, max(numbers.level, Level.SEQUENCE))


def _memory_vjp(g: Node, node: Node, numbers: Node) -> tuple[Node]:
    return (g.graph.node(MEMORY_GRADIENT, (g, numbers), node.attr, numbers.shape),)


MEMORY = Op("read_memory", Kind.MEMORY, vjp=_memory_vjp, build=_memory, expensive=True)
"""What the query reads at a step, ``(heads, D)``, given the numbers of the step, ``(heads, ...)``."""

MEMORY_GRADIENT = Op("memory_gradient", Kind.MEMORY, expensive=True)
"""The gradients of the numbers of a step, given the gradient of what the query reads and the numbers."""


def matrix_memory(numbers: Node, form: Any) -> Node:
    """Return what the query reads at every step."""
    return _memory((numbers,), form, (form.heads, form.width))
