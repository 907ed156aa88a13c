"""The laws of a block: each ``check_x(block)`` raises AssertionError if its docstring does not hold.

A block and a cell are one cell, so most laws of a block are the laws of cells, for the block around the cells
of :data:`CELLS`. All laws but one compile kernels. That one runs kernels as plain Python, around a cell of
every kind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from zoo.base import Block
from zoo.kernels.jit import pure_python
from zoo.registry import resolve_cell_in_block
from zoo.testing.assertions import fail, require_docs
from zoo.testing.laws import CELL_CHECKS
from zoo.testing.laws.declarations import check_help, check_well_formed
from zoo.testing.laws.gradients import compare_direction
from zoo.testing.laws.kernels import check_large_sizes
from zoo.testing.trials import DENSE64, Case, at_case, make_trial, nearest_size

CELLS = ("lstm", "gla")
"""A recurrence with two states, and a mixer, which already has projections and gates."""

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "vanilla": "a simple recurrence",
        "lstm": "gates and two states",
        "lru": "complex states",
        "matrix_lstm": "a matrix memory",
        "gla": "a mixer",
        "lif": "spikes",
        "ctrnn": "an auxiliary input",
        "lstm+zoneout": "noise",
    }
)
"""A cell of every kind, with the words for the kind."""

_STEPS, _BATCH, _INPUTS, _HIDDEN = 3, 2, 2, 4


def _around_cells(law: Callable[..., None]) -> Callable[..., None]:
    """The law of cells for a block around each cell of `CELLS`; skipped if it does not apply to one."""

    @functools.wraps(law)
    def check(block: Block, **changes: Any) -> None:
        for name in CELLS:
            law(resolve_cell_in_block(name, block), **changes)

    return check


def check_card(block: Block) -> None:
    """The card names its variant, and every parameter, state and option has a help text."""
    require_docs(block, {**block.params, **block.buffers, **block.states, **block.declared_options})


def check_every_kind(block: Block) -> None:
    """Around a cell of every kind, kernels agree with ``step``, and gradients equal central differences."""
    for name in KINDS:
        check_around(block, name)


def check_around(block: Block, name: str) -> None:
    """Check the derivative of a block around one cell, in float64 and as plain Python.

    A small case is compared with central differences and, since these leave out gradients that ``step`` cuts
    or replaces, with reverse mode over the equations of ``step``. The noise of a cell is drawn in the first
    comparison, and is its expectation in the second.

    Args:
        block: The block.
        name: Name of a cell, with modifiers if there are any.

    Raises:
        AssertionError: if results or gradients are wrong, or no size suits the block and the cell.
    """
    cell = resolve_cell_in_block(name, block)
    sizes = nearest_size(cell, _INPUTS, _HIDDEN)
    if sizes is None:
        fail(cell, f"sizes near I={_INPUTS} and H={_HIDDEN}", "none that suit it", "some")
    with pure_python():
        at_case(Case(cell, _STEPS, _BATCH, sizes, *DENSE64, seed=1), _compare_derivative)
        check_large_sizes(cell, kinds=(DENSE64,), sizes=((_STEPS, _BATCH, _INPUTS, _HIDDEN),))


def _compare_derivative(case: Case) -> None:
    meaning = "The block may call an operation whose derivative is wrong, or cut a gradient by mistake."
    compare_direction(replace(make_trial(case), noise=(1, 2)), meaning)


BLOCK_CHECKS: tuple[Callable[..., None], ...] = (
    _around_cells(check_well_formed),
    *(check_card, check_every_kind),
    *(_around_cells(law) for law in CELL_CHECKS if law not in (check_well_formed, check_help)),
)
"""All laws of a block. If the first one fails, the others are skipped."""
