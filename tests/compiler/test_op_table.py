"""The table of operations: every row is complete, and every back end has its code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.support import step_asserts as checks
from zoo.compiler.codegen import matmuls, op_code
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.op_table import OPS, Kind, Op
from zoo.compiler.ir.structural_ops import (
    BROADCAST,
    CONCAT,
    DSTATE_OUT,
    DY,
    PLACEHOLDER,
    RESHAPE,
    SUM,
    reshape,
    with_ones,
)
from zoo.compiler.passes.specialise import FOLDED_OPS
from zoo.compiler.printing import VIEW_SUFFIXES
from zoo.export import c_source as c_code
from zoo.export import onnx_graph as onnx_code
from zoo.export import onnx_step as onnx_steps

ZOO = Path(zoo.__file__).parent
no_files = checks.no_files

GRADIENT_KINDS = (Kind.OUTER, Kind.ROW_SUM)
EXPORTED = [
    op
    for op in OPS.values()
    if op not in FOLDED_OPS and op not in (DY, DSTATE_OUT, PLACEHOLDER) and op.kind not in GRADIENT_KINDS
]


@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_row_is_complete(op: Op) -> None:
    is_leaf = op.kind is Kind.LEAF
    assert OPS[op] is op
    assert (op.code != "") == (op.domain != ()) == (op.kind is Kind.ELEMENTWISE)
    assert (op.view is not None) == (op.kind is Kind.VIEW)
    assert is_leaf or (op.numpy is None) != (op.numpy_for is None)
    assert is_leaf or op.kind is Kind.ELEMENTWISE or op in (BROADCAST, RESHAPE) or op.shape is not None
    assert op.expensive or op.kind in (Kind.LEAF, Kind.ELEMENTWISE, Kind.VIEW, Kind.CONCAT)


@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_numba_back_end_has_code_for_every_operation(op: Op) -> None:
    tables: dict[Kind, Any] = {
        Kind.ELEMENTWISE: [name for name, row in OPS.items() if row.code],
        Kind.VIEW: VIEW_SUFFIXES,
        Kind.CONCAT: [CONCAT],
        Kind.REDUCTION: op_code.REDUCTIONS,
        Kind.SCAN: op_code.SCANS,
        Kind.MATMUL: matmuls.MATMULS,
        Kind.MATRIX_FUNCTION: matmuls.MATMULS,
        Kind.OUTER: matmuls.MATMULS,
        Kind.ROW_SUM: matmuls.MATMULS,
    }
    assert op.kind is Kind.LEAF or op in tables[op.kind]


@pytest.mark.parametrize("op", EXPORTED, ids=str)
def test_c_back_end_has_code_for_every_operation(op: Op) -> None:
    tables: dict[Kind, Any] = {
        Kind.ELEMENTWISE: c_code.OPERATIONS,
        Kind.VIEW: VIEW_SUFFIXES,
        Kind.CONCAT: [CONCAT],
        Kind.REDUCTION: c_code.REDUCTIONS,
        Kind.SCAN: c_code.SCANS,
        Kind.MATMUL: c_code.MATMULS,
    }
    assert op.kind is Kind.LEAF or op in tables[op.kind]


@pytest.mark.parametrize("op", EXPORTED, ids=str)
def test_onnx_back_end_has_code_for_every_operation(op: Op) -> None:
    assert op.kind is Kind.LEAF or op in onnx_code.OPERATIONS or op in onnx_steps.STRUCTURAL


def test_back_ends_have_no_code_for_unknown_operations() -> None:
    tables = [op_code.REDUCTIONS, op_code.SCANS, matmuls.MATMULS, VIEW_SUFFIXES, onnx_steps.STRUCTURAL]
    tables += [c_code.REDUCTIONS, c_code.SCANS, c_code.MATMULS, c_code.OPERATIONS, onnx_code.OPERATIONS]
    assert {name for table in tables for name in table} <= set(OPS)


def test_no_operation_is_compared_with_a_string() -> None:
    compared = re.compile(r"""\.op (==|!=|in|not in) (\(\*?\w*,? ?)?["']""")
    lines = [
        f"{path.relative_to(ZOO)}: {line.strip()}"
        for path in ZOO.rglob("*.py")
        if path.name not in ("graph.py", "op_table.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if compared.search(line)
    ]
    assert not lines


# A new operation needs a row and its code: here the product over some axes.


def _prod_vjp(g: Any, node: Any, a: Any) -> tuple[Any]:
    def spread(value: Any) -> Any:
        return node.graph.broadcast(reshape(value, with_ones(value.shape, node.attr)), a.shape)

    return (spread(g * node) / a,)


PROD = Op(
    "prod",
    Kind.REDUCTION,
    shape=SUM.shape,
    numpy_for=lambda node, sizes, dtype: lambda value: np.prod(value, node.attr[0] - node.inputs[0].ndim),
    vjp=_prod_vjp,
    expensive=True,
)


def _prod(a: Any) -> Any:
    """The product of the last axis."""
    if not isinstance(a, SymbolicArray):
        return np.prod(a, -1)
    return SymbolicArray(a.graph.node(PROD, (a.node,), (a.ndim - 1,)))


class Products(zoo.Cell):
    """A cell with a new operation."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    W, U = zoo.Param("H", 3, init="ones"), zoo.Param("I", "H", init="ones")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(_prod(zoo.sigmoid(h[:, None] * self.W)) + x @ self.U)


def test_new_reduction_needs_a_row_and_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, PROD, PROD)
    monkeypatch.setitem(op_code.REDUCTIONS, PROD, op_code.ReductionCode(1.0, "{0} *= {1}"))
    checks.check(checks.trial(Products()), tokens=False)
