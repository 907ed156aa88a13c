"""The law of large sizes: kernels beyond the first vector, panel, shard and block of time steps.

The other laws stop at four steps, four units and three rows, where Hypothesis finds most faults and prints
small examples. These cases are fixed: they lie on both sides of the widths at which compiled loops change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from zoo.base import Cell
from zoo.compiler.reference import run_sequence as run_step
from zoo.errors import DefinitionError
from zoo.testing.assertions import assert_close
from zoo.testing.laws.gradients import compare_direction
from zoo.testing.laws.sequence import take_rows
from zoo.testing.numpy_reference import dense_input, layers_of, run_reference
from zoo.testing.trials import (
    ALL_KINDS,
    Arrays,
    Case,
    InputKind,
    Trial,
    astype,
    at_case,
    make_trial,
    nearest_size,
    run,
)

# T, B, I and H. A vector register holds 2 to 16 numbers and a panel of packed weights 8 to 32, so these
# widths leave a last vector and a last panel that is full, that lacks one number, or that holds only one. A
# shard has 8 rows, and 16 for a batch of 129 to 256.
SIZES = (
    (40, 3, 5, 15),
    (2, 130, 3, 16),
    (24, 9, 18, 17),
    (9, 11, 33, 31),
    (17, 2, 2, 32),
    (12, 9, 3, 33),
    (3, 17, 9, 63),
    (10, 4, 34, 64),
    (5, 9, 65, 65),
)

MEANING = (
    "Small sizes hide it: look at what only long sequences, wide layers and large batches reach, such as a "
    "truncated sum over time, the last units that do not fill a vector, and rows beyond the first eight."
)


def check_large_sizes(
    cell: Cell, kinds: tuple[InputKind, ...] = ALL_KINDS, sizes: Iterable[tuple[int, int, int, int]] = SIZES
) -> None:
    """Up to 40 steps, 65 units and 130 rows, outputs, states and gradients equal those of ``step``.

    The reference evaluates the equations of ``step`` in NumPy, and differentiates them in reverse mode. A
    cell without a ``step`` that can be read is compared with central differences, in a random direction of
    everything at once, and its passes for tokens and in float32 with those for dense input in float64.

    Args:
        cell: The cell.
        kinds: Dtypes, each with tokens or without.
        sizes: T, B, I and H of each case; the nearest I and H that suit the cell are taken.
    """
    for kind in kinds:
        for steps, batch, inputs, hidden in sizes:
            nearest = nearest_size(cell, inputs, hidden)
            if nearest is not None:
                at_case(Case(cell, steps, batch, nearest, *kind, seed=hidden), _check)


def _check(case: Case) -> None:
    """Compare one case; in float32 with a second seed before it fails.

    Where the input of a rectifier is zero to rounding, float32 and float64 differ in its derivative. Another
    seed has no such input, or has it elsewhere; a wrong kernel is wrong again.
    """
    try:
        _compare(make_trial(case))
    except AssertionError:
        if case.dtype != "float32":
            raise
        _compare(make_trial(replace(case, seed=case.seed + 100)))


def _compare(trial: Trial) -> None:
    double = astype(trial, "float64")
    expected = _reference(double)
    actual = run(trial)
    assert_close(trial.cell, actual, {name: expected[name] for name in actual}, trial.rounding, MEANING)
    if trial.cell.has_step():
        _compare_row(double, expected)


def _reference(trial: Trial) -> Arrays:
    """Both passes by ``step``, or by the kernels after a comparison with central differences."""
    if trial.cell.has_step():
        try:
            return run_reference(trial)
        except DefinitionError:
            if trial.cell.is_derived():
                raise
    dense = replace(trial, x=dense_input(trial))
    compare_direction(dense, MEANING)
    return run(dense)


def _compare_row(trial: Trial, expected: Arrays) -> None:
    """Compare the last row of the reference with ``step`` called on NumPy arrays."""
    row = take_rows(trial, [-1])
    (layer_arrays,) = layers_of(row)
    y, last = run_step(
        trial.cell, layer_arrays.arrays, dense_input(row), layer_arrays.state, layer_arrays.inputs
    )
    actual = {"output y": expected["output y"][:, -1:]}
    of_step = {"output y": y}
    for name, value in last.items():
        what = f"last state {layer_arrays.layer.prefix}{name}"
        actual[what], of_step[what] = expected[what][-1:], value
    assert_close(trial.cell, actual, of_step, trial.rounding, MEANING)
