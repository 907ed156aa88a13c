"""Hidden sizes for a budget of parameters: the nearest there is, whichever sizes a cell comes in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.comparison.hidden_size import MOST_HIDDEN, Size, nearest, smallest
from zoo.comparison.resolve import parameters


def cell(inputs: int, square: int, step: int):
    """Parameters of a cell with ``square`` recurrent matrices that comes in multiples of ``step``."""
    return lambda hidden: None if hidden % step else hidden * (inputs + square * hidden) + 3


@given(
    st.integers(1, 200_000),
    st.integers(1, 20),
    st.integers(0, 8),
    st.sampled_from([1, 2, 4, 7, 16, 64, 100]),
)
def test_no_size_is_nearer(budget, inputs, square, step):
    count = cell(inputs, square, step)
    found = nearest(budget, count)
    sizes = [Size(hidden, number) for hidden in range(1, 1500) if (number := count(hidden)) is not None]
    if sizes[-1].parameters < budget:
        return
    expected = min(sizes, key=lambda size: (abs(size.parameters - budget), size.hidden))
    assert found == expected


def test_equal_sizes_give_the_smallest():
    assert nearest(10, lambda hidden: 10) == Size(1, 10)
    assert nearest(10, lambda hidden: 5 * hidden) == Size(2, 10)
    assert nearest(12, lambda hidden: 8 * hidden) == Size(1, 8)  # 16 is as near


def test_what_is_out_of_reach():
    assert nearest(1, cell(5, 1, 16)) == Size(16, 16 * 21 + 3)
    assert nearest(10**12, lambda hidden: hidden) is None
    assert nearest(100, lambda hidden: None) is None
    assert nearest(MOST_HIDDEN, lambda hidden: hidden) == Size(MOST_HIDDEN, MOST_HIDDEN)


def test_the_smallest_size():
    assert smallest(cell(5, 1, 16)) == Size(16, 16 * 21 + 3)
    assert smallest(lambda hidden: None) is None


def test_few_counts_are_needed():
    asked = []
    nearest(100_000, lambda hidden: asked.append(hidden) or 4 * hidden * hidden)
    assert len(asked) < 40
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("budget", [500, 20_000])
def test_the_counts_are_those_of_models(budget):
    """Of cells that come in every size, that have heads, that hold buffers, and that are modified."""
    problem = SimpleNamespace(task=SimpleNamespace(input_size=5, output_size=3))
    for name in ("vanilla", "lstm_projected", "clockwork", "gla", "lmu", "lstm+block_diagonal"):
        cell = zoo.get_cell(name)

        def count(hidden, cell=cell):
            try:
                return parameters(cell, problem, hidden, 2)
            except zoo.UsageError:
                return None

        found = nearest(budget, count)
        assert found is not None
        brute = [Size(hidden, number) for hidden in range(1, 200) if (number := count(hidden)) is not None]
        assert found == min(brute, key=lambda size: (abs(size.parameters - budget), size.hidden)), name
