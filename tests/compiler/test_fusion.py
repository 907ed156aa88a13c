"""Loop fusion: which values share a loop, and that loops read what earlier loops store."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import zoo
from zoo.compiler.codegen.loops import strided_index
from zoo.compiler.compile import plan_kernels
from zoo.compiler.ir.dims import ONE, Dim, as_dim, letter
from zoo.compiler.ir.graph import Graph, Level, Node, view_base
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import PARAM, concatenate, reduce_sum, reshape
from zoo.compiler.schedule import phases
from zoo.compiler.schedule.fusion import ArrayLayout, FusedLoop, fused_loops, unreshaped

WIDTH = (as_dim(8),)
INPUTS, UNITS = letter("I"), letter("H")


def leaf(graph: Graph, name: str) -> Node:
    return graph.node(PARAM, attr=name, shape=WIDTH, level=Level.STEP)


def fuse(nodes: list[Node], **stored: Node) -> tuple[list[list[Node]], dict[Node, ArrayLayout]]:
    """The values of each loop, and the arrays."""
    layouts = dict.fromkeys(stored.values(), ArrayLayout.STEPS)
    return [loop.body for loop in fused_loops(nodes, layouts)], layouts


def test_value_is_computed_where_it_is_used() -> None:
    """``a`` depends on no sum, but is read in the loop after it alone."""
    graph = Graph()
    x, y = leaf(graph, "x"), leaf(graph, "y")
    squares, a = x * x, graph.apply("tanh", y)
    total = reduce_sum(squares, (0,))
    out = a * graph.broadcast(total, WIDTH)
    loops, layouts = fuse([squares, a, total, out], out=out)
    assert loops == [[squares, total], [a, out]]
    assert layouts == {out: ArrayLayout.STEPS, total: ArrayLayout.SCALAR}


def test_value_of_two_operands_is_stored_in_their_place() -> None:
    """``a`` and ``b`` are read by the first sum, so their product is stored instead of both."""
    graph = Graph()
    x, y = leaf(graph, "x"), leaf(graph, "y")
    a, b = graph.apply("tanh", x), graph.apply("tanh", y)
    difference, product = a - b, a * b
    total = reduce_sum(difference, (0,))
    out = product * graph.broadcast(total, WIDTH)
    loops, layouts = fuse([a, b, difference, product, total, out], out=out)
    assert loops == [[a, b, difference, product, total], [out]]
    assert set(layouts) == {out, total, product}


def test_result_is_stored_in_the_loop_of_its_operand() -> None:
    """``b`` is a result: in the second loop, its operand ``a`` would need an array."""
    graph = Graph()
    x = leaf(graph, "x")
    a = graph.apply("tanh", x)
    total, b = reduce_sum(a, (0,)), a * 2.0
    out = x * graph.broadcast(total, WIDTH)
    loops, layouts = fuse([a, total, b, out], out=out, b=b)
    assert loops == [[a, total, b], [out]]
    assert set(layouts) == {out, b, total}


def test_axes_of_length_one_do_not_separate_loops() -> None:
    """``a`` is read as a row and as a column, and both are read as vectors."""
    graph = Graph()
    x = leaf(graph, "x")
    a = graph.apply("tanh", x)
    row, column = reshape(a, (ONE, *WIDTH)), reshape(a, (*WIDTH, ONE))
    squares, doubled = row * row, column + column
    out = reshape(doubled, WIDTH) * reshape(squares, WIDTH)
    loops, layouts = fuse([a, squares, doubled, out], out=out)
    assert loops == [[a, squares, doubled, out]]
    assert set(layouts) == {out}


def test_parts_of_a_vector_are_stored_where_they_are_computed() -> None:
    graph = Graph()
    x, y = leaf(graph, "x"), leaf(graph, "y")
    a, b = graph.apply("tanh", x), x * y
    joined = concatenate([a, y, b], 0)
    (loop,) = fused_loops([a, b, joined], {})
    assert loop.body == [a, b]
    assert [value for value, _ in loop.stores] == [a, y, b]


@pytest.mark.parametrize(("start", "stride"), [(0, 2), (5, 3), (9, -2)])
def test_index_of_a_strided_element_is_unsigned(start: int, stride: int) -> None:
    index = strided_index(str(start), as_dim(stride))
    for j in range(4):
        value = eval(index, {"np": np, "j": j})
        assert isinstance(value, np.uint64)
        assert value == start + j * stride


@pytest.mark.parametrize(
    "width", [UNITS - ONE, UNITS - as_dim(2), UNITS - INPUTS, INPUTS * UNITS - INPUTS], ids=str
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_index_is_right_for_strides_of_either_sign(width: Dim, is_reversed: bool) -> None:
    sizes = {"I": 2, "H": 5}
    rows = 3
    stride, start = (as_dim(0) - width, width * as_dim(rows - 1)) if is_reversed else (width, as_dim(0))
    for j in range(rows):
        index = eval(strided_index(str(start), stride), {"np": np, "j": j, **sizes})
        row = rows - 1 - j if is_reversed else j
        assert index == row * width.substitute(sizes).integer


def recorded(cell: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Node], dict[Node, Any]]]:
    """The arguments of all calls of :func:`fused_loops` for a cell."""
    calls: list[tuple[list[Node], dict[Node, Any]]] = []

    def record(nodes: list[Node], layouts: dict[Node, ArrayLayout]) -> list[FusedLoop]:
        calls.append((list(nodes), dict(layouts)))
        return fused_loops(nodes, layouts)

    monkeypatch.setattr(phases, "fused_loops", record)
    plan_kernels.__wrapped__(zoo.get_cell(cell))
    return calls


@pytest.mark.parametrize("cell", ["layer_norm_lstm", "longhorn", "kalman_delta", "mamba", "urnn", "s5"])
def test_loops_read_what_earlier_loops_store(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for nodes, layouts in recorded(cell, monkeypatch):
        inside, complete, parts = set(nodes), set[Node](), Counter[Node]()
        for loop in fused_loops(nodes, layouts):
            read = [operand for node in loop.body for operand in node.inputs]
            for operand in [*read, *(value for value, _ in loop.stores)]:
                base = view_base(operand)
                if base in inside and unreshaped(operand) not in loop.body:
                    assert base in complete
                    assert base in layouts
            parts.update(view.base for _, view in loop.stores)
            complete |= set(loop.body) | {
                node for node in parts if node.op.kind is Kind.CONCAT and parts[node] == len(node.inputs)
            }
        assert complete >= inside
