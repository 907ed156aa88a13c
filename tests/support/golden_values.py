"""Golden values of the shipped cells: the files that ``golden/make_cells.py`` writes, by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import zoo

GOLDEN = Path(__file__).parents[1] / "golden"
REFERENCES = {file.stem: file for file in (GOLDEN / "references").glob("*.py")}
CASES = sorted(file.stem for file in (GOLDEN / "cells").glob("*.npz"))
INPUTS, HIDDEN = 4, 6
# Relative to the largest value of an array: sums of some tens of products over five steps, in float64.
RTOL = 1e-9

Arrays = dict[str, np.ndarray]


def name_of(case: str) -> str:
    """The cell of a case, ``lif`` of ``lif_sigmoid``; its reference has its name."""
    return max((name for name in REFERENCES if f"{case}_".startswith(f"{name}_")), key=len)


class Golden:
    """One case: its cell, and the arrays of its file."""

    def __init__(self, case: str) -> None:
        self.arrays = dict(np.load(GOLDEN / "cells" / f"{case}.npz"))
        self.cell = zoo.get_cell(name_of(case), **json.loads(self.arrays["options"].item()))

    def group(self, name: str, prefix: str = "") -> Arrays:
        """Arrays of one kind, ``group("params")``, by the name of the parameter or state."""
        start = f"{name}."
        return {
            prefix + key.removeprefix(start): value
            for key, value in self.arrays.items()
            if key.startswith(start)
        }


def assert_close(actual: Any, expected: np.ndarray, what: str) -> None:
    tolerance = RTOL * max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=what)


def arrays_of(cell: zoo.Cell, seed: int = 0) -> tuple[Arrays, Arrays, np.ndarray]:
    """Random parameters, states of two rows and an input of seven steps."""
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=shape) for name, shape in cell.param_shapes(INPUTS, HIDDEN).items()}
    state = {name: rng.normal(size=(2, *shape)) for name, shape in cell.state_shapes(INPUTS, HIDDEN).items()}
    state |= {name: np.zeros((2, 1)) for name, declared in cell.states.items() if declared.discrete}
    return params, state, rng.normal(size=(7, 2, INPUTS))
