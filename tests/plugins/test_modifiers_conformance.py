"""Modified cells obey the laws of cells: each modifier on some cells, each cell with some modifier."""

from __future__ import annotations

import contextlib
import os
from unittest import SkipTest

import pytest
from law_options import LAW_OPTIONS, plain_kinds

import zoo
import zoo.testing
from zoo.kernels import pure_python
from zoo.testing.laws import (
    check_directional_derivative,
    check_help,
    check_jit_equals_python,
    check_large_sizes,
    check_learns,
    check_parameter_count,
    check_save_load,
    check_split,
    check_step_agrees,
    check_well_formed,
)
from zoo.testing.trials import ALL_KINDS, FLOAT64, TOKENS32, TOKENS64

# All laws, as plain Python, for one or two cells with each modifier.
CELLS = (
    "vanilla+zoneout",
    "lstm+recurrent_dropout",
    "gru+residual",
    "mgu+layer_norm",
    "gru+multiplicative_integration",
    "lstm+diagonal",
    "rhn+low_rank",
    "gru+block_diagonal",
    "vanilla+fast_slow",
    "gru+short_convolution",
    "gru+episodes",
    "shallow_plrnn+teacher_forcing",
    "vanilla+low_rank+layer_norm+zoneout",
)
COMPILED = ("vanilla+zoneout", "gru+block_diagonal")
COMPILING = (check_jit_equals_python, check_learns, check_large_sizes)

# For the others, those that see a wrong equation or gradient, and what is not saved.
DECLARATION_LAWS = (check_well_formed, check_help, check_parameter_count)
# With the kinds of input of each. A cell is tried with one of them, and the next cell with the next.
EQUATION_LAWS = {check_directional_derivative: FLOAT64, check_step_agrees: ALL_KINDS}
# One of them for each cell: some cells with each modifier obey both.
STATE_LAWS = ((check_split, ALL_KINDS), (check_save_load, (TOKENS64, TOKENS32)))


@pytest.fixture(autouse=True)
def fewer_examples(monkeypatch):
    """Two examples of each law, since there are many cells. The first has all sizes one."""
    monkeypatch.setenv("ZOO_TEST_EXAMPLES", os.environ.get("ZOO_TEST_EXAMPLES", "2"))


@zoo.testing.parametrize_cells(*CELLS)
def test_law(cell, check):
    if check in COMPILING:  # as in test_conformance.py
        if cell.name in COMPILED:
            check(cell, kinds=(TOKENS32,))
        return
    with pure_python():
        # Dtypes and tokens are the business of the cell without modifiers.
        check(cell, **plain_kinds(check, cell.name))


def test_all_laws_are_tried_with_every_modifier():
    assert {modifier for cell in CELLS for modifier in cell.split("+")[1:]} == {*zoo.list_modifiers()}


def suited(name, turn):
    """A cell with the first modifier, counted from its turn, that suits it."""
    modifiers = zoo.list_modifiers()
    if any(len(state.shape) > 1 for state in zoo.get_cell(name).states.values()):
        modifiers.remove("fast_slow")  # five cells in one: up to 10 s with matrices as states
    for at in range(len(modifiers)):
        try:
            return zoo.get_cell(
                f"{name}+{modifiers[(turn + at) % len(modifiers)]}", **LAW_OPTIONS.get(name, {})
            )
        except zoo.UsageError:
            continue
    raise AssertionError(f"no modifier suits {name}")


@pytest.mark.filterwarnings("ignore::zoo.testing.GradientWarning")
@pytest.mark.parametrize(("turn", "name"), list(enumerate(zoo.list_cells())))
def test_every_cell_obeys_main_laws_with_some_modifier(turn, name):
    cell = suited(name, turn)
    turn, is_second = divmod(turn, 2)
    with pure_python():
        for check in DECLARATION_LAWS:
            check(cell)
        for check, kinds in (*EQUATION_LAWS.items(), STATE_LAWS[is_second]):
            with contextlib.suppress(SkipTest):  # a law that says nothing about this cell
                check(cell, kinds=(kinds[turn % len(kinds)],))


@pytest.mark.parametrize("name", zoo.list_cells())
def test_every_modifier_suits_cell_or_raises(name):
    said = [why_not(name, modifier) for modifier in zoo.list_modifiers()]
    assert said.count("") >= 3
    assert all("does not suit" in each for each in said if each)


def why_not(name, modifier):
    try:
        assert zoo.modify(name, modifier).params
    except zoo.UsageError as error:
        return str(error)
    return ""
