"""The law of the two statements: what is compiled computes what ``step`` says."""

from __future__ import annotations

from unittest import SkipTest

from zoo.compiler.reference import run
from zoo.contracts import Cell
from zoo.testing.compare import assert_close
from zoo.testing.domain import Array, Arrays, Case, Trial, make_trial, named_values
from zoo.testing.examples import for_all
from zoo.testing.numpy_reference import dense_input, layers_of


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
    """Outputs and last states of all layers by ``step`` alone."""
    y, last = dense_input(trial), Arrays()
    for layer_arrays in layers_of(trial):
        y, after = run(trial.cell, layer_arrays.arrays, y, layer_arrays.state, layer_arrays.inputs)
        last |= {f"{layer_arrays.layer.prefix}{name}": value for name, value in after.items()}
    return y, last
