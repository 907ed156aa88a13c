"""Laws about numerics: float32, large inputs and NaN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.ir.graph import ancestors
from zoo.compiler.ir.structural_ops import STATE
from zoo.testing.assertions import assert_close, fail
from zoo.testing.trials import (
    DENSE,
    DENSE32,
    TOKENS32,
    Case,
    Trial,
    astype,
    law,
    make_trial,
    named_gradients,
    run,
)


@law(kinds=(DENSE32, TOKENS32))
def check_float32(case: Case) -> None:
    """Values and gradients in float32 agree with float64 to a tolerance based on the float32 epsilon."""
    meaning = "Look for a branch on the dtype, an imprecise constant, or cancellation of large numbers."
    trial = make_trial(case)
    assert_close(
        case.cell,
        run(trial),
        run(astype(trial, "float64")),
        trial.rounding,
        f"Expected is float64. {meaning}",
    )


_OF_EITHER_SIGN = (
    "Laws draw states and parameters of either sign, also of a state that your step keeps positive. Clamp "
    "the arguments of roots, logarithms and powers: np.sqrt(np.maximum(a, 0) + 1e-6)."
)
_OVERFLOW = (
    "Functions that saturate must not overflow on the way: exp(a) / (1 + exp(a)) is inf / inf for large a, "
    "where zoo.kernels.sigmoid and tanh are not; exponential gates need their largest exponent subtracted."
)


# No more than two steps of one layer: a cell that multiplies its inputs squares them at each.
@law(kinds=DENSE, steps=(1, 2), layers=(1,))
def check_finite(case: Case) -> None:
    """Inputs of magnitude 1 and 10,000 give finite outputs, states and gradients."""
    trial = make_trial(case)
    for scale, meaning in ((1.0, _OF_EITHER_SIGN), (1e4, _OVERFLOW)):
        for name, array in run(replace(trial, x=trial.x * trial.x.dtype.type(scale))).items():
            if not np.isfinite(array).all():
                value = array[~np.isfinite(array)][0]
                what = f"{name} for inputs of magnitude {scale:,.0f}"
                fail(case.cell, what, f"{value} among the numbers", "finite ones", meaning)


@law()
def check_nan(case: Case) -> None:
    """NaN in inputs, states, parameters or gradients gives NaN results, and only in its own sequence."""
    meaning = (
        "A diverged run must look diverged: comparisons with NaN are false, so write clamps as `limit if a "
        "> limit else a`, which passes NaN on, and not `a if a < limit else limit`."
    )
    trial = _without_choices(make_trial(case))
    row = case.seed % case.batch
    for what, poisoned in _trials_with_nan(trial, row):
        _check_forward(poisoned, f"NaN in {what}", row, meaning)
    for name in trial.rnn.params:
        _check_parameter(trial, name, meaning)
    _check_backward(trial, row, meaning)


def _without_choices(trial: Trial) -> Trial:
    """The trial with the defaults of inputs with choices, which may replace states, as new episodes do."""
    declared = trial.rnn.stack.inputs
    defaults = {
        name: np.full_like(value, declared[name].default)
        for name, value in trial.inputs.items()
        if declared[name].choices is not None
    }
    return replace(trial, inputs=trial.inputs | defaults)


def _trials_with_nan(trial: Trial, row: int) -> Iterator[tuple[str, Trial]]:
    """The trial with NaN in one row of each initial state, and of the input at each step."""
    read = _states_read(trial.cell)
    for name, value in trial.state.items():
        if name not in trial.discrete and name.rpartition(".")[2] in read:
            yield f"state {name}", replace(trial, state=trial.state | {name: _with_value(value, row, np.nan)})
    for step in range(0 if trial.tokens else trial.x.shape[0]):
        yield f"the input at step {step}", replace(trial, x=_with_value(trial.x, (step, row), np.nan))


def _states_read(cell: Cell) -> set[str]:
    """The states that the step reads; kernels without a step must read all states."""
    if not cell.is_derived():
        return set(cell.states)
    return {node.attr for node in ancestors(step_graph_of(cell).outputs) if node.op == STATE}


def _with_value(array: Array, index: int | tuple[int, int], value: float) -> Array:
    copy = array.copy()
    copy[index] = value
    return copy


def _check_forward(trial: Trial, what: str, row: int, meaning: str) -> None:
    """Require NaN in the outputs or last states of the row, and in no other row."""
    y, last, _ = trial.apply()
    dirty = np.isnan(y).any(axis=(0, 2))
    for value in last.values():
        dirty |= np.isnan(value.reshape(len(value), -1)).any(axis=1)
    nan_rows = [int(r) for r in np.flatnonzero(dirty)]
    if nan_rows != [row]:
        fail(trial.cell, f"rows with NaN in output or last state, after {what}", nan_rows, [row], meaning)


def _check_parameter(trial: Trial, name: str, meaning: str) -> None:
    theta = trial.theta.copy()
    trial.rnn.layout.views(theta)[name][...] = np.nan
    y, last, _ = trial.apply(theta)
    _require_nan(
        trial.cell, f"output and last states, after NaN in parameter {name}", {"y": y, **last}, meaning
    )


def _check_backward(trial: Trial, row: int, meaning: str) -> None:
    """Require NaN in some gradient after NaN in the last ``dy`` of the row, if that ``dy`` matters.

    It does not matter where a rectifier is off: the gradient is zero, and kernels skip zero times NaN.
    """
    _, _, tape = trial.apply()
    index = (trial.x.shape[0] - 1, row)

    def gradients(dy: Array) -> Arrays:
        return named_gradients(trial.rnn, *trial.rnn.vjp(tape, dy, trial.dlast))

    with_nan = gradients(_with_value(trial.dy, index, np.nan))
    without = gradients(_with_value(trial.dy, index, 0.0))
    if any((value != without[name]).any() for name, value in gradients(trial.dy).items()):
        _require_nan(trial.cell, "gradients, after NaN in dy", with_nan, meaning)


def _require_nan(cell: Cell, what: str, arrays: Arrays, meaning: str) -> None:
    if not any(np.isnan(value).any() for value in arrays.values()):
        fail(cell, what, "no NaN", "NaN", meaning)
