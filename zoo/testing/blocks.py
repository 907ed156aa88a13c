"""The laws of a block: each ``check_x(block)`` raises AssertionError if its docstring does not hold.

A block and a cell are one cell, so most laws of a block are the laws of cells, for the block around each of
:data:`EXAMPLE_CELLS`. One more law compares gradients around a cell of every kind. It runs kernels as plain
Python, since it would compile for minutes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest import SkipTest

from zoo.base import Block
from zoo.base.block import EXAMPLE_CELLS
from zoo.errors import DefinitionError, UsageError
from zoo.kernels.jit import pure_python
from zoo.registry import resolve_cell_in_block
from zoo.testing.assertions import fail, require_docs
from zoo.testing.laws import CELL_CHECKS
from zoo.testing.laws.declarations import check_help, check_well_formed
from zoo.testing.laws.gradients import compare_direction
from zoo.testing.laws.kernels import check_large_sizes
from zoo.testing.report import CheckWarning
from zoo.testing.trials import DENSE64, Case, at_case, make_trial, nearest_size

CELLS_OF_EVERY_KIND = (
    "vanilla",  # a simple recurrence
    "lstm",  # gates and two states
    "lru",  # complex states
    "matrix_lstm",  # a matrix memory
    "gla",  # a mixer
    "lif",  # spikes
    "ctrnn",  # an auxiliary input
    "lstm+zoneout",  # noise
)

_STEPS, _BATCH, _INPUTS, _HIDDEN = 3, 2, 2, 4
_OTHER_CODE = (
    "Kernels differ from the equations of `step`: an operation that the block calls may have other code or "
    "another derivative in kernels."
)


def _around_cells(law: Callable[..., None]) -> Callable[..., None]:
    """The law of cells for a block around each of `EXAMPLE_CELLS`; skipped if it applies to none of them."""

    @functools.wraps(law)
    def check(block: Block, **changes: Any) -> None:
        cells = [resolve_cell_in_block(name, block) for name in _accepted_cells(block, EXAMPLE_CELLS)]
        reasons = [_skip_reason(functools.partial(law, cell, **changes)) for cell in cells]
        skipped = [reason for reason in reasons if reason is not None]
        if len(skipped) == len(cells):
            raise SkipTest(skipped[0])

    return check


def _skip_reason(check: Callable[[], None]) -> str | None:
    """Run a check; the reason if it is skipped."""
    try:
        check()
    except SkipTest as skip:
        return str(skip)
    return None


def _accepted_cells(block: Block, names: Sequence[str]) -> list[str]:
    """The cells that the block surrounds; warn of those that it rejects with a UsageError.

    Raises:
        UsageError: if it rejects all of them.
    """
    errors = {name: error for name in names if (error := _rejection(block, name)) is not None}
    if len(errors) == len(names):
        raise errors[names[0]]
    for name, error in errors.items():
        warnings.warn(CheckWarning(f"{block.label()} is not checked around {name}: {error}"), stacklevel=2)
    return [name for name in names if name not in errors]


def _rejection(block: Block, name: str) -> UsageError | None:
    try:
        resolve_cell_in_block(name, block)
    except UsageError as error:
        return error
    except DefinitionError as error:
        if isinstance(error.__cause__, UsageError):  # raised in `step`
            return error.__cause__
        raise
    return None


def check_card(block: Block) -> None:
    """The card names its variant, and every parameter, state and option has a help text."""
    require_docs(block, {**block.params, **block.buffers, **block.states, **block.declared_options})


def check_every_kind(block: Block) -> None:
    """Around a cell of every kind, kernels agree with ``step``, and gradients equal central differences."""
    for name in _accepted_cells(block, CELLS_OF_EVERY_KIND):
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
        UsageError: if the block does not suit the cell.
    """
    cell = resolve_cell_in_block(name, block)
    sizes = nearest_size(cell, _INPUTS, _HIDDEN)
    if sizes is None:
        fail(cell, f"sizes near I={_INPUTS} and H={_HIDDEN}", "none that suit it", "some")
    with pure_python():
        at_case(Case(cell, _STEPS, _BATCH, sizes, *DENSE64, seed=1), _compare_derivative)
        size = (_STEPS, _BATCH, _INPUTS, _HIDDEN)
        check_large_sizes(cell, kinds=(DENSE64,), sizes=(size,), meaning=_OTHER_CODE)


def _compare_derivative(case: Case) -> None:
    meaning = "The block may call an operation whose derivative is wrong, or cut a gradient by mistake."
    compare_direction(replace(make_trial(case), noise=(1, 2)), meaning)


BLOCK_CHECKS: tuple[Callable[..., None], ...] = (
    _around_cells(check_well_formed),
    *(check_card, check_every_kind),
    *(_around_cells(law) for law in CELL_CHECKS if law not in (check_well_formed, check_help)),
)
"""All laws of a block. If the first one fails, the others are skipped."""
