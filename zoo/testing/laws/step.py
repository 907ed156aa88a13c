"""The law of the two statements: what is compiled computes what ``step`` says."""

from __future__ import annotations

from unittest import SkipTest

import numpy as np

from zoo.compiler.reference import run
from zoo.contracts import Cell
from zoo.layers.layer import Layer
from zoo.testing.compare import assert_close
from zoo.testing.domain import Array, Arrays, Case, Trial, make_trial, named_values
from zoo.testing.examples import for_all


def check_step_agrees(cell: Cell) -> None:
    """The compiled forward pass gives what ``step`` gives on NumPy arrays."""
    if not cell.has_step():
        raise SkipTest("it has no step, and its kernels are all it says")
    meaning = (
        "Expected is `step`, row by row and time step by time step; one of the two is not what is meant."
    )

    def law(case: Case) -> None:
        trial = make_trial(case)
        y, last, _ = trial.apply()
        assert_close(cell, named_values(y, last), named_values(*_by_step(trial)), trial.rounding, meaning)

    for_all(cell, law)


def _by_step(trial: Trial) -> tuple[Array, Arrays]:
    """Outputs and last states of all layers by ``step`` alone; tokens are one-hot rows."""
    arrays = {**trial.rnn.layout.views(trial.theta), **trial.rnn.buffers}
    stack = trial.rnn.stack
    last: Arrays = {}
    y = np.eye(stack.input_size, dtype=trial.theta.dtype)[trial.x] if trial.tokens else trial.x
    beside = stack.beside(trial.inputs, y.shape[:2], trial.theta.dtype)
    told = beside.part(*(slice(0, size) for size in y.shape[:2]))
    for layer, ((inputs,), _) in zip(stack.layers, told, strict=True):
        before, named = _unprefixed(layer, trial.state), dict(zip(trial.cell.inputs, inputs, strict=True))
        y, after = run(trial.cell, _unprefixed(layer, arrays), y, before, named)
        last |= {f"{layer.prefix}{name}": value for name, value in after.items()}
    return y, last


def _unprefixed(layer: Layer, arrays: Arrays) -> Arrays:
    """A layer's arrays under the names they have in the cell."""
    return {
        name.removeprefix(layer.prefix): array
        for name, array in arrays.items()
        if name.startswith(layer.prefix)
    }
