"""Structural operations in the code of a step: leaves, views, reductions and products."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoo.bench.peers.step_elementwise import ElementwiseWriter
from zoo.bench.peers.step_scope import CodeLine, CodeValue, ConcreteShape, number_value
from zoo.bench.peers.step_values import CodeContext
from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.elementwise_ops import ADD, MULTIPLY
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import Op
from zoo.compiler.ir.structural_ops import (
    ARRAY,
    BROADCAST,
    BUFFER,
    CONCAT,
    CONSTANT,
    CUMSUM,
    DOT,
    DOT_HEADS,
    EXPM,
    EYE,
    INPUT,
    MAX,
    PARAM,
    RECURRENCE,
    RESHAPE,
    SIZE,
    SLICE,
    SOLVE,
    STRIDE,
    SUM,
    TRANSPOSE,
    X,
)


class StructuralWriter(ElementwiseWriter):
    """Writes structural operations.

    Attributes:
        slices: Slices of the phase that is being written, by their array and axis.
        needs_vectors: Whether a value other than a product reads x, so that tokens become one-hot vectors.
    """

    def __init__(self, context: CodeContext) -> None:
        super().__init__(context)
        self.slices: dict[tuple[Node, int], list[Node]] = {}
        self.needs_vectors = False

    # Leaves.

    def _leaf(self, node: Node) -> CodeValue:
        axes = range(node.ndim)
        if node.op == INPUT:
            return self.assign(node, f'aux["{node.attr}"]', axes)
        name = self.name(node.attr)
        self.scope.assign(name, f'p["{node.attr}"]')
        return CodeValue(name, tuple(axes), self.shape_of(node))

    def _x(self, node: Node) -> CodeValue:
        """Dense inputs, or one-hot vectors of tokens, unless all their users are products with matrices."""
        if self.variant.inputs == "dense" or (self.variant.inputs == "rows" and not self.needs_vectors):
            return CodeValue("x", (0,), self.shape_of(node), len(self.scope.lead))
        return self.assign(node, f"one_hot(x, {self.shape_of(node)[0]}, dtype)", (0,))

    def _constant(self, node: Node) -> CodeValue:
        return number_value(float(node.attr))

    def _size(self, node: Node) -> CodeValue:
        return number_value(float(concrete_shape((node.attr,), self.sizes)[0]))

    def _array(self, node: Node) -> CodeValue:
        shape = self.shape_of(node)
        code = self.library.expression("array", repr(list(map(float, _flat(node.attr)))))
        return self.assign(node, f"{code}.reshape({shape})", range(node.ndim), lead=0)

    def _eye(self, node: Node) -> CodeValue:
        return self.assign(node, self.library.expression("eye", self.shape_of(node)[0]), (0, 1), lead=0)

    # Views.

    def _broadcast(self, node: Node) -> CodeValue:
        inner = node.inputs[0]
        value, new = self.scope.value(inner), node.ndim - inner.ndim
        return replace(value, axes=tuple(axis + new for axis in value.axes))

    def _slice(self, node: Node) -> CodeValue:
        axis, *bounds = node.attr
        group = self.slices.get((node.inputs[0], axis), [])
        if len(group) > 1 and self._split(group, axis):
            return self.scope.values[node]
        start, stop = concrete_shape(tuple(bounds), self.sizes)
        return self._cut(node, axis, f"{start}:{stop}")

    def _split(self, group: Sequence[Node], axis: int) -> bool:
        """Split an array into all its slices with one operation; whether it is possible.

        The gradient of a slice is as long as the whole array.
        """
        operand = group[0].inputs[0]
        value, length = self.scope.value(operand), self.shape_of(operand)[axis]
        at = value.axes.index(axis) if axis in value.axes else -1
        if at < 0 or value.lengths[at] != length:
            return False
        parts = {tuple(concrete_shape(node.attr[1:], self.sizes)): node for node in group}
        edges, position = [], 0
        for start, stop in sorted(parts):
            if start < position:
                return False
            edges += [(position, start)] * (start > position) + [(start, stop)]
            position = stop
        edges += [(position, length)] * (position < length)
        names = []
        for edge in edges:
            node = parts.get(edge)
            name = self.name("" if node is None else self.step_graph.names.get(node, ""))
            names.append(name)
            if node is not None:
                lengths = (*value.lengths[:at], edge[1] - edge[0], *value.lengths[at + 1 :])
                self.scope.values[node] = CodeValue(name, value.axes, lengths, value.lead)
        sizes, indices = [stop - start for start, stop in edges], [stop for _, stop in edges[:-1]]
        code = self.library.expression("split", value.code, sizes, indices, at - len(value.axes))
        text = f"{self.scope.indent}{', '.join(names)} = {code}"
        self.scope.lines.append(CodeLine(text, tuple(names), code))
        return True

    def _cut(self, node: Node, axis: int, bounds: str) -> CodeValue:
        operand, value = node.inputs[0], self.scope.value(node.inputs[0])
        if axis not in value.axes:
            return value
        at = value.axes.index(axis)
        if value.lengths[at] != self.shape_of(operand)[axis]:
            return value
        after = [":"] * (len(value.axes) - 1 - at)
        lengths = (*value.lengths[:at], self.shape_of(node)[axis], *value.lengths[at + 1 :])
        key = ", ".join(["...", bounds, *after])
        return self.assign(node, f"{value.code}[{key}]", value.axes, lengths, value.lead)

    def _stride(self, node: Node) -> CodeValue:
        axis, *rest = node.attr
        start, step, length = concrete_shape(tuple(rest), self.sizes)
        operand, value = node.inputs[0], self.scope.value(node.inputs[0])
        if step > 0 or axis not in value.axes:
            return self._cut(node, axis, f"{start}:{start + step * (length - 1) + 1}:{step}")
        # PyTorch has no slice that runs backwards.
        whole = self.shape_of(operand)[axis]
        at = value.axes.index(axis) - len(value.axes)
        flipped = self.name()
        self.scope.assign(flipped, self.library.expression("flip", value.code, at))
        start = whole - 1 - start
        after = [":"] * (-1 - at)
        bounds = f"{start}:{start - step * (length - 1) + 1}:{-step}"
        at += len(value.axes)
        lengths = (*value.lengths[:at], length, *value.lengths[at + 1 :])
        key = ", ".join(["...", bounds, *after])
        return self.assign(node, f"{flipped}[{key}]", value.axes, lengths, value.lead)

    def _reshape(self, node: Node) -> CodeValue:
        operand = node.inputs[0]
        value = self.scope.value(operand)
        if value.number is not None:
            return value
        origins = _match_ones(self.shape_of(operand), self.shape_of(node))
        if origins is not None and set(value.axes) <= set(origins):
            axes = tuple(origins.index(axis) for axis in value.axes)
            return replace(value, axes=axes)
        shape = self.scope.lead * bool(value.lead) + self.shape_of(node)
        return self.assign(node, f"{self.bound(operand)}.reshape({shape})", range(node.ndim), lead=value.lead)

    def _transpose(self, node: Node) -> CodeValue:
        value = self.scope.value(node.inputs[0])
        axes = tuple(axis for axis in node.attr if axis in value.axes)
        new_axes = tuple(node.attr.index(axis) for axis in axes)
        if axes == value.axes:
            return replace(value, axes=new_axes)
        order = [*range(value.lead), *(value.lead + value.axes.index(axis) for axis in axes)]
        lengths = tuple(value.lengths[value.axes.index(axis)] for axis in axes)
        expression = self.library.expression("permute", value.code, ", ".join(map(str, order)))
        return self.assign(node, expression, new_axes, lengths, value.lead)

    def _concat(self, node: Node) -> CodeValue:
        lead = any(self.scope.value(operand).lead for operand in node.inputs)
        codes = ", ".join(self.full(operand, needs_lead=lead) for operand in node.inputs)
        expression = self.library.expression("concatenate", codes, node.attr - node.ndim)
        return self.assign(node, expression, range(node.ndim), lead=None if lead else 0)

    # Reductions and scans.

    def _reduce(self, node: Node) -> CodeValue:
        operand = node.inputs[0]
        product = self._einsum(node, operand) if node.op == SUM and self.variant.uses_einsum else None
        if product is not None:
            return product
        value, shape = self.scope.value(operand), self.shape_of(operand)
        varying = {axis for axis, n in zip(value.axes, value.lengths, strict=True) if n == shape[axis]}
        reduced = [axis for axis in value.axes if axis in node.attr]
        repeats = math.prod(shape[axis] for axis in node.attr if axis not in varying) if node.op == SUM else 1
        if value.number is not None:
            return number_value(value.number * repeats)
        expression, kept = value.code, [axis for axis in value.axes if axis not in node.attr]
        if reduced:
            at = tuple(value.axes.index(axis) - len(value.axes) for axis in reduced)
            expression = self.library.expression("sum" if node.op == SUM else "max", expression, at)
        if repeats != 1:
            expression = f"{expression} * {float(repeats)}"
        rest = [axis for axis in range(operand.ndim) if axis not in node.attr]
        lengths = tuple(value.lengths[value.axes.index(axis)] for axis in kept)
        return self.assign(node, expression, (rest.index(axis) for axis in kept), lengths, value.lead)

    def _einsum(self, node: Node, product: Node) -> CodeValue | None:
        """A sum of products of two arrays as one operation; None if it sums no axis of both."""
        if product.op != MULTIPLY:
            return None
        shape = self.shape_of(product)
        pair = [self.scope.value(operand) for operand in product.inputs]
        is_full = all(value.lengths == tuple(shape[axis] for axis in value.axes) for value in pair)
        common = set(pair[0].axes) & set(pair[1].axes)
        if not is_full or pair[0].number is not None or pair[1].number is not None:
            return None
        if not set(node.attr) <= common:
            return None
        letters = "hijklmno"
        lead = "tb"[-len(self.scope.lead) :]
        terms = [lead * bool(value.lead) + "".join(letters[axis] for axis in value.axes) for value in pair]
        rest = [axis for axis in range(product.ndim) if axis not in node.attr]
        kept = [axis for axis in rest if axis in pair[0].axes or axis in pair[1].axes]
        has_lead = any(value.lead for value in pair)
        result = lead * has_lead + "".join(letters[axis] for axis in kept)
        expression = self.library.expression(
            "einsum", f"{terms[0]},{terms[1]}->{result}", f"{pair[0].code}, {pair[1].code}"
        )
        axes = [rest.index(axis) for axis in kept]
        return self.assign(node, expression, axes, lead=None if has_lead else 0)

    def _cumsum(self, node: Node) -> CodeValue:
        axis, reverse = node.attr
        lead, code, at = self.scope.value(node.inputs[0]).lead, self.bound(node.inputs[0]), axis - node.ndim
        code = self.library.expression("flip", code, at) if reverse else code
        code = self.library.expression("cumsum", code, at)
        code = self.library.expression("flip", code, at) if reverse else code
        return self.assign(node, code, range(node.ndim), lead=lead)

    def _recurrence(self, node: Node) -> CodeValue:
        axis, reverse = node.attr
        lead = any(self.scope.value(operand).lead for operand in node.inputs)
        codes = [self.full(operand, needs_lead=lead) for operand in node.inputs]
        code = self.library.expression("recurrence", *codes, axis - node.ndim, reverse)
        return self.assign(node, code, range(node.ndim), lead=None if lead else 0)

    # Products.

    def _dot(self, node: Node) -> CodeValue:
        a, w, *initial = node.inputs
        value, matrix = self.scope.value(a), self.bound(w)
        if a.op == X and self.variant.inputs == "rows":
            product = self.assign(node, f"rows(x, {matrix})", (0,))
            return self.plus(node, initial, product) if initial else product
        last = a.ndim - 1
        if value.axes[-1:] != (last,) or value.lengths[-1] != self.shape_of(a)[last]:
            value = CodeValue(self.bound(a), tuple(range(a.ndim)), self.shape_of(a), value.lead)
        lengths = (*value.lengths[:-1], self.shape_of(node)[-1])
        if initial and value.axes == (0,) and value.lead == 1:
            first = self.aligned(self.scope.value(initial[0]), (0,))
            expression = self.library.expression("add_product", first, value.code, matrix)
            return self.assign(node, expression, (0,))
        product = self.assign(node, f"{value.code} @ {matrix}", value.axes, lengths, value.lead)
        return self.plus(node, initial, product) if initial else product

    def plus(self, node: Node, initial: Sequence[Node], product: CodeValue) -> CodeValue:
        """A product with a term added to it."""
        operands = [product, self.scope.value(initial[0])]
        axes = tuple(range(node.ndim))
        expression = self.expression(ADD, operands, axes)
        return self.assign(node, expression, axes, lead=max(value.lead for value in operands))

    def _dot_heads(self, node: Node) -> CodeValue:
        a, w, *initial = node.inputs
        lead = "tb"[-len(self.scope.lead) :] * bool(self.scope.value(a).lead)
        operands = f"{self.bound(a)}, {self.bound(w)}"
        code = self.library.expression("einsum", f"{lead}hrk,hkn->{lead}hrn", operands)
        product = self.assign(node, code, (0, 1, 2), lead=self.scope.value(a).lead)
        return self.plus(node, initial, product) if initial else product

    def _matrix_function(self, node: Node) -> CodeValue:
        operands = [self.bound(operand) for operand in node.inputs]
        return self.assign(node, self.library.expression(node.op, *operands), (0, 1), lead=0)


def _flat(values: Any) -> Iterable[float]:
    if isinstance(values, int | float):
        return [values]
    return [number for each in values for number in _flat(each)]


def _match_ones(old: ConcreteShape, new: ConcreteShape) -> list[int | None] | None:
    """For each new axis the old one, None for one of length one; None if other axes differ."""
    origins: list[int | None] = []
    at = 0
    for length in new:
        while at < len(old) and old[at] == 1 != length:
            at += 1
        if at < len(old) and old[at] == length:
            origins.append(at)
            at += 1
        elif length == 1:
            origins.append(None)
        else:
            return None
    return origins if all(length == 1 for length in old[at:]) else None


STRUCTURAL: Mapping[Op, Callable[[StructuralWriter, Node], CodeValue]] = {
    ARRAY: StructuralWriter._array,
    BROADCAST: StructuralWriter._broadcast,
    BUFFER: StructuralWriter._leaf,
    CONCAT: StructuralWriter._concat,
    CONSTANT: StructuralWriter._constant,
    CUMSUM: StructuralWriter._cumsum,
    DOT: StructuralWriter._dot,
    DOT_HEADS: StructuralWriter._dot_heads,
    EXPM: StructuralWriter._matrix_function,
    EYE: StructuralWriter._eye,
    INPUT: StructuralWriter._leaf,
    MAX: StructuralWriter._reduce,
    PARAM: StructuralWriter._leaf,
    RECURRENCE: StructuralWriter._recurrence,
    RESHAPE: StructuralWriter._reshape,
    SIZE: StructuralWriter._size,
    SLICE: StructuralWriter._slice,
    SOLVE: StructuralWriter._matrix_function,
    STRIDE: StructuralWriter._stride,
    SUM: StructuralWriter._reduce,
    TRANSPOSE: StructuralWriter._transpose,
    X: StructuralWriter._x,
}
"""The method that writes each structural operation."""
