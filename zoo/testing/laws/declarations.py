"""Laws about the declaration: card, docstring, sizes, initial values."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.base import Card, Cell
from zoo.base.card import TEMPLATE
from zoo.base.declarations import ArrayDeclaration
from zoo.base.size_expr import SizeExpr
from zoo.compiler.frontend.trace_step import StepGraph, step_graph_of
from zoo.compiler.passes.delays import constant_states
from zoo.compiler.passes.state_checks import misplaced_states, unread_states
from zoo.errors import DefinitionError
from zoo.layers import Recurrent
from zoo.layers.tracing import cell_gates
from zoo.registry import plugins
from zoo.testing.assertions import assert_same, fail
from zoo.testing.report import StateWarning
from zoo.testing.trials import suitable_sizes

CONSTANT_INITIALIZERS = ("zeros", "ones")


def check_well_formed(cell: Cell) -> None:
    """Card, docstring, sizes and gates are complete."""
    _check_card(cell)
    if not re.search(r"\w", cell.summary()):
        fail(
            cell, "first line of the docstring", repr(cell.summary()), "a line", "Say in it what the cell is."
        )
    suitable_sizes(cell)
    if cell.gates.sources():
        try:
            cell_gates(cell)
        except DefinitionError as error:
            raise AssertionError(str(error)) from None
    _warn_of_states(cell)


def _warn_of_states(cell: Cell) -> None:
    """Warn of likely mistakes with states."""
    if not cell.has_step():
        return
    try:
        step_graph = step_graph_of(cell)
    except DefinitionError:  # the cell has kernels, and a step for NumPy alone
        return
    for text in _state_mistakes(step_graph):
        warnings.warn(StateWarning(f"{cell.label()}: {text}"), stacklevel=2)


def _state_mistakes(step_graph: StepGraph) -> Iterator[str]:
    for name, is_whole in constant_states(step_graph).items():
        what = f"state {name!r}" if is_whole else f"some elements of state {name!r}"
        hint = "" if is_whole else ", for example with window[1:] in place of window[:-1]"
        yield (
            f"{what} never change{'s' * is_whole}: step returns the old value at the same position. If you "
            f"did not mean this, return a new value{hint}."
        )
    for name in unread_states(step_graph):
        yield (
            f"step never reads the old value of state {name!r}, so the cell does not remember it. Compute "
            f"the new value from the old one. If it is only the output, remove the state and return "
            f"zoo.Output(y, ...)."
        )
    if misplaced := misplaced_states(step_graph):
        pairs = " and ".join(
            f"a value named {other!r} for state {name!r}" for name, other in misplaced.items()
        )
        order = ", ".join(step_graph.states)
        yield f"step returns {pairs}. Return new states in the order of their declarations, {order}."


def check_help(cell: Cell) -> None:
    """Every parameter, state, input and option of a published cell has a help text."""
    if not (cell.card.published or _is_in_plugin(type(cell))):
        return
    text = type(cell).__doc__ or ""
    undocumented = {
        name: declared
        for name, declared in _declarations(cell).items()
        if not declared.help and not re.search(rf"\b{re.escape(name)}\b", text)
    }
    if undocumented:
        name, declared = next(iter(undocumented.items()))
        example = f"{name} = zoo.{type(declared).__name__}(..., help='...')"
        meaning = f"Explain what it is; write `{example}`."
        fail(cell, ", ".join(undocumented), "no help text", "help=... or the name in the docstring", meaning)


def _check_card(cell: Cell) -> None:
    card = cell.card
    if not isinstance(card, Card):
        fail(cell, "card", repr(card), "a zoo.Card", "It names the source of the cell.")
    if not card.published and _is_in_plugin(type(cell)):
        meaning = f"A component of an installed plugin needs a reference; add `card = {TEMPLATE}`."
        fail(cell, "card", "no authors, year and url", "all three", meaning)


def _is_in_plugin(cls: type[Cell]) -> bool:
    modules = [record.module for record in plugins() if record.distribution and record.module]
    return any(f"{cls.__module__}.".startswith(f"{module}.") for module in modules)


def _declarations(cell: Cell) -> dict[str, Any]:
    return {**cell.params, **cell.buffers, **cell.states, **cell.inputs, **cell.declared_options}


def check_parameter_count(cell: Cell) -> None:
    """The number of parameters and its formula in I and H agree with the size of the parameter vector."""
    for inputs, hidden, layers in suitable_sizes(cell):
        if layers == 1:
            _check_count(cell, inputs, hidden)


def _check_count(cell: Cell, inputs: int, hidden: int) -> None:
    expected = Recurrent(cell, inputs, hidden, threads=1).theta.size
    letters = cell.size_values(inputs, hidden)
    formula = cell.parameter_formula()
    # Evaluate term by term: a size expression has a limited length, a formula does not.
    terms = formula.replace("·", "*").split(" + ")
    for what, actual in (
        ("parameter_count", cell.parameter_count(inputs, hidden)),
        (f"parameter_formula {formula!r}", sum(SizeExpr(term).evaluate(letters) for term in terms)),
    ):
        if actual != expected:
            meaning = "Do not override them: zoo derives both from the declared parameters."
            fail(cell, f"{what} for I={inputs} H={hidden}", actual, f"{expected}, the size of theta", meaning)


def check_initialisation(cell: Cell) -> None:
    """Initial parameters and buffers depend only on the seed; float32 values are rounded float64 values."""
    inputs, hidden, layers = suitable_sizes(cell)[-1]

    def start(seed: int, dtype: str = "float64") -> dict[str, Any]:
        rnn = Recurrent(cell, inputs, hidden, num_layers=layers, dtype=dtype, seed=seed, threads=1)
        values = {**rnn.params, **rnn.buffers}
        return {f"initial value of {name}": value.copy() for name, value in values.items()}

    first = start(seed=1)
    np.random.default_rng().normal()
    random.random()
    meaning = (
        "An initializer may draw from the `rng` it is given and from nothing else (no np.random, no clock)."
    )
    assert_same(cell, start(seed=1), first, f"Seed 1 twice must give the same. {meaning}")
    rounded = {name: value.astype(np.float32) for name, value in first.items()}
    assert_same(cell, start(1, "float32"), rounded, f"A seed means the same start in either dtype. {meaning}")
    declared = (*cell.params.values(), *cell.buffers.values())
    drawn = [array for array in declared if _is_random(array)]
    if drawn and all(np.array_equal(value, first[name]) for name, value in start(seed=2).items()):
        fail(
            cell, "initial values for seed 2", "those of seed 1", "others", f"The seed is not used. {meaning}"
        )


def _is_random(declared: ArrayDeclaration) -> bool:
    """Whether initial values are certainly random; a custom initializer may return constants."""
    return isinstance(declared.init, str) and declared.init not in CONSTANT_INITIALIZERS
