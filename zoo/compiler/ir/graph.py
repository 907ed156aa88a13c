"""The graph of one step: values and the operations that compute them, without duplicates.

Shapes are those of one row: one sequence of the batch at one step. The level of a value is how often it is
computed: once, if it depends on parameters alone; for all steps together, if it depends on x or on states
that only delay values; within the loop over time, if it depends on another state.

A view is a value without an array of its own: an offset and strides into the array of another node.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from zoo.compiler.ir.dims import GENERIC_SIZES, ONE, ZERO, Dim, product
from zoo.compiler.ir.op_table import OPS, Kind, Op

Shape: TypeAlias = tuple[Dim, ...]
Operand: TypeAlias = "Node | float"

# Names of two rows of structural_ops.py, which imports this module.
_CONSTANT, _BROADCAST = "constant", "broadcast"


class Level(enum.IntEnum):
    """Frequency of the computation of a value."""

    ONCE = 0
    SEQUENCE = 1
    STEP = 2


class ShapeError(Exception):
    """Shapes that do not fit each other."""


class ClosedGraphError(Exception):
    """A new node in a closed graph."""


class Node:
    """One value. Nodes are equal if they are the same object.

    Attributes:
        op: The operation.
        inputs: The operands.
        attr: Other arguments: a name, an axis, a number.
        shape: The shape in one row.
        level: Frequency of its computation.
        is_bool: Whether it is boolean rather than a number.
        index: The position in the order of creation, in which inputs come before their users.
    """

    __slots__ = ("attr", "graph", "index", "inputs", "is_bool", "level", "op", "shape")

    def __init__(
        self,
        graph: Graph,
        op: Op,
        inputs: tuple[Node, ...],
        attr: Any,
        shape: Shape,
        level: Level,
        is_bool: bool,
    ) -> None:
        self.graph, self.op, self.inputs, self.attr = graph, op, inputs, attr
        self.shape, self.level, self.is_bool = shape, level, is_bool
        self.index = len(graph.nodes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def value(self) -> float | None:
        """The number of a constant or of a broadcast constant; None for other nodes."""
        node = self.inputs[0] if self.op == _BROADCAST else self
        return node.attr if node.op == _CONSTANT else None

    def __add__(self, other: Operand) -> Node:
        return self.graph.apply("add", self, other)

    def __radd__(self, other: Operand) -> Node:
        return self.graph.apply("add", other, self)

    def __sub__(self, other: Operand) -> Node:
        return self.graph.apply("subtract", self, other)

    def __rsub__(self, other: Operand) -> Node:
        return self.graph.apply("subtract", other, self)

    def __mul__(self, other: Operand) -> Node:
        return self.graph.apply("multiply", self, other)

    def __rmul__(self, other: Operand) -> Node:
        return self.graph.apply("multiply", other, self)

    def __truediv__(self, other: Operand) -> Node:
        return self.graph.apply("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return self.graph.apply("divide", other, self)

    def __neg__(self) -> Node:
        return self.graph.apply("negative", self)

    def __lt__(self, other: Operand) -> Node:
        return self.graph.apply("less", self, other)

    def __le__(self, other: Operand) -> Node:
        return self.graph.apply("less_equal", self, other)

    def __ge__(self, other: Operand) -> Node:
        return self.graph.apply("greater_equal", self, other)

    def __repr__(self) -> str:
        inputs = ", ".join(f"%{node.index}" for node in self.inputs)
        attr = "" if self.attr is None else f" {self.attr!r}"
        return (
            f"%{self.index} = {self.op}({inputs}){attr} ({', '.join(map(str, self.shape))}) {self.level.name}"
        )


class Graph:
    """Nodes in the order of creation; the same operation on the same inputs is the same node.

    Attributes:
        max_literal: Elements of the largest array in the source of a cell. A larger one is data, which
            belongs into a buffer.
    """

    max_literal = 64

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.views: dict[Node, Any] = {}
        """The cache of :func:`zoo.compiler.ir.graph.view_of`."""
        self._is_closed = False
        self._known: dict[Hashable, Node] = {}

    def node(
        self,
        op: Op,
        inputs: tuple[Node, ...] = (),
        attr: Any = None,
        shape: Shape | None = None,
        level: Level | None = None,
        is_bool: bool = False,
    ) -> Node:
        """Return the node of an operation, without simplification.

        By default the rule of the operation gives the shape, and the level is the highest of the inputs.
        """
        if shape is None:
            shape = op.shape(inputs, attr) if op.shape is not None else ()
        key = (op, tuple(node.index for node in inputs), repr(attr), shape)
        if key not in self._known:
            if self._is_closed:
                raise ClosedGraphError(op)
            if level is None:
                level = max((node.level for node in inputs), default=Level.ONCE)
            self._known[key] = Node(self, op, inputs, attr, shape, level, is_bool)
            self.nodes.append(self._known[key])
        return self._known[key]

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Forbid new nodes within the block.

        Raises:
            ClosedGraphError: within the block, for a new node.
        """
        self._is_closed = True
        try:
            yield
        finally:
            self._is_closed = False

    def constant(self, value: float, shape: Shape = ()) -> Node:
        """Return a number, broadcast to a shape."""
        return self.broadcast(self.node(OPS[_CONSTANT], attr=float(value)), shape)

    def broadcast(self, node: Node, shape: Shape) -> Node:
        """Repeat a value along new axes in front and along axes of length one.

        Raises:
            ShapeError: if the shapes do not fit.
        """
        if node.shape == shape:
            return node
        if broadcast_shape(node.shape, shape) != shape:
            raise ShapeError(f"{format_shape(node.shape)} cannot be broadcast to {format_shape(shape)}")
        if node.op == _BROADCAST:
            node = node.inputs[0]
        return self.node(OPS[_BROADCAST], (node,), None, shape, is_bool=node.is_bool)

    def apply(self, name: str, *operands: Operand) -> Node:
        """Apply an element-wise operation of the table to operands, broadcast to one shape.

        Raises:
            ShapeError: if the shapes do not fit.
        """
        nodes = [operand if isinstance(operand, Node) else self.constant(operand) for operand in operands]
        shape = nodes[0].shape
        for node in nodes[1:]:
            if node.shape != shape:  # mostly equal, and the cache of the function computes hashes in Python
                shape = broadcast_shape(shape, node.shape)
        op = OPS[name]
        values = [node.value for node in nodes]
        if None not in values and not op.is_bool:
            with np.errstate(all="ignore"):
                return self.constant(float(op.numpy(*values)), shape)
        if not op.accepts_bool:
            nodes = [self.as_number(node) for node in nodes]
        elif op.is_bool:
            nodes = [self.as_bool(node) for node in nodes]
        else:
            nodes[1:] = [self.as_number(node) for node in nodes[1:]]
        if (shorter := _simplify_identity(name, nodes, values)) is not None:
            return self.broadcast(shorter, shape)
        spread = tuple(self.broadcast(node, shape) for node in nodes)
        return self.node(op, spread, None, shape, is_bool=op.is_bool)

    def build(self, op: Op, inputs: tuple[Node, ...], attr: Any, shape: Shape) -> Node:
        """Apply any operation that has inputs, simplified by its constructor."""
        if op.kind is Kind.ELEMENTWISE and attr is None:
            return self.apply(op, *inputs)
        if op.build is not None:
            node: Node = op.build(inputs, attr, shape)
            return node
        return self.node(op, inputs, attr, shape, Level.ONCE if op.sums_rows else None)

    def as_bool(self, node: Node) -> Node:
        """Convert a number to whether it differs from zero; a boolean stays as it is."""
        return node if node.is_bool else self.apply("not_equal", node, 0.0)

    def as_number(self, node: Node) -> Node:
        """Convert a boolean to one or zero; a number stays as it is."""
        return self.apply("where", node, 1.0, 0.0) if node.is_bool else node


def _simplify_identity(name: str, nodes: list[Node], values: list[float | None]) -> Node | None:
    """The operand that an operation returns where another operand is zero or one; otherwise None."""
    if name == "add" and 0.0 in values:
        return nodes[1 - values.index(0.0)]
    if name == "multiply" and 1.0 in values:
        return nodes[1 - values.index(1.0)]
    if name in ("subtract", "divide", "power") and values[1] == (0.0 if name == "subtract" else 1.0):
        return nodes[0]
    if name == "power" and values[1] == 2.0:
        return nodes[0] * nodes[0]
    if name == "negative" and nodes[0].op == name:
        return nodes[0].inputs[0]
    if name == "where" and (nodes[1] is nodes[2] or values[0] is not None):
        return nodes[1] if values[0] != 0.0 else nodes[2]
    return None


@functools.lru_cache(maxsize=4096)
def broadcast_shape(a: Shape, b: Shape) -> Shape:
    """Return the broadcast of two shapes, by NumPy's rule.

    Raises:
        ShapeError: if they do not fit for every I and H.
    """
    longest = max(len(a), len(b))
    pairs = zip((ONE,) * (longest - len(a)) + a, (ONE,) * (longest - len(b)) + b, strict=True)
    shape = []
    for x, y in pairs:
        if x != y and ONE not in (x, y):
            raise ShapeError(
                f"shapes {format_shape(a)} and {format_shape(b)} do not fit each other; axes must be "
                f"equal, or one of them 1{_matrix_product(a, b)}"
            )
        shape.append(y if x == ONE else x)
    return tuple(shape)


def _matrix_product(a: Shape, b: Shape) -> str:
    """The advice for a vector and a matrix that a matrix product takes."""
    vector, matrix = sorted((a, b), key=len)
    if (len(vector), len(matrix)) != (1, 2) or vector[0] != matrix[0]:
        return ""
    return f"; a product of a vector and a matrix is {format_shape(vector)} @ {format_shape(matrix)}"


def format_shape(shape: Shape) -> str:
    """Format a shape as Python does: ``(4 * H,)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def ancestors(outputs: Iterable[Node], stop: Callable[[Node], bool] | None = None) -> list[Node]:
    """Return every node that the outputs depend on, and the outputs, inputs first.

    Args:
        outputs: Nodes of one graph.
        stop: Whether to skip the inputs of a node; None for no node.
    """
    reached: dict[int, Node] = {}
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.index not in reached:
            reached[node.index] = node
            if stop is None or not stop(node):
                waiting.extend(node.inputs)
    return [reached[index] for index in sorted(reached)]


def dependents(sources: Iterable[Node], outputs: Iterable[Node]) -> list[Node]:
    """Return every ancestor of the outputs that depends on a source, and the sources, inputs first."""
    reached = set(sources)
    nodes = ancestors(outputs)
    for node in nodes:
        if any(operand in reached for operand in node.inputs):
            reached.add(node)
    return [node for node in nodes if node in reached]


def users(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """Return the users of every node, among some nodes, once for each use."""
    users_of: dict[Node, list[Node]] = {}
    for node in nodes:
        for operand in node.inputs:
            users_of.setdefault(operand, []).append(node)
    return users_of


Strides = tuple[Dim, ...]


@dataclass(frozen=True)
class View:
    """The address of a node's elements in the array of another node.

    Args:
        base: The node whose contiguous array holds the elements.
        offset: The index of the first element.
        strides: For each axis, the distance of one entry from the next.
        shape: Lengths of the axes.
    """

    base: Node
    offset: Dim
    strides: Strides
    shape: Shape

    @functools.cached_property
    def is_whole(self) -> bool:
        """Whether it is all of its base, in order."""
        return self.is_contiguous and self.offset == ZERO and product(self.shape) == product(self.base.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether it is contiguous."""
        pairs = zip(self.strides, contiguous(self.shape), self.shape, strict=True)
        return all(stride == expected or length == ONE for stride, expected, length in pairs)

    def squeezed(self) -> View:
        """The same elements without the axes of length one."""
        strides = [stride for stride, length in zip(self.strides, self.shape, strict=True) if length != ONE]
        return replace(self, strides=tuple(strides), shape=squeezed(self.shape))


def view_base(node: Node) -> Node:
    """The node that holds the elements of a view."""
    while node.op.kind is Kind.VIEW:
        node = node.inputs[0]
    return node


def squeezed(shape: Shape) -> Shape:
    """A shape without the axes of length one."""
    return tuple(length for length in shape if length != ONE)


def contiguous(shape: Shape) -> Strides:
    """Return the strides of a contiguous array, whose last axis runs fastest."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def view_of(node: Node) -> View | None:
    """Return the address of a node's elements: itself if it is not a view; None if no strides reach them."""
    known: dict[Node, View | None] = node.graph.views
    if node in known:
        return known[node]
    chain = [node]
    while chain[-1].op.view is not None and chain[-1] not in known:
        chain.append(chain[-1].inputs[0])
    for each in reversed(chain):
        if each.op.view is None:
            known[each] = View(each, ZERO, contiguous(each.shape), each.shape)
        elif each not in known:
            inner = known[each.inputs[0]]
            known[each] = None if inner is None else each.op.view(each, inner)
    return known[node]


def reshape_strides(shape: Shape, strides: Strides, new: Shape) -> Strides | None:
    """Return the strides of the same elements in a new shape, if there are any.

    Axes are matched in groups of equal product, from the front. The old axes of a group must be contiguous.
    """
    old = [(length, stride) for length, stride in zip(shape, strides, strict=True) if length != ONE]
    wanted = [length for length in new if length != ONE]
    result: list[Dim] = []
    while old and wanted:
        group, lengths = [old.pop(0)], [wanted.pop(0)]
        while product(length for length, _ in group) != product(lengths):
            shorter = _evaluate_generic(length for length, _ in group) < _evaluate_generic(lengths)
            if not (old if shorter else wanted):
                return None
            if shorter:
                group.append(old.pop(0))
            else:
                lengths.append(wanted.pop(0))
        if any(stride != below * length for (_, stride), (length, below) in pairwise(group)):
            return None
        result += [product(lengths[axis + 1 :]) * group[-1][1] for axis in range(len(lengths))]
    rest = iter(result)
    return tuple(ZERO if length == ONE else next(rest) for length in new)


def _evaluate_generic(lengths: Iterable[Dim]) -> Fraction:
    """The absolute value of a product: the sizes used here may make ``H - I`` negative."""
    return abs(product(lengths).evaluate(GENERIC_SIZES))
