"""The dendritic piecewise-linear network by its authors' classes."""

from __future__ import annotations

import math
from typing import Any

import torch
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "dendritic_plrnn": {"bases": 4},
    "dendritic_plrnn_clipped": {"bases": 3, "clipped": True},
}
# GPL-3.0 licence.
AUTHORS = ("DurstewitzLab/dendPLRNN", "368ed0488bdc93464c242bb01f0be224e149e387")
CLASSES = ("PLRNN", "Latent_Step", "PLRNN_Basis_Step", "PLRNN_Clipping_Step")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``PLRNN`` for one step at a time, without limits of the state.

    The projected input is added. The class itself reads only the size of its input here.
    """
    tools = {"tc": torch, "nn": nn, "math": math}
    network, *_ = official(*AUTHORS, "BPTT_TF/bptt/PLRNN_model.py", *CLASSES, **tools)
    kind = "clipped-PLRNN" if options["clipped"] else "dendr-PLRNN"
    units = network(x.shape[-1], len(p["Wh"]), options["bases"], None, kind, False, None)
    weights = {"AW": p["Wh"].T, "h": p["bias"], "alphas": p["alpha"], "thetas": p["theta"]}
    weights = {f"latent_step.{name}": value for name, value in weights.items()}
    z, out = state["h"], []
    for each in x:
        new = torch.func.functional_call(units, weights, each[:, None], {"z0": z})
        z = new[:, 0] + each @ p["Wx"]
        out.append(z)
    return torch.stack(out), {"h": z}
