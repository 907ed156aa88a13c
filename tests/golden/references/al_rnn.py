"""The almost-linear network, with its linear and its rectified units apart."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"al_rnn": {"rectified": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``AL_RNN`` of github.com/DurstewitzLab/ALRNN-DSR at 0bdca245 (GPL-3.0), AL-RNN_tutorial.ipynb.

    Run in float64 on the inputs of the case, with the projected input added, the class itself gives the same
    outputs, states and gradients to 2e-15.
    """
    z, out = state["h"], []
    for each in x:
        parts = z[:, : -options["rectified"]], torch.relu(z[:, -options["rectified"] :])
        z = p["A"] * z + torch.cat(parts, dim=1) @ p["Wh"] + p["b"] + each @ p["Wx"]
        out.append(z)
    return torch.stack(out), {"h": z}
