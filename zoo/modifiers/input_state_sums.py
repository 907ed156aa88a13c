"""Where a step adds a product of a state and one of the input: ``x @ W + h @ U``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zoo.base.cell_editor import Sum
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Node, ancestors
from zoo.modifiers.matmuls import Found


def find_sums(equations: StepGraph, products: Sequence[Found]) -> tuple[Sum, ...]:
    """One sum for every product of a state that meets a product of the input in an addition.

    Parts of products count too, as gates are: then the two are aligned as their parts are.
    """
    results = {
        each.result[0]: each for each in products if len(each.result) == 1 and each.result[0].ndim == 1
    }
    found: dict[int, Sum] = {}
    for node in ancestors(equations.outputs):
        if node.op == "add":
            for made in _meeting(node, results):
                found.setdefault(made.recurrent.index, made)
    return tuple(found[index] for index in sorted(found))


def _meeting(node: Node, results: dict[Node, Found]) -> Iterator[Sum]:
    left, right = ([*_terms(operand, as_dim(0), results)] for operand in node.inputs)
    for (a, at), (b, by) in [(x, y) for x in left for y in right]:
        if a.product.recurrent != b.product.recurrent:
            yield _sum(a, at, b, by) if a.product.recurrent else _sum(b, by, a, at)


def _terms(node: Node, start: Dim, results: dict[Node, Found]) -> Iterator[tuple[Found, Dim]]:
    """The products that are terms of a sum, and where in each of them the sum begins."""
    if node in results:
        yield results[node], start
    elif node.op == "add":
        for operand in node.inputs:
            yield from _terms(operand, start, results)
    elif node.op == "slice" and node.ndim == 1:
        yield from _terms(node.inputs[0], start + node.attr[1], results)


def _sum(recurrent: Found, at: Dim, driven: Found, by: Dim) -> Sum:
    start, length = by - at, recurrent.result[0].shape[0]
    is_whole = driven.result[0].shape[0] == length
    return Sum(recurrent.product, driven.product, _part(start, start + length), is_whole)


def _part(start: Dim, stop: Dim) -> Callable[[Any], Any]:
    return lambda array: SymbolicArray(ops.slice_axis(array.node, 0, start, stop))
