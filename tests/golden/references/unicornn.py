"""The UnICORNN by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"unicornn": {"dt": 0.4, "alpha": 2.5}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``UnICORNNCell`` of torchrecurrent, which has the equations of the authors' code.

    That is ``unicornn_fwd`` of github.com/tk-rusch/unicornn, eigenWorms/network.py: the new velocity moves
    the displacement.
    """
    cell = torchrecurrent.UnICORNNCell(
        x.shape[-1], p["u"].shape[0], dt=options["dt"], alpha=options["alpha"], dtype=torch.float64
    )
    weights = {"weight_ih": p["Wx"].T, "weight_hh": p["u"], "weight_ch": p["c"], "bias_ih": p["b"]}
    y, z, outputs = state["y"], state["z"], []
    for xt in x:
        y, z = torch.func.functional_call(cell, weights, (xt, (y, z)))
        outputs.append(y)
    return torch.stack(outputs), {"y": y, "z": z}
