"""The recurrent highway network, as its authors have it."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"rhn": {"depth": 3, "transform_bias": -1.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``RHNCell`` of github.com/jzilly/RecurrentHighwayNetworks, rhn.py, without its noise.

    h and t of every layer are linear layers of their own, the first on input and state together.
    """
    size = p["R"].shape[1]
    current, outputs = state["h"], []
    for inputs in x:
        for i in range(options["depth"]):
            Rh, Rt = p["R"][i].split(size, dim=1)
            bh, bt = p["b"][i].split(size)
            args = current
            if i == 0:
                Wh, Wt = p["Wx"].split(size, dim=1)
                Rh, Rt = torch.cat([Wh, Rh]), torch.cat([Wt, Rt])
                args = torch.cat([inputs, current], dim=1)
            h = torch.tanh(torch.matmul(args, Rh) + bh)
            t = torch.sigmoid(torch.matmul(args, Rt) + bt + options["transform_bias"])
            current = (h - current) * t + current
        outputs.append(current)
    return torch.stack(outputs), {"h": current}
