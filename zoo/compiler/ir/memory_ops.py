"""Operations of matrix memories and selective scans, which compiler passes find in a step.

See :mod:`zoo.compiler.passes.matrix_memory` and :mod:`zoo.compiler.passes.selective_scan`.

They are not in the table of operations: no step contains them, only the kernels of a pass over a sequence.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Level, Node, Shape
from zoo.compiler.ir.op_table import Kind, Op

UPDATES_PER_STORED_MEMORY = 16
"""``CHUNK`` of :mod:`zoo.kernels.matrix_memory`, which imports Numba. A test compares the two."""


class Decays(enum.IntEnum):
    """Whether a step multiplies memories by factors, one for each head or one for each row."""

    NONE = 0
    HEADS = 1
    ROWS = 2


class Turns(enum.IntEnum):
    """Whether the rows of a memory turn in pairs, and whether their angles have gradients."""

    NONE = 0
    FIXED = 1
    TRAINED = 2


@dataclass(frozen=True)
class MemoryForm:
    """The form of a matrix memory (:mod:`zoo.kernels.matrix_memory`).

    Args:
        state: Name of the state.
        heads: Number of memories of a sequence.
        planes: Real matrices of a memory: two if the state is complex, else one.
        rows: Rows of one of them, over which queries sum.
        width: Columns ``D``.
        updates: Updates of a step, one after the other.
        decays: Whether an update multiplies memories by factors.
        turns: Whether an update turns them.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether the query reads the memory before the update.
        transposed: Whether the state has its columns before its rows.
    """

    state: str
    heads: Dim
    planes: int
    rows: Dim
    width: Dim
    updates: int
    decays: Decays
    turns: Turns
    has_probe: bool
    query_first: bool
    transposed: bool

    kernel = "memory"
    """The kernels are ``memory_forward`` and ``memory_backward``."""

    @property
    def depth(self) -> Dim:
        """Rows ``K`` of a memory as kernels see it: the rows of all planes."""
        return self.rows * as_dim(self.planes)

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        numbers = f"{self.heads}, {self.updates}, {self.decays.value}, {self.turns.value}"
        return f"{numbers}, {self.has_probe}, {self.query_first}"

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


@dataclass(frozen=True)
class ScanForm:
    """The form of a selective scan (:mod:`zoo.kernels.selective_scan`).

    Args:
        state: Name of the state.
        heads: Number of matrices of a sequence.
        depth: Rows ``K``, over which queries sum.
        width: Columns ``D``.
        query_first: Whether the query reads the state before the update.
        transposed: Whether the state is ``(heads, D, K)``.
    """

    state: str
    heads: Dim
    depth: Dim
    width: Dim
    query_first: bool
    transposed: bool

    kernel, planes, updates = "scan", 1, 1
    """The kernels are ``scan_forward`` and ``scan_backward``. States are real, with one update in a step."""

    @property
    def rows(self) -> Dim:
        """Rows ``K``."""
        return self.depth

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        return f"{self.heads}, {self.query_first}"

    @property
    def elements(self) -> Dim:
        """Elements of the state of one head."""
        return self.depth * self.width


def _scan(inputs: tuple[Node, ...], attr: ScanForm, shape: Shape) -> Node:
    operands, _ = inputs
    return operands.graph.node(SCAN, inputs, attr, shape, max(operands.level, Level.SEQUENCE))


def _scan_vjp(g: Node, node: Node, operands: Node, rates: Node) -> tuple[Node, Node]:
    gradient = g.graph.node(SCAN_GRADIENT, (g, operands, rates), node.attr, operands.shape)
    return gradient, g.graph.node(RATES_GRADIENT, (gradient,), node.attr, rates.shape, Level.ONCE)


SCAN = Op("read_scan", Kind.MEMORY, vjp=_scan_vjp, build=_scan, expensive=True)
"""What the query reads at a step, ``(heads, D)``, given the operands of the step and the rates."""

SCAN_GRADIENT = Op("scan_gradient", Kind.MEMORY, expensive=True)
"""The gradients of the operands of a step, given that of what the query reads, the operands and the rates."""

RATES_GRADIENT = Op("rates_gradient", Kind.OUTER, expensive=True)
"""The gradient of the rates. The kernel of its input, a ``scan_gradient``, adds it up."""


def selective_scan(operands: Node, rates: Node, form: ScanForm) -> Node:
    """Return what the query reads at every step."""
    return _scan((operands, rates), form, (form.heads, form.width))
