"""Counts and formulas: what a cell says of its sizes is what its arrays have."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import zoo

SIZES = [(1, 12), (65, 128), (7, 24), (30, 36)]
CELLS = zoo.list_cells()


def worked_out(formula: str, cell: zoo.Cell, input_size: int, hidden_size: int) -> int:
    """A formula in numbers: letters are sizes and options, ``4H`` and ``·`` multiply, divisions come out."""
    text = re.sub(r"(?<=[0-9)])(?=[A-Za-z_(])", "*", formula.replace("·", "*").replace("/", "//"))
    letters = {"I": input_size, "H": hidden_size, **cell.options}
    return int(eval(text, {"__builtins__": {}}, letters))


def sizes_of(cell: zoo.Cell) -> list[tuple[int, int]]:
    results = []
    for pair in SIZES:
        try:
            cell.param_shapes(*pair), cell.state_shapes(*pair)
        except zoo.UsageError:
            continue
        results.append(pair)
    return results


@pytest.mark.parametrize("name", CELLS)
def test_parameter_count_formula(name: str) -> None:
    cell = zoo.get_cell(name)
    assert len(sizes_of(cell)) > 1
    for pair in sizes_of(cell):
        layer = zoo.Recurrent(cell, *pair)
        count = sum(array.size for array in layer.params.values())
        assert cell.parameter_count(*pair) == layer.theta.size == count
        assert worked_out(cell.parameter_formula(), cell, *pair) == count


@pytest.mark.parametrize("name", CELLS)
def test_state_size_formula(name: str) -> None:
    cell = zoo.get_cell(name)
    for pair in sizes_of(cell):
        shapes = cell.state_shapes(*pair).values()
        count = sum(np.zeros(shape).size for shape in shapes)
        assert cell.state_size(*pair) == count == sum(map(math.prod, shapes))
        assert worked_out(cell.state_formula(), cell, *pair) == count


def test_state_size_formula_matches_layer() -> None:
    _, state = zoo.Recurrent("vanilla", 3, 5).forward(np.ones((2, 7, 3)))
    carried = sum(array.size for array in state.values())
    assert carried == 7 * zoo.get_cell("vanilla").state_size(3, 5)


def test_formula_counts_complex_twice_and_parenthesises_sums() -> None:
    class Counted(zoo.Cell):
        """Sizes of every kind."""

        card = zoo.Card(title="T", authors="A", year=2000, url="https://example.org")
        order = zoo.Option(3, low=1)
        W = zoo.Param("I+H", "2H/order", complex=True)
        s = zoo.Param()
        z = zoo.State("H", complex=True)
        m = zoo.State("order", "H-1")

        def step(self, x, z, m): ...

    assert Counted.parameter_formula() == "2·(I+H)·(2H/order) + 1"
    assert Counted.state_formula() == "2·H + order·(H-1)"
    assert Counted(order=2).parameter_count(3, 4) == 2 * 7 * 4 + 1
    assert Counted(order=2).state_size(3, 4) == 2 * 4 + 2 * 3
