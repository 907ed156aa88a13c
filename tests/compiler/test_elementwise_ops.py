"""Element-wise rows of the table of operations: code against NumPy, gradients against differences.

A row is tested for being in the table. The tests name only those whose adjoint is, on purpose, not the
derivative, and what is documented of them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.frontend.numpy_functions import compiled_ufuncs
from zoo.compiler.frontend.symbolic import SymbolicArray, apply_elementwise
from zoo.compiler.ir.op_table import OPS, elementwise_rows

no_files = checks.no_files

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
EXACT = [name for name, row in elementwise_rows().items() if row.exact_gradient]
# Kinds of operands: a vector of the row, one number of the row, a parameter, a literal.
VECTOR, ONE, PARAMETER, NUMBER = "vspc"
SHAPES = {VECTOR: ("H",), ONE: (1,), PARAMETER: ("H",)}


def apply(name: str, *operands: Any) -> Any:
    """An operation on arrays or symbols, as zoo's own functions apply it."""
    if any(isinstance(operand, SymbolicArray) for operand in operands):
        return apply_elementwise(name, *operands)
    return OPS[name].numpy(*operands)


def operand_kinds(name: str) -> Iterator[str]:
    """Vectors throughout, and each operand as everything else in turn."""
    count = len(OPS[name].domain)
    yield VECTOR * count
    for place in range(count):
        for kind in (ONE, PARAMETER, NUMBER):
            if count > 1 or kind != NUMBER:
                yield VECTOR * place + kind + VECTOR * (count - place - 1)
    yield PARAMETER * count


def one_line_cell(name: str, kinds: str) -> zoo.Cell:
    """A cell whose output is one operation, and whose states stay as they are."""
    names = [f"{kind}{place}" for place, kind in enumerate(kinds)]
    states = [each for each in names if each[0] in (VECTOR, ONE)]
    params = [each for each in names if each[0] == PARAMETER]

    def step(self: Any, x: Any, h: Any, *values: Any) -> Any:
        given = dict(zip(states, values, strict=True)) | {each: getattr(self, each) for each in params}
        result = apply(name, *_operands(name, names, given))
        y = np.where(result, 1.0, 0.0) if OPS[name].is_bool else result
        return zoo.Output(y + h * self.W, h, *values)

    step.__signature__ = _signature("self", "x", "h", *states)
    return type(
        "OneLine",
        (zoo.Cell,),
        {
            "__doc__": "One operation.",
            "card": CARD,
            "W": zoo.Param("H"),
            **{each: zoo.Param(*SHAPES[PARAMETER]) for each in params},
            "h": zoo.State("H"),
            **{each: zoo.State(*SHAPES[each[0]]) for each in states},
            "step": step,
        },
    )()


def _operands(name: str, names: list[str], given: dict[str, Any]) -> Iterator[Any]:
    """The operands; those that are true or false come from numbers."""
    row = OPS[name]
    for each, (low, high) in zip(names, row.domain, strict=True):
        value = given.get(each, 0.3 * low + 0.7 * high)
        yield value > 0.5 if row.accepts_bool and (low, high) == (0.0, 1.0) else value


def _signature(*names: str) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def operand_trial(name: str, kinds: str) -> Any:
    """Operands within the row's domain."""
    ranges = {f"{kind}{place}": OPS[name].domain[place] for place, kind in enumerate(kinds)}
    return checks.trial(one_line_cell(name, kinds), ranges=ranges)


def check_row(name: str) -> None:
    """Compare the code with NumPy, and the gradient with finite differences, for each kind of operand."""
    for kinds in operand_kinds(name):
        checks.check(operand_trial(name, kinds), tokens=False)


@pytest.mark.parametrize("name", EXACT)
def test_code_equals_numpy_and_vjp_equals_differences(name: str) -> None:
    check_row(name)


WRONG = {
    "the adjoint of tanh": ("tanh", {"vjp": lambda g, y, a: (g * (1.0 - y),)}),
    "a sign": ("subtract", {"vjp": lambda g, y, a, b: (g, g)}),
    "operands exchanged": ("divide", {"code": "{1} / {0}"}),
    "no adjoint": ("sqrt", {"vjp": None}),
    "another meaning": ("sigmoid", {"numpy": np.tanh}),
    "a piece left out": ("maximum", {"code": "{0} if {0} >= {0} else {1}"}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_row_is_detected(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, changes = WRONG[wrong]
    monkeypatch.setitem(OPS, name, dataclasses.replace(OPS[name], **changes))
    with pytest.raises(AssertionError, match=r"off by|gradient of"):
        check_row(name)


def test_every_operand_has_an_interval() -> None:
    for name, row in elementwise_rows().items():
        for place in range(len(row.domain)):
            assert f"{{{place}}}" in row.code or not row.exact_gradient, (
                f"{name} does not use operand {place}"
            )
        assert f"{{{len(row.domain)}}}" not in row.code, f"{name} has an operand without an interval"


# Rows whose gradient is not the derivative.


def gradients_of(name: str) -> tuple[Any, np.ndarray, list[np.ndarray]]:
    """A trial of one step, its result, and the gradients of the operands without those of the carry."""
    kinds = VECTOR * len(OPS[name].domain)
    case = checks.trial(one_line_cell(name, kinds), steps=1)
    with checks.interpreted(case):
        (y, _, _), (_, dstate, _) = case.both_passes(case.x)
    return (
        case,
        y - case.state["h"] * case.params["W"],
        [g - d for g, d in zip(dstate, case.dlast, strict=True)][1:],
    )


def test_stop_gradient_returns_operand_without_gradient() -> None:
    case, y, (gradient,) = gradients_of("stop_gradient")
    checks.assert_close(y[0], case.state["v0"], "value")
    assert not gradient.any()


def test_with_derivative_redirects_the_gradient() -> None:
    case, y, (of_value, of_x, of_slope) = gradients_of("with_derivative")
    checks.assert_close(y[0], case.state["v0"], "value")
    checks.assert_close(of_x, case.dy[0] * case.state["v2"], "gradient of what it depends on")
    assert not of_value.any()
    assert not of_slope.any()


def test_only_markers_have_inexact_gradients() -> None:
    assert set(elementwise_rows()) - set(EXACT) == {"stop_gradient", "with_derivative"}


# All rows, compiled.


def every_row_cell(operands: str = "elements") -> zoo.Cell:
    """A cell that joins the results of every row, of operands that are within every domain.

    The operands are elements of a vector, one number for each sequence, or parameters alone.
    """

    def step(self: Any, x: Any, h: Any) -> Any:
        operand = 0.3 + 0.4 * zoo.sigmoid(self.W if operands == "parameters" else h + self.W)
        results = []
        for name, row in elementwise_rows().items():
            values = [operand * (1 - 0.1 * place) for place in range(len(row.domain))]
            names = [f"v{place}" for place in range(len(values))]
            result = apply(name, *_operands(name, names, dict(zip(names, values, strict=True))))
            results.append(np.where(result, 1.0, 0.0) if row.is_bool else result)
        return zoo.Output(h * sum(results) if operands == "parameters" else np.concatenate(results), h)

    size = 1 if operands == "numbers" else "H"
    members = {"__doc__": "All.", "card": CARD, "W": zoo.Param(size), "h": zoo.State(size), "step": step}
    return type("EveryRow", (zoo.Cell,), members)()


@pytest.mark.parametrize(
    ("operands", "dtype", "tolerance"),
    [
        ("elements", "float64", 1e-9),
        ("elements", "float32", 1e-4),
        ("numbers", "float32", 1e-4),
        ("parameters", "float64", 1e-9),
    ],
)
def test_every_row_compiles(operands: str, dtype: str, tolerance: float) -> None:
    case = checks.trial(every_row_cell(operands), sizes=(2, 5))
    with checks.interpreted(case):
        expected = case.both_passes(case.x)
    results = case.both_passes(case.x, dtype)
    checks.assert_same(results, expected, f"compiled, {dtype}", tolerance)
    assert {array.dtype for array in (results[0][0], *results[0][1], *results[1][2])} == {np.dtype(dtype)}


def test_documents_list_all_compiled_elementwise_functions():
    page = (Path(__file__).parents[2] / "docs" / "cells.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^- elementwise: ((?:.|\n)*?)\n- ", page, re.MULTILINE)
    names = {getattr(np, name).__name__ for name in re.findall(r"`np\.(\w+)`", listed)}
    assert names == {*compiled_ufuncs(), "where", "clip"} - {"matmul", "positive"}
