"""Laws about time, batch and layers: split sequences, rows, tokens, lengths, directions, options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.layers import Recurrent
from zoo.testing.assertions import assert_close, skip_unless
from zoo.testing.laws.gradients import compare_direction, warn_of_cuts
from zoo.testing.reference import dense_input
from zoo.testing.trials import (
    DENSE64,
    TOKENS32,
    TOKENS64,
    Case,
    Trial,
    is_well_conditioned,
    law,
    make_trial,
    named_gradients,
    named_outputs,
    run,
)

TIME_MAJOR = ("output y", "gradient of the input x")
"""The results of shape ``(T, B, ...)``."""


@law(steps=(2, 5))
def check_split(case: Case) -> None:
    """A sequence run in two parts, with the states passed on, gives the same values and gradients."""
    meaning = (
        "All that a cell carries between steps must be in its declared states (also a count of steps), and "
        "the backward pass of the first part must start from the state gradient of the second."
    )
    trial = make_trial(case)
    whole = run(trial)
    skip_unless(is_well_conditioned(trial, whole, 4 * trial.eps, trial.rounding))
    for at in range(1, case.steps):
        assert_close(
            case.cell, _run_split(trial, at), whole, trial.rounding, f"Split before step {at}. {meaning}"
        )


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
    inputs = {name: value[steps] for name, value in trial.inputs.items()}
    return replace(trial, x=trial.x[steps], inputs=inputs, state=state)


@law(batch=(2, 4))
def check_rows_independent(case: Case) -> None:
    """Sequences in a batch are independent; the parameters' gradient is the sum over them."""
    meaning = "Rows are different texts: nothing may be averaged, normalised or indexed across the batch."
    trial = make_trial(case)
    rows = [run(take_rows(trial, [row])) for row in range(case.batch)]
    assert_close(case.cell, run(trial), combine_rows(rows), trial.rounding * case.batch, meaning)


def combine_rows(rows: list[Arrays]) -> Arrays:
    """Combine the results of rows to the results of their batch."""
    return {name: _combine(name, [row[name] for row in rows]) for name in rows[0]}


def _combine(name: str, parts: list[Array]) -> Array:
    if name.startswith("gradient of parameter"):
        total: Array = np.sum(parts, axis=0)
        return total
    return np.concatenate(parts, axis=1 if name in TIME_MAJOR else 0)


@law(batch=(2, 4))
def check_rows_permute(case: Case) -> None:
    """Permuting the batch permutes the results and does not change the parameters' gradient."""
    meaning = "The index of a row in the batch must have no effect."
    trial = make_trial(case)
    order = np.roll(np.arange(case.batch), 1 + case.seed % (case.batch - 1))
    actual = run(take_rows(trial, order))
    expected = {name: _permute(name, value, order) for name, value in run(trial).items()}
    assert_close(
        case.cell, actual, expected, trial.rounding * case.batch, f"Rows in the order {order}. {meaning}"
    )


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


@law(kinds=(TOKENS64, TOKENS32))
def check_tokens(case: Case) -> None:
    """Integer tokens and their one-hot vectors give the same results."""
    meaning = (
        "For tokens `x @ W` is the row `W[x]`, and its gradient adds to that row; zoo.kernels.project does "
        "either."
    )
    trial = make_trial(case)
    expected = run(replace(trial, x=dense_input(trial)))
    assert_close(case.cell, run(trial), expected, trial.rounding, meaning)


REVERSE = "l0.reverse."
Y, DX = TIME_MAJOR


@law(kinds=(DENSE64,), batch=(2, 4))
def check_lengths(case: Case) -> None:
    """Sequences of different lengths give the same results as each one alone; padding has no effect."""
    meaning = (
        "A kernel is called for the rows that have not ended, and again after one ends: results may not "
        "depend on the number of rows or steps in a call."
    )
    trial = make_trial(case)
    lengths = trial.rng.integers(0, case.steps + 1, case.batch)
    alone = [_row(trial, row, length) for row, length in enumerate(lengths)]
    actual = run(_padded(trial, lengths))
    assert_close(case.cell, actual, combine_rows(alone), trial.rounding * case.batch, meaning)


def _padded(trial: Trial, lengths: Array) -> Trial:
    """The trial with lengths, and with NaN or invalid tokens as padding."""
    padding = np.arange(len(trial.x))[:, np.newaxis] >= lengths
    x, dy = trial.x.copy(), trial.dy.copy()
    x[padding] = -7 if trial.tokens else np.nan
    dy[padding] = np.nan
    inputs = {name: value.copy() for name, value in trial.inputs.items()}
    for value in inputs.values():
        value[padding] = np.nan
    return replace(trial, x=x, dy=dy, inputs=inputs, lengths=lengths)


def _row(trial: Trial, row: int, length: int) -> Arrays:
    """The results of one row alone, cut to its length and padded with zeros."""
    alone = take_rows(trial, [row])
    inputs = {name: value[:length] for name, value in alone.inputs.items()}
    results = run(replace(alone, x=alone.x[:length], dy=alone.dy[:length], inputs=inputs))
    padding = len(trial.x) - length
    return {
        name: np.pad(value, ((0, padding), (0, 0), (0, 0))) if name in TIME_MAJOR else value
        for name, value in results.items()
    }


@law(kinds=(TOKENS64,), layers=(1,))
def check_directions(case: Case) -> None:
    """A bidirectional layer equals two layers, one of which reads the reversed sequence."""
    meaning = "A kernel may keep nothing from one call to the next, nor from one layer to another."
    inputs, hidden, _ = case.sizes
    rnn = Recurrent(
        case.cell, inputs, hidden, dtype=case.dtype, seed=case.seed, threads=1, bidirectional=True
    )
    trial = make_trial(case, rnn)
    assert_close(case.cell, run(trial), _by_two_layers(trial), trial.rounding, meaning)


def _by_two_layers(trial: Trial) -> Arrays:
    """The results of two layers, the second on reversed arrays."""
    forwards, backwards = (run(_one_direction(trial, reverse)) for reverse in (False, True))
    backwards = {name: value[::-1] if name in TIME_MAJOR else value for name, value in backwards.items()}
    named = {
        name.replace("l0.", REVERSE): value for name, value in backwards.items() if name not in TIME_MAJOR
    }
    results = {**forwards, **named}
    results[Y] = np.concatenate([forwards[Y], backwards[Y]], axis=2)
    if not trial.tokens:
        results[DX] = forwards[DX] + backwards[DX]
    return results


def _one_direction(trial: Trial, reverse: bool) -> Trial:
    stack, step = trial.rnn.stack, -1 if reverse else 1
    rnn = Recurrent(trial.cell, stack.input_size, stack.hidden_size, dtype=trial.rnn.dtype, threads=1)
    arrays = {**trial.rnn.layout.views(trial.theta), **trial.rnn.buffers}
    rnn.fill(_of_direction(arrays, reverse))
    size = rnn.output_size
    dy = trial.dy[::step, :, size:] if reverse else trial.dy[:, :, :size]
    return replace(
        trial,
        rnn=rnn,
        theta=rnn.theta,
        x=trial.x[::step],
        state=_of_direction(trial.state, reverse),
        inputs=_reversed_inputs(trial) if reverse else trial.inputs,
        dy=dy,
        dlast=_of_direction(trial.dlast, reverse),
    )


def _reversed_inputs(trial: Trial) -> Arrays:
    """The auxiliary inputs of the reversed sequence; the time between two steps belongs to the later one."""
    inputs = {name: value[::-1].copy() for name, value in trial.inputs.items()}
    for name, value in inputs.items():
        if trial.cell.inputs[name].between_steps and len(value):
            value[0], value[1:] = trial.inputs[name][0], trial.inputs[name][:0:-1]
    return inputs


def _of_direction(arrays: Arrays, reverse: bool) -> Arrays:
    """The arrays of one direction, with the names that they have in a unidirectional layer."""
    return {
        name.replace(REVERSE, "l0."): value
        for name, value in arrays.items()
        if name.startswith(REVERSE) == reverse
    }


@law(before=warn_of_cuts, kinds=(DENSE64,), layers=(1,))
def check_layers(case: Case) -> None:
    """Gradients of bidirectional residual layers with dropout and lengths equal central differences."""
    meaning = "If the other laws hold, the fault is in zoo.Recurrent, not in the cell."
    compare_direction(_trial_with_all_options(case), meaning)


def _trial_with_all_options(case: Case) -> Trial:
    """A trial with lengths, dropout and learned initial states, which some cells have themselves."""
    try:
        rnn = _layers([case.cell, case.cell, "vanilla"], case)
    except UsageError:  # the cell does not come in the size of the second layer, which reads both directions
        rnn = _layers([case.cell, "vanilla"], case)
    trial = make_trial(case, rnn)
    lengths = trial.rng.integers(0, case.steps + 1, case.batch)
    return replace(trial, state={}, lengths=lengths, noise=(case.seed, 1))


def _layers(cells: list[Any], case: Case) -> Recurrent:
    inputs, hidden, _ = case.sizes
    return Recurrent(
        cells,
        inputs,
        hidden,
        dtype=case.dtype,
        seed=case.seed,
        threads=1,
        dropout=0.25,
        bidirectional=True,
        residual=not case.cell.is_in_block(),
        learned_state=not case.cell.restarting_modifier(),
    )
