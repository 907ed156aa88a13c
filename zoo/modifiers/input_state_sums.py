"""Find the sums of a product of a state and a product of the input in a step: ``x @ W + h @ U``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zoo.base.cell_editor import InputStateSum
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.elementwise_ops import ADD
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.structural_ops import SLICE
from zoo.modifiers.matmuls import GraphMatmul


def find_sums(equations: StepGraph, matmuls: Sequence[GraphMatmul]) -> tuple[InputStateSum, ...]:
    """One sum for every product of a state that meets a product of the input in an addition.

    Slices of products count too, as gates are slices: then the two products are aligned as their slices are.
    """
    by_result = {
        each.result[0]: each for each in matmuls if len(each.result) == 1 and each.result[0].ndim == 1
    }
    sums: dict[int, InputStateSum] = {}
    for node in ancestors(equations.outputs):
        if node.op == ADD:
            for candidate in _sums_at(node, by_result):
                sums.setdefault(candidate.state_matmul.index, candidate)
    return tuple(sums[index] for index in sorted(sums))


def _sums_at(node: Node, by_result: dict[Node, GraphMatmul]) -> Iterator[InputStateSum]:
    left, right = ([*_terms(operand, as_dim(0), by_result)] for operand in node.inputs)
    for (a, a_start), (b, b_start) in [(x, y) for x in left for y in right]:
        if a.matmul.is_recurrent and not b.matmul.is_recurrent:
            yield _make_sum(a, a_start, b, b_start)
        elif b.matmul.is_recurrent and not a.matmul.is_recurrent:
            yield _make_sum(b, b_start, a, a_start)


def _terms(node: Node, start: Dim, by_result: dict[Node, GraphMatmul]) -> Iterator[tuple[GraphMatmul, Dim]]:
    """The products that are terms of a sum, and the offset in each at which the sum begins."""
    if node in by_result:
        yield by_result[node], start
    elif node.op == ADD:
        for operand in node.inputs:
            yield from _terms(operand, start, by_result)
    elif node.op == SLICE and node.ndim == 1:
        yield from _terms(node.inputs[0], start + node.attr[1], by_result)


def _make_sum(
    of_state: GraphMatmul, state_start: Dim, of_input: GraphMatmul, input_start: Dim
) -> InputStateSum:
    start, length = input_start - state_start, of_state.result[0].shape[0]
    is_whole = of_input.result[0].shape[0] == length
    select = _slice_function(start, start + length)
    return InputStateSum(of_state.matmul, of_input.matmul, select, is_whole)


def _slice_function(start: Dim, stop: Dim) -> Callable[[Any], Any]:
    return lambda array: SymbolicArray(ops.slice_axis(array.node, 0, start, stop))
