"""Reverse-mode differentiation of a graph, by the gradient rules of the table of operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from zoo.compiler.ir.dims import GENERIC_SIZES, ZERO, Dim
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.structural_ops import SliceGradient, concatenate, row_sum

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
        end, left = ZERO, []
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
    if length == ZERO:
        return []
    return [node.graph.constant(0.0, (*node.shape[:axis], length, *node.shape[axis + 1 :]))]


def _vjp_of(node: Node, g: Node) -> tuple[Contribution, ...]:
    """The contributions of a node to the gradients of its inputs."""
    return node.op.vjp(g, node, *node.inputs) if node.op.vjp is not None else ()
