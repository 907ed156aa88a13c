"""Reverse-mode differentiation of a graph, and the gradient rules of structural operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from zoo.compiler.ir.dims import Dim, as_dim, product
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.structural_ops import (
    ONE,
    concatenate,
    cumsum,
    expm_derivative,
    flip,
    matmul,
    outer,
    outer_heads,
    recurrence,
    reduce,
    reshape,
    row_sum,
    slice_axis,
    solve,
    transpose,
    transpose_last,
    with_ones,
)
from zoo.compiler.ir.views import GENERIC_SIZES


@dataclass(frozen=True)
class SliceGradient:
    """The gradient of the entries from ``start`` to ``stop`` along an axis."""

    axis: int
    start: Dim
    stop: Dim
    gradient: Node


Contribution: TypeAlias = "Node | SliceGradient | None"


def gradients(seeds: Mapping[Node, Node], sources: Iterable[Node]) -> dict[Node, Node]:
    """Return the gradients of ``sum(seed * output)``, over all rows and steps.

    Args:
        seeds: The gradient of each output.
        sources: Leaves to differentiate with respect to.

    Returns:
        The gradient of every node between sources and outputs. A source on which no output depends, or only
        through operations without derivative, has none.
    """
    active = _dependents(sources, seeds)
    collected: dict[Node, list[Node | SliceGradient]] = {node: [] for node in active}
    for output, gradient in seeds.items():
        if output in collected:
            collected[output].append(_sum_over_rows(output, gradient))
    gradient_of = {}
    for node in reversed(active):
        if collected[node]:
            gradient_of[node] = _accumulate(node, collected[node])
            for operand, contribution in zip(node.inputs, _vjp_of(node, gradient_of[node]), strict=False):
                if contribution is not None and operand in collected:
                    collected[operand].append(_sum_over_rows(operand, contribution))
    return gradient_of


def _dependents(sources: Iterable[Node], outputs: Iterable[Node]) -> list[Node]:
    """The ancestors of the outputs that depend on the sources, inputs first."""
    dependents = set(sources)
    nodes = ancestors(outputs)
    for node in nodes:
        if any(operand in dependents for operand in node.inputs):
            dependents.add(node)
    return [node for node in nodes if node in dependents]


def _sum_over_rows(operand: Node, contribution: Node | SliceGradient) -> Node | SliceGradient:
    """Sum a contribution over the rows if they share the operand."""
    if operand.level != Level.ONCE:
        return contribution
    if isinstance(contribution, SliceGradient):
        gradient = _row_sum(contribution.gradient)
        return SliceGradient(contribution.axis, contribution.start, contribution.stop, gradient)
    return _row_sum(contribution)


def _row_sum(gradient: Node) -> Node:
    return gradient if gradient.level == Level.ONCE else row_sum(gradient)


def _accumulate(node: Node, contributions: list[Node | SliceGradient]) -> Node:
    whole = [each for each in contributions if isinstance(each, Node)]
    slices = [each for each in contributions if isinstance(each, SliceGradient)]
    for axis in sorted({each.axis for each in slices}):
        whole += _assemble_slices(node, axis, [each for each in slices if each.axis == axis])
    total = whole[0]
    for each in whole[1:]:
        total = total + each
    return total


def _assemble_slices(node: Node, axis: int, slices: list[SliceGradient]) -> list[Node]:
    """Concatenate slices with zeros between them. Slices that overlap for some I and H get separate arrays.

    For example ``h[:H/2]`` and ``h[I:]`` overlap unless I is large.
    """
    waiting = sorted(slices, key=lambda each: each.start.evaluate(GENERIC_SIZES))
    arrays = []
    while waiting:
        row: list[Node] = []
        end, left = as_dim(0), []
        for each in waiting:
            if row and -1 in (each.start - end).signs():
                left.append(each)
                continue
            row += _zeros(node, axis, each.start - end)
            row.append(each.gradient)
            end = each.stop
        row += _zeros(node, axis, node.shape[axis] - end)
        arrays.append(concatenate(row, axis))
        waiting = left
    return arrays


def _zeros(node: Node, axis: int, length: Dim) -> list[Node]:
    if length == as_dim(0):
        return []
    return [node.graph.constant(0.0, (*node.shape[:axis], length, *node.shape[axis + 1 :]))]


def _vjp_of(node: Node, g: Node) -> tuple[Contribution, ...]:
    """The contributions of a node to the gradients of its inputs."""
    operation = node.graph.operations.get(node.op)
    if operation is not None:
        return operation.vjp(g, node, *node.inputs) if operation.vjp else ()
    return _STRUCTURE[node.op](node, g) if node.inputs else ()


def _broadcast(node: Node, g: Node) -> tuple[Node]:
    inner = node.inputs[0].shape
    new = node.ndim - len(inner)
    axes = [axis for axis in range(node.ndim) if axis < new or inner[axis - new] != node.shape[axis]]
    return (reshape(reduce(g, "sum", tuple(axes)), inner),)


def _slice(node: Node, g: Node) -> tuple[SliceGradient]:
    axis, start, stop = node.attr
    return (SliceGradient(axis, start, stop, g),)


def _stride(node: Node, g: Node) -> tuple[SliceGradient]:
    axis, start, step, length = node.attr
    if step.signs() == {-1}:
        g, start, step = flip(g, axis), start + step * (length - ONE), as_dim(0) - step
    gradient = _with_zeros_between(g, axis, step)
    return (SliceGradient(axis, start, start + gradient.shape[axis], gradient),)


def _with_zeros_between(g: Node, axis: int, step: Dim) -> Node:
    """Put ``step - 1`` zeros between the entries along an axis."""
    if step == ONE:
        return g
    before, length, after = g.shape[:axis], g.shape[axis], g.shape[axis + 1 :]
    zeros = g.graph.constant(0.0, (*before, length, step - ONE, *after))
    rows = concatenate([reshape(g, with_ones(g.shape, (axis + 1,))), zeros], axis + 1)
    return slice_axis(
        reshape(rows, (*before, length * step, *after)), axis, as_dim(0), (length - ONE) * step + ONE
    )


def _concat(node: Node, g: Node) -> tuple[Node, ...]:
    start, gradients_of_inputs = as_dim(0), []
    for operand in node.inputs:
        stop = start + operand.shape[node.attr]
        gradients_of_inputs.append(slice_axis(g, node.attr, start, stop))
        start = stop
    return tuple(gradients_of_inputs)


def _reshape(node: Node, g: Node) -> tuple[Node]:
    return (reshape(g, node.inputs[0].shape),)


def _transpose(node: Node, g: Node) -> tuple[Node]:
    return (transpose(g, tuple(node.attr.index(axis) for axis in range(node.ndim))),)


def _spread_over(node: Node, value: Node) -> Node:
    """Broadcast a value of a reduction's shape to that of its operand."""
    operand = node.inputs[0]
    return node.graph.broadcast(reshape(value, with_ones(value.shape, node.attr)), operand.shape)


def _sum(node: Node, g: Node) -> tuple[Node]:
    return (_spread_over(node, g),)


def _max(node: Node, g: Node) -> tuple[Node]:
    """The largest entry gets the gradient; several of them share it equally."""
    graph = node.graph
    largest = graph.apply("equal", node.inputs[0], _spread_over(node, node))
    share = g / reduce(graph.as_number(largest), "sum", node.attr)
    return (graph.apply("where", largest, _spread_over(node, share), 0.0),)


def _cumsum(node: Node, g: Node) -> tuple[Node]:
    axis, reverse = node.attr
    return (cumsum(g, axis, not reverse),)


def _recurrence(node: Node, g: Node) -> tuple[Node, Node]:
    """The gradient of ``b`` is a recurrence in the other direction, with the factors shifted by one entry."""
    (axis, reverse), a = node.attr, node.inputs[0]
    db = recurrence(_shift(a, axis, back=not reverse), g, axis, not reverse)
    return db * _shift(node, axis, back=reverse), db


def _shift(node: Node, axis: int, back: bool) -> Node:
    """Shift the entries along an axis by one, forwards or backwards; the first or last one becomes zero."""
    length = node.shape[axis]
    zero = node.graph.constant(0.0, (*node.shape[:axis], ONE, *node.shape[axis + 1 :]))
    if back:
        return concatenate([slice_axis(node, axis, ONE, length), zero], axis)
    return concatenate([zero, slice_axis(node, axis, as_dim(0), length - ONE)], axis)


def _dot(node: Node, g: Node) -> tuple[Node, ...]:
    a, w, *base = node.inputs
    if node.level == Level.ONCE:  # parameters times parameters: no rows to sum over
        return matmul(g, transpose_last(w)), _product_of_shared(a, g), *(g for _ in base)
    back = node.graph.node("dot", (g, transpose_last(w)), None, (*g.shape[:-1], w.shape[0]))
    return (back, outer(a, g), *(g for _ in base))


def _product_of_shared(a: Node, g: Node) -> Node:
    """``a.T @ g``."""
    rows = product(a.shape[:-1])
    return matmul(transpose_last(reshape(a, (rows, a.shape[-1]))), reshape(g, (rows, g.shape[-1])))


def _dot_heads(node: Node, g: Node) -> tuple[Node, ...]:
    a, w, *base = node.inputs
    back = node.graph.node("dot_heads", (g, transpose_last(w)), None, a.shape)
    if node.level == Level.ONCE:  # parameters times parameters: no rows to sum over
        dw = reshape(a, (*a.shape, ONE)) * reshape(g, (g.shape[0], ONE, g.shape[1]))
        return back, dw, *(g for _ in base)
    return back, outer_heads(a, g), *(g for _ in base)


def _solve(node: Node, g: Node) -> tuple[Node, Node]:
    db = solve(transpose_last(node.inputs[0]), g)
    return -matmul(db, transpose_last(node)), db


def _expm(node: Node, g: Node) -> tuple[Node]:
    """The adjoint of the derivative at a matrix is the derivative at its transpose."""
    return (expm_derivative(transpose_last(node.inputs[0]), g),)


_STRUCTURE: dict[str, Callable[[Node, Node], tuple[Contribution, ...]]] = {
    "broadcast": _broadcast,
    "concat": _concat,
    "cumsum": _cumsum,
    "dot": _dot,
    "dot_heads": _dot_heads,
    "expm": _expm,
    "max": _max,
    "recurrence": _recurrence,
    "reshape": _reshape,
    "slice": _slice,
    "solve": _solve,
    "stride": _stride,
    "sum": _sum,
    "transpose": _transpose,
}
