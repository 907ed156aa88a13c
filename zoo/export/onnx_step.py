"""Emission of a step's values as ONNX nodes on many rows at once.

The compiler's graph describes one row. Here every value that depends on x or a state has leading axes:
batch, or time and batch. Values of parameters alone have none, and ONNX broadcasts them as NumPy does. A
value that is constant along an axis keeps length one there until an operation needs the full length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from zoo.array_types import Array
from zoo.compiler.ir.dims import ZERO, concrete_shape
from zoo.compiler.ir.graph import Level, Node, View, ancestors, contiguous
from zoo.compiler.ir.op_table import Kind, Op
from zoo.compiler.ir.structural_ops import (
    BROADCAST,
    BUFFER,
    CONCAT,
    CUMSUM,
    DOT,
    DOT_HEADS,
    PARAM,
    RECURRENCE,
    RESHAPE,
    SLICE,
    STRIDE,
    TRANSPOSE,
    X,
)
from zoo.errors import UsageError
from zoo.export.exported_model import DirectionExport
from zoo.export.onnx_graph import COMPOSED, GraphBuilder, emit_elementwise

ConcreteShape = tuple[int, ...]
# End of a slice that runs backwards through the first entry.
_BEFORE_FIRST = -(2**31)


@dataclass(frozen=True)
class Tensor:
    """A value in an ONNX graph.

    Args:
        name: Name of the tensor.
        shape: Lengths of the axes of a row; 1 where it is not broadcast yet.
        is_shared: Whether it has no leading axes, because all rows share it.
    """

    name: str
    shape: ConcreteShape
    is_shared: bool = False


class RowEmitter:
    """Writes the values of one step.

    Args:
        builder: The graph.
        direction: The layer direction.
        lead: Number of leading axes: 1 for batch, 2 for time and batch.
        like: Name of a tensor that has these axes.
        bound: Values that exist already.
        tokens: Name of the input, if it is tokens.
        outer: Emitter of the enclosing graph, whose shared values are visible here.
    """

    def __init__(
        self,
        builder: GraphBuilder,
        direction: DirectionExport,
        lead: int,
        like: str,
        bound: Mapping[Node, Tensor],
        tokens: str = "",
        outer: RowEmitter | None = None,
    ) -> None:
        self.builder, self.direction = builder, direction
        self.lead, self.like, self.tokens = lead, like, tokens
        self._names = direction.step_graph.names
        self._tensors = dict(bound)
        self._values: Mapping[Node, Array] = {} if outer is None else outer._values
        self._shared: dict[Node, Tensor] = {} if outer is None else outer._shared
        if outer is None:
            self._values = direction.folded(direction.step_graph.outputs)
        self._full: dict[tuple[str, ConcreteShape], Tensor] = {}

    def bind(self, tensors: Mapping[Node, Tensor]) -> None:
        """Set the tensors of more values."""
        self._tensors.update(tensors)

    def write(self, outputs: Iterable[Node]) -> None:
        """Write some values and their ancestors."""
        for node in ancestors(outputs, stop=self._is_available):
            if not self._is_available(node):
                self._tensors[node] = self._emit(node)

    def tensor(self, node: Node) -> Tensor:
        """The tensor of a value that was written or bound, or that all rows share."""
        if node in self._tensors:
            return self._tensors[node]
        if node not in self._shared:
            self._shared[node] = self._constant(node)
        return self._shared[node]

    def full_tensor(self, node: Node) -> str:
        """The name of a value with its full shape and leading axes."""
        tensor = self._broadcast_rows(node)
        if not tensor.is_shared:
            return tensor.name
        shape = self.builder.integers(*concrete_shape(node.shape))
        return self.builder.add(
            "Expand", tensor.name, self.builder.add("Concat", self._leading_lengths(), shape, axis=0)
        )

    def preferred_name(self, node: Node, default: str = "") -> str:
        """The author's name of a value, with the prefix of the layer."""
        name = self._names.get(node, default)
        return f"{self.direction.name}.{name}" if name else ""

    def _is_available(self, node: Node) -> bool:
        return node in self._tensors or node.level == Level.ONCE

    def _constant(self, node: Node) -> Tensor:
        """A value of parameters alone; a broadcast number stays one number."""
        inner = node.inputs[0] if node.op == BROADCAST else node
        shape = (1,) * (node.ndim - inner.ndim) + concrete_shape(inner.shape)
        if node.value is not None:
            return Tensor(self.builder.number(node.value), shape, is_shared=True)
        if inner is not node:
            return Tensor(self.tensor(inner).name, shape, is_shared=True)
        name = self.preferred_name(node, node.attr if node.op in (PARAM, BUFFER) else node.op)
        return Tensor(self.builder.constant(self._values[node], name), shape, is_shared=True)

    def _leading_lengths(self) -> str:
        return self.builder.add("Shape", self.like, start=0, end=self.lead)

    def _broadcast_rows(self, node: Node) -> Tensor:
        tensor, shape = self.tensor(node), concrete_shape(node.shape)
        if tensor.shape == shape:
            return tensor
        key = tensor.name, shape
        if key not in self._full:
            ones = () if tensor.is_shared else (1,) * self.lead
            name = self.builder.add("Expand", tensor.name, self.builder.integers(*ones, *shape))
            self._full[key] = Tensor(name, shape, tensor.is_shared)
        return self._full[key]

    def _emit(self, node: Node) -> Tensor:
        op = node.op
        if op in STRUCTURAL:
            value = STRUCTURAL[op](self, node)
            return value if isinstance(value, Tensor) else Tensor(value, concrete_shape(node.shape))
        if op.kind is Kind.VIEW:
            return Tensor(self._gather(node), concrete_shape(node.shape))
        if op in COMPOSED or op.onnx:
            is_reduction = op.kind is Kind.REDUCTION
            return (
                Tensor(self._reduce(node), concrete_shape(node.shape))
                if is_reduction
                else self._operation(node)
            )
        raise UsageError(
            f"{self.direction.spec.cell.label()}: its step uses {op}, which has no ONNX operator in the "
            f"table of operations; add it in zoo/compiler/ir."
        )

    def _one_hot(self, node: Node) -> str:
        (size,) = concrete_shape(node.shape)
        return one_hot(self.builder, self.tokens, size)

    def _operation(self, node: Node) -> Tensor:
        operands = [self.tensor(operand) for operand in node.inputs]
        shape = tuple(max(sizes) for sizes in zip(*(each.shape for each in operands), strict=True))
        names = (operand.name for operand in operands)
        return Tensor(emit_elementwise(self.builder, node.op, *names, name=self.preferred_name(node)), shape)

    def _broadcast(self, node: Node) -> Tensor:
        """Add axes of length one before those of the row; the value is not repeated yet."""
        inner = self.tensor(node.inputs[0])
        new = node.ndim - len(inner.shape)
        if new == 0:
            return inner
        axes = self.builder.integers(*range(self.lead, self.lead + new))
        return Tensor(self.builder.add("Unsqueeze", inner.name, axes), (1,) * new + inner.shape)

    def _slice(self, node: Node) -> str:
        axis, start, stop = node.attr
        bounds = (self.builder.integers(each) for each in (*concrete_shape((start, stop)), self.lead + axis))
        return self._add(node, "Slice", self._broadcast_rows(node.inputs[0]).name, *bounds)

    def _stride(self, node: Node) -> str:
        axis, *rest = node.attr
        start, step, length = concrete_shape(rest)
        stop = start + step * length
        stop = _BEFORE_FIRST if stop < 0 else stop  # a negative index counts from the end
        arguments = (self.builder.integers(each) for each in (start, stop, self.lead + axis, step))
        return self._add(node, "Slice", self._broadcast_rows(node.inputs[0]).name, *arguments)

    def _reshape(self, node: Node) -> str:
        """Reshape the axes of the row; a length of 0 means that of the input."""
        shape = self.builder.integers(*(0,) * self.lead, *concrete_shape(node.shape))
        return self._add(node, "Reshape", self._broadcast_rows(node.inputs[0]).name, shape)

    def _transpose(self, node: Node) -> str:
        axes = [*range(self.lead), *(self.lead + axis for axis in node.attr)]
        return self._add(node, "Transpose", self._broadcast_rows(node.inputs[0]).name, perm=axes)

    def _concat(self, node: Node) -> str:
        operands = [self.full_tensor(operand) for operand in node.inputs]
        return self._add(node, "Concat", *operands, axis=self.lead + node.attr)

    def _gather(self, node: Node) -> str:
        """Any view: the elements at its addresses in the flattened input."""
        (operand,) = node.inputs
        assert node.op.view is not None  # it is a view
        view = node.op.view(node, View(operand, ZERO, contiguous(operand.shape), operand.shape))
        shape, lead = concrete_shape(node.shape), (0,) * self.lead
        offset, *strides = concrete_shape((view.offset, *view.strides))
        addresses = offset + np.tensordot(strides, np.indices(shape), 1)
        flat = self.builder.add(
            "Reshape", self._broadcast_rows(operand).name, self.builder.integers(*lead, -1)
        )
        indices = self.builder.integers(*addresses.ravel().tolist())
        entries = self.builder.add("Gather", flat, indices, axis=self.lead)
        return self._add(node, "Reshape", entries, self.builder.integers(*lead, *shape))

    def _reduce(self, node: Node) -> str:
        axes = self.builder.integers(*(self.lead + axis for axis in node.attr))
        return self._add(node, node.op.onnx, self._broadcast_rows(node.inputs[0]).name, axes, keepdims=0)

    def _cumsum(self, node: Node) -> str:
        axis, reverse = node.attr
        axis_tensor = self.builder.integer(self.lead + axis)
        return self._add(
            node, "CumSum", self._broadcast_rows(node.inputs[0]).name, axis_tensor, reverse=int(reverse)
        )

    def _recurrence(self, node: Node) -> str:
        """A recurrence by recursive doubling: each round combines factors and terms over twice the distance.

        An entry without a predecessor at that distance is complete, and its factor is not read again.
        """
        (axis, reverse), length = node.attr, concrete_shape(node.shape)[node.attr[0]]
        a, b = map(self.full_tensor, node.inputs)
        if reverse:
            a, b = self._flipped(a, axis), self._flipped(b, axis)
        distance = 1
        while distance < length:
            late_a, late_b = (self._cut(each, axis, distance, length) for each in (a, b))
            early_a, early_b = (self._cut(each, axis, 0, length - distance) for each in (a, b))
            more_b = self.builder.add("Add", late_b, self.builder.add("Mul", late_a, early_b))
            done_a, done_b = (self._cut(each, axis, 0, distance) for each in (a, b))
            b = self.builder.add("Concat", done_b, more_b, axis=self.lead + axis)
            more_a = self.builder.add("Mul", late_a, early_a)
            a = self.builder.add("Concat", done_a, more_a, axis=self.lead + axis)
            distance *= 2
        b = self._flipped(b, axis) if reverse else b
        return self._add(node, "Identity", b)

    def _cut(self, name: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        arguments = (self.builder.integers(each) for each in (start, stop, self.lead + axis, step))
        return self.builder.add("Slice", name, *arguments)

    def _flipped(self, name: str, axis: int) -> str:
        return self._cut(name, axis, -1, _BEFORE_FIRST, -1)

    def _dot(self, node: Node) -> str:
        """A product with a matrix or a stack of them; for tokens a gather of the rows of the matrix."""
        a, w = node.inputs
        if a.op == X and self.tokens:
            return self._add(node, "Gather", self._broadcast_rows(w).name, self.tokens, axis=0)
        return self._add(node, "MatMul", self._broadcast_rows(a).name, self._broadcast_rows(w).name)

    def _add(self, node: Node, op: str, *inputs: str, **attributes: object) -> str:
        return self.builder.add(op, *inputs, name=self.preferred_name(node), **attributes)


STRUCTURAL: Mapping[Op, Callable[[RowEmitter, Node], str | Tensor]] = {
    BROADCAST: RowEmitter._broadcast,
    CONCAT: RowEmitter._concat,
    CUMSUM: RowEmitter._cumsum,
    DOT: RowEmitter._dot,
    DOT_HEADS: RowEmitter._dot,
    RECURRENCE: RowEmitter._recurrence,
    RESHAPE: RowEmitter._reshape,
    SLICE: RowEmitter._slice,
    STRIDE: RowEmitter._stride,
    TRANSPOSE: RowEmitter._transpose,
    X: RowEmitter._one_hot,
}
"""The operations that are more than one operator and its operands."""


def one_hot(builder: GraphBuilder, tokens: str, size: int) -> str:
    """Tokens as one-hot rows."""
    column = builder.add("Unsqueeze", tokens, builder.integers(-1))
    matches = builder.add("Equal", column, builder.integers(*range(size)))
    return builder.add("Where", matches, builder.number(1.0), builder.number(0.0), name="one_hot")
