"""Find the products with parameter matrices in a step, and the sums ``x @ W + h @ U`` of two of them."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.base import Cell
from zoo.base.modifier import InputStateSum, Matmul, Sizes
from zoo.compiler.frontend.complex_numbers import Complex, planes_of
from zoo.compiler.frontend.numpy_functions import matmul_hook
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.elementwise_ops import ADD
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.structural_ops import PARAM, PLACEHOLDER, RESHAPE, SLICE

_PARAMETERS = (PARAM, PLACEHOLDER)


@dataclass(frozen=True)
class GraphMatmul:
    """A product in the graph of a step.

    Args:
        matmul: Its description for modifiers.
        operand: Nodes of the operand.
        result: Nodes of the result: one, or two for complex numbers.
    """

    matmul: Matmul
    operand: tuple[Node, ...]
    result: tuple[Node, ...]


def split_parameter_matmul(a: Any, b: Any) -> tuple[Any, Any, bool] | None:
    """The operand, the matrix, and whether the matrix is on the left; None if neither is a parameter matrix.

    A parameter matrix depends on parameters alone. The operand depends on more.
    """
    if _depends_on_step(a) and _is_parameter_only(b):
        return a, b, False
    if _depends_on_step(b) and _is_parameter_only(a):
        return b, a, True
    return None


@functools.lru_cache(maxsize=256)  # each modifier of a cell needs them; a trace takes 1 to 20 ms
def find_matmuls(cell: Cell) -> tuple[StepGraph, tuple[GraphMatmul, ...]]:
    """The equations of a cell, and its products with parameter matrices.

    Raises:
        DefinitionError: if the cell's step cannot be read.
    """
    recorded: list[tuple[Any, Any, bool, Any]] = []

    def record(a: Any, b: Any) -> Any:
        result = a @ b
        if (factors := split_parameter_matmul(a, b)) is not None:
            recorded.append((*factors, result))
        return result

    with matmul_hook(record):
        equations = trace_step(cell)
    matmuls = recorded[: len(recorded) // 2]  # a step is traced twice, to check that it is deterministic
    names = _unique_names([planes_of(matrix) for _, matrix, *_ in matmuls])
    return equations, tuple(
        _describe_matmul(index, name, *factors)
        for index, (name, factors) in enumerate(zip(names, matmuls, strict=True))
    )


def _describe_matmul(
    index: int, name: str, operand: Any, matrix: Any, is_left: bool, result: Any
) -> GraphMatmul:
    param, param_index = _parameter_location(planes_of(matrix))
    is_complex = any(isinstance(each, Complex) for each in (operand, matrix))
    is_recurrent = any(node.level == Level.STEP for node in planes_of(operand))
    sizes = size_texts(operand.dims), size_texts(matrix.dims), size_texts(result.dims)
    num_squares = _count_squares(matrix.dims)
    matmul = Matmul(index, name, param, param_index, is_recurrent, *sizes, is_left, is_complex, num_squares)
    return GraphMatmul(matmul, planes_of(operand), planes_of(result))


def _count_squares(dims: Sequence[Dim]) -> int | None:
    count = dims[1].divide(dims[0]) if len(dims) == 2 else None
    return count.integer if count is not None else None


def size_texts(dims: Sequence[Dim]) -> Sizes:
    """Lengths in the notation of declarations, ``"4H"``."""
    return tuple(re.sub(r"(\d) \* ", r"\1", str(dim)).replace(" // ", "/") for dim in dims)


def _depends_on_step(value: Any) -> bool:
    return any(node.level != Level.ONCE for node in planes_of(value))


def _is_parameter_only(value: Any) -> bool:
    return not _depends_on_step(value) and bool(_parameters(planes_of(value)))


def _parameters(nodes: Iterable[Node]) -> list[str]:
    return [node.attr for node in ancestors(nodes) if node.op in _PARAMETERS]


def _parameter_location(nodes: Sequence[Node]) -> tuple[str, tuple[int, ...]]:
    """The parameter that a matrix is, and its index in a stack; an empty name if the matrix is computed."""
    locations = [_node_location(node) for node in nodes]
    params = {param for param, _ in locations}
    if len(nodes) == 2:  # the real and the imaginary plane of one parameter
        is_whole = len(params) == 1 and [index for _, index in locations] == [(0,), (1,)]
        return (params.pop(), ()) if is_whole else ("", ())
    return locations[0]


def _node_location(node: Node) -> tuple[str, tuple[int, ...]]:
    if node.op in _PARAMETERS:
        return node.attr, ()
    source = node.inputs[0] if node.op == RESHAPE else node
    start = 0
    if source.op == SLICE and source.attr[0] == 0 and source.attr[1].integer is not None:
        start, source = source.attr[1].integer, source.inputs[0]
    is_one = source.op in _PARAMETERS and node.shape == source.shape[1:]
    is_one = is_one and (node.inputs[0].op == SLICE or source.shape[0] == as_dim(1))
    return (source.attr, (start,)) if is_one else ("", ())


def _unique_names(matrices: Iterable[Sequence[Node]]) -> list[str]:
    """A name for each product: its parameter, with the index, and a number where that is taken."""
    names: list[str] = []
    for matrix in matrices:
        param, param_index = _parameter_location(matrix)
        name = "".join([param or _parameters(matrix)[0], *map(str, param_index)])
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        names.append(next(each for each in itertools.chain([name], numbered) if each not in names))
    return names


def find_sums(equations: StepGraph, matmuls: Sequence[GraphMatmul]) -> tuple[InputStateSum, ...]:
    """Find the additions of a product of a state and a product of the input, such as ``x @ Wx + h @ Wh``.

    There is at most one for each product of a state. The operands may be slices of products, as gates are.
    Then the two products are aligned like their slices.
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
    state_matmul: GraphMatmul, state_start: Dim, input_matmul: GraphMatmul, input_start: Dim
) -> InputStateSum:
    start, length = input_start - state_start, state_matmul.result[0].shape[0]
    is_whole = input_matmul.result[0].shape[0] == length
    select = _slice_function(start, start + length)
    return InputStateSum(state_matmul.matmul, input_matmul.matmul, select, is_whole)


def _slice_function(start: Dim, stop: Dim) -> Callable[[Any], Any]:
    return lambda array: SymbolicArray(ops.slice_axis(array.node, 0, start, stop))
