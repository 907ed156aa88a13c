"""Laws about time and batch: split sequences, independent rows, tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.testing.assertions import assert_close
from zoo.testing.numpy_reference import dense_input
from zoo.testing.property import skip_unless
from zoo.testing.trials import (
    TOKENS32,
    TOKENS64,
    Array,
    Arrays,
    Case,
    Trial,
    for_all,
    is_well_conditioned,
    make_trial,
    named_gradients,
    named_outputs,
    run,
)

TIME_MAJOR = ("output y", "gradient of the input x")
"""The results of shape ``(T, B, ...)``."""


def check_split(cell: Cell) -> None:
    """A sequence run in two parts, with the states passed on, gives the same values and gradients."""
    meaning = (
        "All that a cell carries between steps must be in its declared states (also a count of steps), and "
        "the backward pass of the first part must start from the state gradient of the second."
    )

    def law(case: Case) -> None:
        trial = make_trial(case)
        whole = run(trial)
        skip_unless(is_well_conditioned(trial, whole, 4 * trial.eps, trial.rounding))
        for at in range(1, case.steps):
            assert_close(
                cell, _run_split(trial, at), whole, trial.rounding, f"Split before step {at}. {meaning}"
            )

    for_all(cell, law, steps=(2, 5))


def _run_split(trial: Trial, at: int) -> Arrays:
    """The results of a trial run as two sequences, the second from step ``at``."""
    rnn = trial.rnn
    y1, middle, tape1 = _steps_of(trial, slice(at), trial.state).apply()
    y2, last, tape2 = _steps_of(trial, slice(at, None), middle).apply()
    dx2, dmiddle, dtheta2 = rnn.vjp(tape2, trial.dy[at:], trial.dlast)
    dx1, dstate, dtheta1 = rnn.vjp(tape1, trial.dy[:at], dmiddle)
    dx = None if dx1 is None or dx2 is None else np.concatenate([dx1, dx2])
    values = named_outputs(np.concatenate([y1, y2]), last)
    return values | named_gradients(rnn, dx, dstate, dtheta1 + dtheta2)


def _steps_of(trial: Trial, steps: slice, state: Arrays) -> Trial:
    """A trial of some steps, from a state."""
    inputs = {name: value[steps] for name, value in trial.inputs.items()}
    return replace(trial, x=trial.x[steps], inputs=inputs, state=state)


def check_rows_independent(cell: Cell) -> None:
    """Sequences in a batch are independent; the parameters' gradient is the sum over them."""
    meaning = "Rows are different texts: nothing may be averaged, normalised or indexed across the batch."

    def law(case: Case) -> None:
        trial = make_trial(case)
        rows = [run(take_rows(trial, [row])) for row in range(case.batch)]
        assert_close(cell, run(trial), combine_rows(rows), trial.rounding * case.batch, meaning)

    for_all(cell, law, batch=(2, 4))


def combine_rows(rows: list[Arrays]) -> Arrays:
    """The results of a batch from those of its rows."""
    return {name: _combine(name, [row[name] for row in rows]) for name in rows[0]}


def _combine(name: str, parts: list[Array]) -> Array:
    if name.startswith("gradient of parameter"):
        total: Array = np.sum(parts, axis=0)
        return total
    return np.concatenate(parts, axis=1 if name in TIME_MAJOR else 0)


def check_rows_permute(cell: Cell) -> None:
    """Permuting the batch permutes the results and does not change the parameters' gradient."""
    meaning = "The index of a row in the batch must have no effect."

    def law(case: Case) -> None:
        trial = make_trial(case)
        order = np.roll(np.arange(case.batch), 1 + case.seed % (case.batch - 1))
        actual = run(take_rows(trial, order))
        expected = {name: _permute(name, value, order) for name, value in run(trial).items()}
        assert_close(
            cell, actual, expected, trial.rounding * case.batch, f"Rows in the order {order}. {meaning}"
        )

    for_all(cell, law, batch=(2, 4))


def _permute(name: str, value: Array, order: Array) -> Array:
    if name.startswith("gradient of parameter"):
        return value
    return value[:, order] if name in TIME_MAJOR else value[order]


def take_rows(trial: Trial, rows: Any) -> Trial:
    """A trial of some rows of the batch."""
    x, dy = (np.ascontiguousarray(array[:, rows]) for array in (trial.x, trial.dy))
    state, dlast = ({name: a[rows] for name, a in arrays.items()} for arrays in (trial.state, trial.dlast))
    inputs = {name: np.ascontiguousarray(value[:, rows]) for name, value in trial.inputs.items()}
    return replace(trial, x=x, dy=dy, state=state, inputs=inputs, dlast=dlast)


def check_tokens(cell: Cell) -> None:
    """Integer tokens and their one-hot vectors give the same results."""
    meaning = (
        "For tokens `x @ W` is the row `W[x]`, and its gradient adds to that row; zoo.kernels.project does "
        "either."
    )

    def law(case: Case) -> None:
        trial = make_trial(case)
        expected = run(replace(trial, x=dense_input(trial)))
        assert_close(cell, run(trial), expected, trial.rounding, meaning)

    for_all(cell, law, kinds=(TOKENS64, TOKENS32))
