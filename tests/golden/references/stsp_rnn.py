"""Short-term synaptic plasticity by its authors' class."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"stsp_rnn": {"dt": 0.1, "alpha": 0.4, "excitatory": 0.7}}
# Apache licence 2.0.
AUTHORS = ("nmasse/Short-term-plasticity-RNN", "6c3c486b1f4288c49eb29ab5d5df036462725cfe")


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Rates are positive, and synapses are between their limits or about to leave them."""
    state["h"][:] = 5 * abs(state["h"])
    state["d"][:] = 0.2 + 0.2 * state["d"]
    state["e"][:] = 0.2 * abs(state["e"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``Model`` of model.py without noise, with PyTorch in place of TensorFlow 1.

    Its ``par`` holds parameters, initial states and constants. The diagonal of the recurrent weights is zero,
    as it is there from the beginning and by the mask of its gradient.
    """
    size = len(p["b"])
    par = {
        "h0": state["h"],
        "syn_x_init": 1 - state["d"],
        "syn_u_init": p["U"] + state["e"],
        "w_in0": p["Wx"],
        "w_rnn0": p["Wh"] * (1 - torch.eye(size)),
        "b_rnn0": p["b"],
        "w_out0": torch.zeros(size, 1),
        "b_out0": torch.zeros(1),
        "EI": True,
        "EI_matrix": torch.diag(p["sign"]),
        "synapse_config": "full",
        "dynamic_synapse": 1,
        "U": p["U"],
        "alpha_std": p["fast"],
        "alpha_stf": p["slow"],
        "alpha_neuron": options["alpha"],
        "dt_sec": options["dt"],
        "noise_rnn": 0,
    }
    tensorflow = SimpleNamespace(
        Variable=lambda value, name: value,
        constant=lambda value: value,
        nn=torch,
        stack=torch.stack,
        minimum=lambda limit, value: torch.minimum(torch.tensor(float(limit)), value),
        random_normal=lambda shape, mean, deviation, dtype: deviation * torch.randn(shape, dtype=dtype),
        float32=torch.float64,
    )
    # TensorFlow makes a new tensor here, and PyTorch would change the old one.
    edits = {f"{name} += ": f"{name} = {name} + " for name in ("syn_x", "syn_u")}
    network = official(*AUTHORS, "model.py", "Model", edits=edits, tf=tensorflow, np=np, par=par)
    units = network.__new__(network)  # its constructor trains
    units.input_data = x
    units.initialize_weights()
    units.run_model()
    return units.h, {"h": units.h[-1], "d": 1 - units.syn_x[-1], "e": units.syn_u[-1] - p["U"]}
