"""One step's values as ONNX nodes on many rows at once: the axes of a row stand behind those of the rows.

The compiler's graph is that of one row. Here every value that depends on x or a state has axes in front, the
rows of the batch, or steps and rows; what parameters alone decide has none, and meets the others by ONNX's
rule for shapes that differ, which is NumPy's. So a value that is one number all along an axis is left so
until somebody needs them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.passes.specialise import concrete_shape
from zoo.errors import UsageError
from zoo.export.exported_model import Array, DirectionExport
from zoo.export.onnx.graph_builder import GraphBuilder
from zoo.export.onnx.operations import OPERATIONS

ConcreteShape = tuple[int, ...]
# Where a slice ends that goes back to the first entry.
_BEFORE_FIRST = -(2**31)


@dataclass(frozen=True)
class Tensor:
    """A value in an ONNX graph.

    Args:
        name: Of the tensor.
        shape: Lengths of the axes of a row, as many as the value has: 1 where it is yet to be spread.
        is_shared: Whether it has no axes for rows, because all have the same.
    """

    name: str
    shape: ConcreteShape
    is_shared: bool = False


class RowEmitter:
    """Values of one layer's step, being written.

    Args:
        nodes: Where to.
        part: The layer.
        lead: How many axes stand in front of those of a row: one, the batch; or two, time and batch.
        like: The name of a tensor that has these axes.
        given: Values that are there already.
        tokens: The name of the input, if it is tokens.
        outer: Values of the graph around this one, of which those that all rows share are seen.
    """

    def __init__(
        self,
        nodes: GraphBuilder,
        part: DirectionExport,
        lead: int,
        like: str,
        given: Mapping[Node, Tensor],
        tokens: str = "",
        outer: RowEmitter | None = None,
    ) -> None:
        self.nodes, self.part, self.lead, self.like, self.tokens = nodes, part, lead, like, tokens
        self._names = part.step_graph.names
        self._found = dict(given)
        self._values: Mapping[Node, Array] = {} if outer is None else outer._values
        self._shared: dict[Node, Tensor] = {} if outer is None else outer._shared
        if outer is None:
            self._values = part.shared(part.step_graph.outputs)
        self._full: dict[tuple[str, ConcreteShape], Tensor] = {}

    def give(self, given: Mapping[Node, Tensor]) -> None:
        """Say where more values are."""
        self._found.update(given)

    def write(self, outputs: Iterable[Node]) -> None:
        """Write what some values depend on, and themselves."""
        for node in ancestors(outputs, stop=self._is_there):
            if not self._is_there(node):
                self._found[node] = self._made(node)

    def tensor(self, node: Node) -> Tensor:
        """A value that was written or given, or that all rows share."""
        if node in self._found:
            return self._found[node]
        if node not in self._shared:
            self._shared[node] = self._constant(node)
        return self._shared[node]

    def whole(self, node: Node) -> str:
        """A value in full, with the axes of the rows."""
        tensor = self._in_full(node)
        if not tensor.is_shared:
            return tensor.name
        shape = self.nodes.integers(*concrete_shape(node.shape))
        return self.nodes.add("Expand", tensor.name, self.nodes.add("Concat", self._rows(), shape, axis=0))

    def called(self, node: Node, otherwise: str = "") -> str:
        """What the author of the cell calls a value, with the layer in front."""
        name = self._names.get(node, otherwise)
        return f"{self.part.name}.{name}" if name else ""

    def _is_there(self, node: Node) -> bool:
        return node in self._found or node.level == Level.ONCE

    def _constant(self, node: Node) -> Tensor:
        """What parameters alone decide; a number spread over a shape is left a number."""
        inner = node.inputs[0] if node.op == "broadcast" else node
        shape = (1,) * (node.ndim - inner.ndim) + concrete_shape(inner.shape)
        if node.value is not None:
            return Tensor(self.nodes.number(node.value), shape, is_shared=True)
        if inner is not node:
            return Tensor(self.tensor(inner).name, shape, is_shared=True)
        wish = self.called(node, node.attr if node.op in ("param", "buffer") else node.op)
        return Tensor(self.nodes.constant(self._values[node], wish), shape, is_shared=True)

    def _rows(self) -> str:
        """The lengths of the axes in front, a vector."""
        return self.nodes.add("Shape", self.like, start=0, end=self.lead)

    def _in_full(self, node: Node) -> Tensor:
        """A value spread over all of its shape."""
        tensor, shape = self.tensor(node), concrete_shape(node.shape)
        if tensor.shape == shape:
            return tensor
        key = tensor.name, shape
        if key not in self._full:
            ones = () if tensor.is_shared else (1,) * self.lead
            name = self.nodes.add("Expand", tensor.name, self.nodes.integers(*ones, *shape))
            self._full[key] = Tensor(name, shape, tensor.is_shared)
        return self._full[key]

    # Making values.

    def _made(self, node: Node) -> Tensor:
        if node.op in node.graph.operations:
            return self._operation(node)
        if node.op == "x":
            (size,) = concrete_shape(node.shape)
            return Tensor(one_hot(self.nodes, self.tokens, size), (size,))
        if node.op == "broadcast":
            return self._broadcast(node)
        return Tensor(_STRUCTURAL[node.op](self, node), concrete_shape(node.shape))

    def _operation(self, node: Node) -> Tensor:
        if node.op not in OPERATIONS:
            raise UsageError(
                f"{self.part.layer.cell.label()}: its step uses {node.op}, which has no row in the table of "
                f"zoo.export.onnx.operations; add one."
            )
        operands = [self.tensor(operand) for operand in node.inputs]
        shape = tuple(max(sizes) for sizes in zip(*(each.shape for each in operands), strict=True))
        names = (operand.name for operand in operands)
        return Tensor(OPERATIONS[node.op](self.nodes, *names, name=self.called(node)), shape)

    def _broadcast(self, node: Node) -> Tensor:
        """Axes of length one put in front of those of the row; nothing is repeated yet."""
        inner = self.tensor(node.inputs[0])
        new = node.ndim - len(inner.shape)
        if new == 0:
            return inner
        axes = self.nodes.integers(*range(self.lead, self.lead + new))
        return Tensor(self.nodes.add("Unsqueeze", inner.name, axes), (1,) * new + inner.shape)

    def _slice(self, node: Node) -> str:
        axis, start, stop = node.attr
        bounds = (self.nodes.integers(each) for each in (*concrete_shape((start, stop)), self.lead + axis))
        return self._add(node, "Slice", self._in_full(node.inputs[0]).name, *bounds)

    def _stride(self, node: Node) -> str:
        axis, *rest = node.attr
        start, step, length = concrete_shape(rest)
        stop = start + step * length
        stop = _BEFORE_FIRST if stop < 0 else stop  # a negative place is counted from the end
        given = (self.nodes.integers(each) for each in (start, stop, self.lead + axis, step))
        return self._add(node, "Slice", self._in_full(node.inputs[0]).name, *given)

    def _reshape(self, node: Node) -> str:
        """In ONNX, a length of 0 is that of the input at the same place."""
        shape = self.nodes.integers(*(0,) * self.lead, *concrete_shape(node.shape))
        return self._add(node, "Reshape", self._in_full(node.inputs[0]).name, shape)

    def _transpose(self, node: Node) -> str:
        axes = [*range(self.lead), *(self.lead + axis for axis in node.attr)]
        return self._add(node, "Transpose", self._in_full(node.inputs[0]).name, perm=axes)

    def _concat(self, node: Node) -> str:
        operands = [self.whole(operand) for operand in node.inputs]
        return self._add(node, "Concat", *operands, axis=self.lead + node.attr)

    def _reduce(self, node: Node) -> str:
        axes = self.nodes.integers(*(self.lead + axis for axis in node.attr))
        op = {"sum": "ReduceSum", "max": "ReduceMax"}[node.op]
        return self._add(node, op, self._in_full(node.inputs[0]).name, axes, keepdims=0)

    def _running_sum(self, node: Node) -> str:
        axis, reverse = node.attr
        place = self.nodes.integer(self.lead + axis)
        return self._add(node, "CumSum", self._in_full(node.inputs[0]).name, place, reverse=int(reverse))

    def _recurrence(self, node: Node) -> str:
        """In as many rounds as the length has bits: each joins factors and terms over twice the distance.

        An entry with none so far before it is complete, and its factor is read no more.
        """
        (axis, reverse), length = node.attr, concrete_shape(node.shape)[node.attr[0]]
        a, b = map(self.whole, node.inputs)
        if reverse:
            a, b = self._flipped(a, axis), self._flipped(b, axis)
        distance = 1
        while distance < length:
            late_a, late_b = (self._cut(each, axis, distance, length) for each in (a, b))
            early_a, early_b = (self._cut(each, axis, 0, length - distance) for each in (a, b))
            more_b = self.nodes.add("Add", late_b, self.nodes.add("Mul", late_a, early_b))
            done_a, done_b = (self._cut(each, axis, 0, distance) for each in (a, b))
            b = self.nodes.add("Concat", done_b, more_b, axis=self.lead + axis)
            more_a = self.nodes.add("Mul", late_a, early_a)
            a = self.nodes.add("Concat", done_a, more_a, axis=self.lead + axis)
            distance *= 2
        b = self._flipped(b, axis) if reverse else b
        return self._add(node, "Identity", b)

    def _cut(self, name: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        given = (self.nodes.integers(each) for each in (start, stop, self.lead + axis, step))
        return self.nodes.add("Slice", name, *given)

    def _flipped(self, name: str, axis: int) -> str:
        return self._cut(name, axis, -1, _BEFORE_FIRST, -1)

    def _dot(self, node: Node) -> str:
        """A product with a matrix; of tokens a gather of its rows."""
        a, w = node.inputs
        if a.op == "x" and self.tokens:
            return self._add(node, "Gather", self._in_full(w).name, self.tokens, axis=0)
        return self._add(node, "MatMul", self._in_full(a).name, self._in_full(w).name)

    def _dot_heads(self, node: Node) -> str:
        """``(G, K)`` rows with ``(G, K, N)`` matrices, one each."""
        a, w = node.inputs
        axis = self.nodes.integers(-2)
        rows = self.nodes.add("Unsqueeze", self._in_full(a).name, axis)
        product = self.nodes.add("MatMul", rows, self._in_full(w).name)
        return self._add(node, "Squeeze", product, axis)

    def _add(self, node: Node, op: str, *inputs: str, **attributes: object) -> str:
        return self.nodes.add(op, *inputs, name=self.called(node), **attributes)


_STRUCTURAL: dict[str, Callable[[RowEmitter, Node], str]] = {
    "concat": RowEmitter._concat,
    "cumsum": RowEmitter._running_sum,
    "dot": RowEmitter._dot,
    "dot_heads": RowEmitter._dot_heads,
    "max": RowEmitter._reduce,
    "recurrence": RowEmitter._recurrence,
    "reshape": RowEmitter._reshape,
    "slice": RowEmitter._slice,
    "stride": RowEmitter._stride,
    "sum": RowEmitter._reduce,
    "transpose": RowEmitter._transpose,
}


def one_hot(nodes: GraphBuilder, tokens: str, size: int) -> str:
    """Tokens as rows of zeros and a one."""
    column = nodes.add("Unsqueeze", tokens, nodes.integers(-1))
    is_it = nodes.add("Equal", column, nodes.integers(*range(size)))
    return nodes.add("Where", is_it, nodes.number(1.0), nodes.number(0.0), name="one_hot")
