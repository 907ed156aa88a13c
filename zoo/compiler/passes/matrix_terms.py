"""Terms of matrices: a matrix as a sum of products of vectors and of a state.

A vector varies along the heads and the rows, along the heads and the columns, or along the heads alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, Dim, product
from zoo.compiler.ir.elementwise_ops import ADD, DIVIDE, MULTIPLY, NEGATIVE, SUBTRACT
from zoo.compiler.ir.graph import Graph, Node, Shape
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BROADCAST, RESHAPE, TRANSPOSE
from zoo.compiler.passes.state_matcher import NoMatch

Order: TypeAlias = tuple[int, ...]


# A matrix with more terms has none of the known forms.
_MAX_TERMS = 8


@dataclass(frozen=True)
class MatrixTerm:
    """A term of a matrix: a product of factors, and of a matrix of the state if it has a core.

    Args:
        core: A matrix of the state before the step, between two updates or after the step, or None.
        head: Factor of a head, ``(heads, 1)``; None for one.
        row: Factors of the rows, ``(heads, R)``.
        column: Factors of the columns, ``(heads, C)``.
        elements: Factors of the elements, ``(heads, R, C)``.
        number: Another factor.
    """

    core: Node | None = None
    head: Node | None = None
    row: Node | None = None
    column: Node | None = None
    elements: Node | None = None
    number: float = 1.0

    def negated(self) -> MatrixTerm:
        """The term times -1."""
        return replace(self, number=-self.number)

    def split(self, by_column: bool) -> tuple[Node | None, Node | None]:
        """The factors along the columns and the rows, or along the rows and the columns.

        Raises:
            NoMatch: if the elements have factors of their own.
        """
        if self.elements is not None:
            raise NoMatch("each of its elements has a factor of its own")
        return (self.column, self.row) if by_column else (self.row, self.column)


def times(a: Node | None, b: Node | None) -> Node | None:
    """The product of two factors; None is one."""
    return b if a is None else a if b is None else a * b


class MatrixTerms:
    """Expands matrices of the shape of a state into terms.

    Args:
        shape: Axes of the heads, rows and columns.
        graph: The graph of the step.
        elements: Returns a matrix as factors of the elements ``(heads, R, C)``, given the order of its axes;
            or None, for other matrices.

    Attributes:
        cores: Matrices of the state that other matrices are expressed by, and the order of their axes.
    """

    def __init__(self, shape: Shape, graph: Graph, elements: Callable[[Node, Order], Node | None]) -> None:
        *lead, self.rows, self.columns = shape
        self.heads = product(lead)
        self.axes = [dim for dim in shape if dim != ONE]
        self.graph, self._elements = graph, elements
        self.cores: dict[Node, Order] = {}
        self._orders: dict[Node, Order | None] = {}

    # Axes.

    def is_matrix(self, node: Node) -> bool:
        """Whether a value has the axes of the state, in any order."""
        return Counter(dim for dim in node.shape if dim != ONE) == Counter(self.axes)

    def _long_axes(self, node: Node) -> list[int]:
        if not self.is_matrix(node):
            raise NoMatch("a part of it is read")
        return [axis for axis, dim in enumerate(node.shape) if dim != ONE]

    def positions(self, node: Node, order: Order) -> list[int]:
        """The axes of a matrix that are the heads, the rows and the columns."""
        axes = self._long_axes(node)
        return [axes[index] for index in order]

    def canonical(self, node: Node, order: Order) -> Node:
        """A matrix as ``(heads, R, C)``."""
        positions = self.positions(node, order)
        short = [axis for axis in range(node.ndim) if axis not in positions]
        return ops.reshape(ops.transpose(node, (*short, *positions)), (self.heads, self.rows, self.columns))

    def order(self, node: Node) -> Order | None:
        """The order of the long axes of a matrix: heads, rows and columns; None without the state in it."""
        if node not in self._orders:
            self._orders[node] = self._find_order(node)
        return self._orders[node]

    def add_core(self, node: Node) -> Node:
        """Add a matrix of the state, and return it without the views around it."""
        order = tuple(range(len(self.axes)))
        while node.op in (RESHAPE, TRANSPOSE):
            order = self._order_inside(node, order)
            node = node.inputs[0]
        self.cores[node] = order
        return node

    def add_product(self, node: Node) -> Node:
        """Add a matrix that depends on the state, and return it."""
        order = self.order(node)
        if order is None:
            raise NoMatch("its axes are mixed by a reshape")
        self.cores[node] = order
        return node

    def _order_inside(self, node: Node, order: Order) -> Order:
        """The order of the axes of the input of a reshape or transpose."""
        own, inner = self._long_axes(node), self._long_axes(node.inputs[0])
        if node.op == TRANSPOSE:
            return tuple(inner.index(node.attr[own[index]]) for index in order)
        if [node.shape[axis] for axis in own] != [node.inputs[0].shape[axis] for axis in inner]:
            # Such as (3, H) to (H, 3), which is no transpose.
            raise NoMatch("its axes are mixed by a reshape")
        return order

    def _find_order(self, node: Node) -> Order | None:
        if node in self.cores:
            return self.cores[node]
        if node.op == RESHAPE:
            return self.order(node.inputs[0])
        if node.op == TRANSPOSE and (inner := self.order(node.inputs[0])) is not None:
            own, axes = self._long_axes(node), self.positions(node.inputs[0], inner)
            return tuple(own.index(node.attr.index(axis)) for axis in axes)
        if node.op.kind is Kind.ELEMENTWISE:
            return next(filter(None, map(self.order, node.inputs)), None)
        return None

    # Terms.

    def expand(self, node: Node, order: Order | None = None, inside: bool = False) -> list[MatrixTerm]:
        """The terms of a matrix.

        Args:
            node: The matrix.
            order: Its axes; None if it is a matrix of the state.
            inside: Whether to expand a core into its own terms, instead of returning it as one term.

        Raises:
            NoMatch: if it is no sum of such products.
        """
        order = self.cores[node] if order is None else order
        if node in self.cores and not inside:
            if order != self.cores[node]:
                raise NoMatch("its transpose enters its update")
            return [MatrixTerm(core=node)]
        if (elements := self._elements(node, order)) is not None:
            return [MatrixTerm(elements=elements)]
        if node.op == BROADCAST:
            return [self._factor(node, order)]
        if node.op in (RESHAPE, TRANSPOSE):
            return self.expand(node.inputs[0], self._order_inside(node, order))
        if node.op == DIVIDE and node.inputs[1].op == BROADCAST:
            divisor = self._inverse(self._factor(node.inputs[1], order))
            return [self._product(each, divisor) for each in self.expand(node.inputs[0], order)]
        if node.op.kind is Kind.LEAF:
            raise NoMatch(
                "another state or parameter of its shape is added to it or read with it, and is not a "
                "momentum with one factor for each head"
            )
        if node.op not in (ADD, SUBTRACT, NEGATIVE, MULTIPLY):
            raise NoMatch(f"step takes {node.op} of it, before it is updated or read")
        left, *others = (self.expand(operand, order) for operand in node.inputs)
        if len(left) + len(others[0] if others else ()) > _MAX_TERMS:
            raise NoMatch(f"its update has more than {_MAX_TERMS} terms")
        if node.op == MULTIPLY:
            return [self._product(a, b) for a in left for b in others[0]]
        if node.op == ADD:
            return left + others[0]
        kept, negated = (left, others[0]) if others else ([], left)
        return [*kept, *(term.negated() for term in negated)]

    def _product(self, a: MatrixTerm, b: MatrixTerm) -> MatrixTerm:
        if a.core is not None and b.core is not None:
            raise NoMatch("it is multiplied by itself")
        core = b.core if a.core is None else a.core
        return MatrixTerm(
            core,
            times(a.head, b.head),
            times(a.row, b.row),
            times(a.column, b.column),
            times(a.elements, b.elements),
            a.number * b.number,
        )

    def _inverse(self, factor: MatrixTerm) -> MatrixTerm:
        def inverse(node: Node | None) -> Node | None:
            return None if node is None else 1.0 / node

        parts = inverse(factor.head), inverse(factor.row), inverse(factor.column)
        return MatrixTerm(None, *parts, number=1.0 / factor.number)

    def _factor(self, node: Node, order: Order) -> MatrixTerm:
        """A factor that varies along rows, columns or neither."""
        if node.value is not None:
            return MatrixTerm(number=node.value)
        positions = self.positions(node, order)
        row, column = positions[-2:]
        inner = node.inputs[0]
        shape = (ONE,) * (node.ndim - inner.ndim) + inner.shape
        varies = (shape[row] != ONE, shape[column] != ONE)
        if all(varies):
            raise NoMatch("each of its elements has a factor of its own")
        kept = tuple(shape[axis] if axis in (row, column) else dim for axis, dim in enumerate(node.shape))
        vector = node.graph.broadcast(inner, kept)
        if positions != sorted(positions):
            short = [axis for axis in range(node.ndim) if axis not in positions]
            vector = ops.transpose(vector, (*short, *positions))
        if varies == (True, False):
            return MatrixTerm(row=ops.reshape(vector, (self.heads, self.rows)))
        if varies == (False, True):
            return MatrixTerm(column=ops.reshape(vector, (self.heads, self.columns)))
        return MatrixTerm(head=ops.reshape(vector, (self.heads, ONE)))

    # Vectors.

    def scaled(self, term: MatrixTerm, vector: Node | None, length: Dim) -> Node:
        """A vector of each head times the head's factor and the number of a term, ``(heads, length)``."""
        scaled = self.filled(times(term.head, vector), length, 1.0)
        return -scaled if term.number == -1.0 else scaled * term.number

    def filled(self, vector: Node | None, length: Dim, value: float) -> Node:
        """A vector of each head; the same number everywhere without one."""
        shape, graph = (self.heads, length), self.graph
        return graph.constant(value, shape) if vector is None else graph.broadcast(vector, shape)

    def summed(self, term: MatrixTerm, by_column: bool) -> Node:
        """The sum of an outer product over columns or rows, ``(heads, D)``."""
        vector, other = term.split(by_column)
        if vector is None or other is None:
            raise NoMatch("what its update adds is not an outer product")
        total = ops.reshape(ops.reduce_sum(vector, (1,)), (self.heads, ONE))
        return self.scaled(term, total, ONE) * other
