"""Makes cells/<case>.npz for the other cells: references in PyTorch, with all gradients, in float64.

    python tests/golden/make_cells_others.py

needs PyTorch and SciPy (the extra ``peers``). Each reference says what it follows. Complex arrays are two
planes of real ones.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from making import BATCH, IN, STEPS, H, Shapes, Tensors, back, gradients, named, tensor, write


@dataclass(frozen=True)
class Case:
    """A cell's shapes for ``IN`` features and ``H`` hidden units, and the options they go with.

    Args:
        params: Shapes of the parameters.
        states: Shapes of the states.
        options: Every option of the cell.
        inputs: Shapes of what comes in beside x, at every step, positive numbers.
        fixed: States that are zero at first, whose gradients are left out.
        reference: Module of the reference, where the case is not named after it.
    """

    params: Shapes
    states: Shapes
    options: dict[str, Any] = field(default_factory=dict)
    inputs: Shapes = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    reference: str = ""


ONE: Shapes = {"h": (H,)}
MIN_GRU: Shapes = {"Wx": (IN, 2 * H), "b": (2 * H,)}
SLSTM: Shapes = {"Wx": (IN, 4 * H), "R": (2, H // 2, 4 * (H // 2)), "b": (4 * H,)}
SLSTM_STATES: Shapes = dict.fromkeys("hcnm", (H,))
LIF: Shapes = {"Wx": (IN, H), "Wh": (H, H), "b": (H,)}
SPIKING: Shapes = {"s": (H,), "v": (H,)}


def lif(surrogate: str, slope: float) -> Case:
    """A spiking case that differs in what stands for the derivative of the threshold."""
    options = {"beta": 0.8, "threshold": 0.4, "surrogate": surrogate, "slope": slope}
    return Case(LIF, SPIKING, options, reference="lif")


CASES = {
    "lem": Case(
        {"Wx": (IN, 4 * H), "Wy": (H, 3 * H), "Wz": (H, H), "b": (4 * H,)},
        {"y": (H,), "z": (H,)},
        {"dt": 0.7},
    ),
    "min_gru": Case(MIN_GRU, ONE, {"positive": False}),
    "min_gru_positive": Case(MIN_GRU, ONE, {"positive": True}, reference="min_gru"),
    "lru": Case(
        {"poles": (3, H), "B": (2, IN, H), "C": (2, H, H), "D": (IN, H)},
        {"h": (2, H)},
        {"r_min": 0.2, "r_max": 0.9, "max_phase": 3.0},
    ),
    "lmu": Case(
        {"ex": (IN, 1), "eh": (H, 1), "em": (8, 1), "Wx": (IN, H), "Wh": (H, H), "Wm": (8, H)},
        {"h": (H,), "m": (8,)},
        {"order": 8, "theta": 12.5},
    ),
    "delta_net": Case({"Wx": (IN, 3 * H), "Wb": (IN, 2)}, {"S": (2, 3, 3)}, {"heads": 2}),
    "slstm": Case(SLSTM, SLSTM_STATES, {"heads": 2}),
    "slstm_empty": Case(SLSTM, SLSTM_STATES, {"heads": 2}, fixed=tuple("hcnm"), reference="slstm"),
    "cfc": Case(
        {"Wx": (IN, 7), "Wh": (H, 7), "b": (7,), "Wv": (7, 4 * H), "bv": (4 * H,)},
        ONE,
        {"units": 7},
        inputs={"dt": ()},
    ),
    "lif": lif("arctan", 2.0),
    "lif_fast_sigmoid": lif("fast_sigmoid", 25.0),
    "lif_sigmoid": lif("sigmoid", 5.0),
    "lif_straight_through": lif("straight_through", 1.0),
    "lif_triangle": lif("triangle", 0.5),
    "tau_gru": Case(
        {"Wx": (IN, 4 * H), "Wh": (H, 3 * H), "Wd": (H, H), "b": (4 * H,)},
        {"h": (H,), "past": (3, H)},
        {"delay": 3},
    ),
    "tau_gru_late": Case(
        {"Wx": (IN, 4 * H), "Wh": (H, 3 * H), "Wd": (H, H), "b": (4 * H,)},
        {"h": (H,), "past": (8, H)},
        {"delay": 8},
        reference="tau_gru",
    ),
}


def draw_state(rng: np.random.Generator, case: Case) -> Tensors:
    """Random states that the cell could have reached, or zero ones."""
    values = {name: 0.7 * rng.normal(size=(BATCH, *shape)) for name, shape in case.states.items()}
    if "n" in values:
        values["n"] = 1 + np.abs(values["n"])  # the largest weight of an sLSTM is one
    if "s" in values:
        values["s"] = (values["v"] > case.options["threshold"]).astype(float)
    return {name: tensor(np.zeros_like(v) if name in case.fixed else v) for name, v in values.items()}


def golden(seed: int, name: str, case: Case) -> dict[str, np.ndarray]:
    """Inputs, outputs and gradients of one case."""
    rng = np.random.default_rng([21, seed])
    reference = importlib.import_module(f"references.{case.reference or name}")
    params = {each: tensor(0.7 * rng.normal(size=shape)) for each, shape in case.params.items()}
    state, x = draw_state(rng, case), tensor(rng.normal(size=(STEPS, BATCH, IN)))
    made = reference.buffers(case.options) if hasattr(reference, "buffers") else {}
    buffers = {each: torch.tensor(value) for each, value in made.items()}
    inputs = {
        each: torch.tensor(rng.uniform(0.1, 3.0, size=(STEPS, BATCH, *shape)))
        for each, shape in case.inputs.items()
    }
    y, last = reference.run(case.options, params | buffers | inputs, x, state)
    dy, dlast = back(rng, y, last)
    groups = {
        "params": params,
        "dparams": gradients(params),
        "buffers": buffers,
        "input": inputs,
        "state": state,
        "last": last,
        "dlast": dlast,
        "dstate": gradients({each: value for each, value in state.items() if each not in case.fixed}),
    }
    return named({"x": x, "y": y, "dy": dy, "dx": x.grad}, groups)


if __name__ == "__main__":
    write(CASES, golden)
