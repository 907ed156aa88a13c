"""Golden values of the shipped cells: the files that ``golden/make_cells.py`` writes, by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import zoo

GOLDEN = Path(__file__).parents[1] / "golden"
REFERENCES = {file.stem: file for file in (GOLDEN / "references").glob("*.py")}
BLOCK_CASES = sorted(file.stem for file in (GOLDEN / "blocks").glob("*.npz"))
CASES = sorted(file.stem for file in (GOLDEN / "cells").glob("*.npz"))
INPUTS, HIDDEN = 4, 6
# Relative to the largest value of an array: sums of some tens of products over five steps, in float64.
RTOL = 1e-9

Arrays = dict[str, np.ndarray]


def name_of(case: str) -> str:
    """The cell of a case, ``lif`` of ``lif_sigmoid``; its reference has its name."""
    return max((name for name in REFERENCES if f"{case}_".startswith(f"{name}_")), key=len)


class Golden:
    """One case: its cell, and the arrays of its file.

    Args:
        case: The case of a cell, or of a cell in a block, ``mamba(vanilla)``.
    """

    def __init__(self, case: str) -> None:
        is_block = case in BLOCK_CASES
        name = case.removesuffix("_empty") if is_block else name_of(case)
        folder = "blocks" if is_block else "cells"
        self.arrays = dict(np.load(GOLDEN / folder / f"{case}.npz"))
        self.cell = zoo.get_cell(name, **json.loads(self.arrays["options"].item()))

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


def assert_kernels_give(golden: Golden) -> None:
    """Compare both passes with the golden values."""
    rnn = zoo.Recurrent(golden.cell, INPUTS, HIDDEN, dtype="float64")
    rnn.fill(golden.group("params", "l0.") | golden.group("buffers", "l0."))
    state = {name: value.astype(float) for name, value in golden.group("state", "l0.").items()}
    y, last = rnn.forward(golden.arrays["x"], state, **golden.group("input"))
    assert_close(y, golden.arrays["y"], "y")
    for name, expected in golden.group("last", "l0.").items():
        assert_close(last[name], expected, name)
    # A counter has no gradient, and the layer expects one for every state.
    dlast = {name: np.zeros(value.shape) for name, value in state.items()} | golden.group("dlast", "l0.")
    dx, dstate = rnn.backward(golden.arrays["dy"], dlast)
    assert_close(dx, golden.arrays["dx"], "dx")
    for name, expected in golden.group("dparams", "l0.").items():
        assert_close(rnn.grads[name], expected, f"d{name}")
    for name, expected in golden.group("dstate", "l0.").items():
        assert_close(dstate[name], expected, f"d{name}")


def arrays_of(cell: zoo.Cell, seed: int = 0) -> tuple[Arrays, Arrays, np.ndarray]:
    """Random parameters, states of two rows and an input of seven steps."""
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=shape) for name, shape in cell.param_shapes(INPUTS, HIDDEN).items()}
    state = {name: rng.normal(size=(2, *shape)) for name, shape in cell.state_shapes(INPUTS, HIDDEN).items()}
    state |= {name: np.zeros((2, 1)) for name, declared in cell.states.items() if declared.discrete}
    return params, state, rng.normal(size=(7, 2, INPUTS))
