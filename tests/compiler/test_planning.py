"""Planning of long steps: its time grows with the number of operations, and no recursion limits them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.cell_pages.diagram.svg import draw
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import explain
from zoo.compiler.frontend.trace_step import step_graph_of, traceable_values
from zoo.compiler.passes.autodiff import step_vjp

no_files = checks.no_files

Inner = Callable[[zoo.Cell, Any], Any]

CHAINS: dict[str, Inner] = {
    "euler": lambda cell, a: a + 0.02 * (np.tanh(a @ cell.U) - a),
    "logistic": lambda cell, a: a * (1 - a),
    "where": lambda cell, a: np.where(a > 0, 0.9 * a, a * a),
    "truths": lambda cell, a: np.where(np.logical_and(a > 0.1, np.logical_not(a > 0.7)), a, 0.9 * a),
    "sum": lambda cell, a: a + a[0],
    "roll": lambda cell, a: zoo.roll(a, 1),
    "delay": lambda cell, a: np.concatenate([a[1:], a[:1] * 0.9]),
    "views": lambda cell, a: a[None][0, :, None][:, 0],
    "halves": lambda cell, a: np.concatenate([np.multiply(*zoo.split(a, 2)), zoo.split(a, 2)[0]]),
    "softmax": lambda cell, a: zoo.softmax(a) + 0.1 * a,
}


def chain(inner: Inner, length: int, narrow: bool = False) -> zoo.Cell:
    """A cell that applies an operation so often, to values that have no name of their own."""

    def many(cell: zoo.Cell, a: Any) -> Any:
        for _ in range(length):
            a = inner(cell, a)
        return a

    def step(self: Any, x: Any, h: Any) -> Any:
        wide = many(self, zoo.sigmoid(h + h @ self.U + x @ self.W))
        if not narrow:
            return wide
        left, right = zoo.split(wide, 2)
        return np.concatenate([left * right, left - right])

    namespace = {
        "__doc__": "A long step.",
        "card": zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org"),
        "W": zoo.Param("I", "H"),
        "U": zoo.Param("H", "H"),
        "h": zoo.State("H"),
        "step": step,
    }
    return type("Long", (zoo.Cell,), namespace)()


@contextmanager
def at_most(calls: int) -> Iterator[list[int]]:
    """Within it, so many Python functions may be called: a clock that no other process slows down."""
    made = [0]

    def on_event(frame: Any, event: str, arg: Any) -> None:
        made[0] += event == "call"
        if made[0] > calls:
            sys.setprofile(None)
            raise AssertionError(f"more than {calls:,} calls")

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        yield made
    finally:
        sys.setprofile(before)


# About a second of Python.
A_SECOND = 3_000_000


@pytest.mark.parametrize("name", CHAINS)
def test_planning_time_is_linear_in_operations(name: str) -> None:
    with at_most(A_SECOND) as some:
        plan_kernels(chain(CHAINS[name], 8))
    with at_most(A_SECOND) as many:
        plan_kernels(chain(CHAINS[name], 32))
    assert many[0] < 5 * some[0]


@pytest.mark.parametrize("name", ["logistic", "where"])
def test_slices_of_a_long_chain_are_pushed_once(name: str) -> None:
    with at_most(A_SECOND):
        plan_kernels(chain(CHAINS[name], 32, narrow=True))


def test_inner_steps_of_gru_ode_are_planned_quickly() -> None:
    with at_most(A_SECOND):
        plan_kernels(zoo.get_cell("gru_ode", steps=24))


@pytest.mark.parametrize("name", ["logistic", "roll", "views"])
def test_long_chain_needs_no_recursion(name: str) -> None:
    cell = chain(CHAINS[name], 250)
    explain(cell)
    traceable_values(cell)
    assert step_vjp(cell).gradient_of(step_graph_of(cell).y) is not None
    draw(cell)


def test_long_sum_with_a_product_needs_no_recursion() -> None:
    def inner(cell: Any, a: Any) -> Any:
        return sum((a * number for number in range(1000)), a @ cell.U)

    assert "kernels.add_matmul_ta(" in plan_kernels(chain(inner, 1)).source


@pytest.mark.parametrize("name", ["logistic", "where", "halves"])
def test_long_chain_has_exact_gradients(name: str) -> None:
    checks.check(checks.trial(chain(CHAINS[name], 100), steps=2), tokens=False)
