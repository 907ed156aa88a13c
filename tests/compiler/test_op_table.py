"""The table of operations: every row is complete, and every back end has its code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.support import step_asserts as checks
from tests.support.new_operations import Products
from zoo.compiler.codegen import matmuls
from zoo.compiler.codegen.loops import outline_loop
from zoo.compiler.ir.elementwise_ops import STOP_GRADIENT, WITH_DERIVATIVE
from zoo.compiler.ir.op_table import OPS, Kind, Op
from zoo.compiler.ir.structural_ops import (
    BROADCAST,
    CONCAT,
    DSTATE_OUT,
    DY,
    EXPM,
    EXPM_DERIVATIVE,
    PLACEHOLDER,
    RESHAPE,
    SIZE,
    SOLVE,
)
from zoo.compiler.printing import VIEW_SUFFIXES
from zoo.export import c_source as c_code
from zoo.export import onnx_graph as onnx_code
from zoo.export import onnx_step as onnx_steps
from zoo.export.step_function import MATMULS

ZOO = Path(zoo.__file__).parent
no_files = checks.no_files

KINDS_WITH_CODE = (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.SCAN, Kind.ROW_SUM)
GRADIENT_KINDS = (Kind.OUTER, Kind.ROW_SUM)
FOLDED_OPS = (SIZE, STOP_GRADIENT, WITH_DERIVATIVE, SOLVE, EXPM, EXPM_DERIVATIVE)
"""Operations that are absent from a specialised step: constants, markers, functions of parameters."""

EXPORTED = [
    op
    for op in OPS.values()
    if op not in FOLDED_OPS and op not in (DY, DSTATE_OUT, PLACEHOLDER) and op.kind not in GRADIENT_KINDS
]


@pytest.mark.parametrize(
    "op", [op for op in OPS.values() if op.kind is Kind.ELEMENTWISE and "{0}" in op.code], ids=str
)
def test_loop_functions_take_arrays_only(op: Op) -> None:
    # Builtins as arguments have another type in the next process, which loads the function from the cache.
    expression = op.code.format("a[j]", "b[j]", "c[j]", "d[j]")
    loop = outline_loop("loop", [f"y[j] = {expression}"], "H", [])
    (arguments,) = re.findall(r"^loop\((.*)\)$", loop.call)
    assert set(arguments.split(", ")) <= {"a", "b", "c", "d", "y", "H"}


@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_row_is_complete(op: Op) -> None:
    is_leaf = op.kind is Kind.LEAF
    assert OPS[op] is op
    assert (op.domain != ()) == (op.kind is Kind.ELEMENTWISE)
    assert (op.code != "") == (op.kind in KINDS_WITH_CODE)
    assert (op.view is not None) == (op.kind is Kind.VIEW)
    assert is_leaf or (op.numpy is None) != (op.numpy_for is None)
    assert is_leaf or op.kind is Kind.ELEMENTWISE or op in (BROADCAST, RESHAPE) or op.shape is not None
    assert op.expensive or op.kind in (Kind.LEAF, Kind.ELEMENTWISE, Kind.VIEW, Kind.CONCAT)
    is_in_step = not is_leaf and op.kind not in (*GRADIENT_KINDS, Kind.ELEMENTWISE)
    assert not is_in_step or (op.jvp is not None) == (op.vjp is not None)


@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_numba_back_end_has_code_for_every_operation(op: Op) -> None:
    tables: dict[Kind, Any] = {
        Kind.CONCAT: [CONCAT],
        Kind.MATMUL: matmuls.MATMULS,
        Kind.MATRIX_FUNCTION: matmuls.MATMULS,
        Kind.OUTER: matmuls.MATMULS,
        Kind.ROW_SUM: matmuls.MATMULS,
    }
    assert op.kind in (Kind.LEAF, Kind.VIEW) or op.code or op in tables[op.kind]


@pytest.mark.parametrize("op", EXPORTED, ids=str)
def test_c_back_end_has_code_for_every_operation(op: Op) -> None:
    called = set(re.findall(r"\$(\w+)", op.export))
    assert called <= {*c_code.FUNCTIONS, *c_code.HELPERS}
    assert op.kind in (Kind.LEAF, Kind.VIEW, Kind.CONCAT) or op.export or op in MATMULS


@pytest.mark.parametrize("op", EXPORTED, ids=str)
def test_onnx_back_end_has_code_for_every_operation(op: Op) -> None:
    assert (
        op.kind in (Kind.LEAF, Kind.VIEW)
        or sum((op.onnx != "", op in onnx_code.COMPOSED, op in onnx_steps.STRUCTURAL)) == 1
    )


def test_back_ends_have_no_code_for_unknown_operations() -> None:
    tables: list[Any] = [matmuls.MATMULS, VIEW_SUFFIXES, onnx_steps.STRUCTURAL]
    tables += [MATMULS, onnx_code.COMPOSED]
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


# A new operation needs its row only.


def test_new_operations_compile() -> None:
    checks.check(checks.trial(Products()), tokens=False)


def test_operations_without_a_tangent_rule_raise() -> None:
    rnn = zoo.Recurrent(Products, 2, 4)
    with pytest.raises(zoo.DefinitionError, match=r"derivative of (prod|mirror) in a direction is unknown"):
        rnn.jvp(np.ones((1, 1, 2), np.float32))
