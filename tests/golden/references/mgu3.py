"""MGU3, as the minimal gated unit of torchrecurrent with weights of zero."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mgu3": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MGUCell`` of torchrecurrent with weights of zero: the gate is ``s(b)``.

    So Heck and Salem 2017 state it. MartinuzziFrancesco/torchrecurrent#28 quotes the gates; all else is
    ``MGUCell`` of torchrecurrent.
    """
    hidden = p["Wn"].shape[0]
    cell = torchrecurrent.MGUCell(x.shape[-1], hidden, dtype=torch.float64)
    weights = {
        "weight_ih": torch.cat([torch.zeros_like(p["Wx"]), p["Wx"]], dim=1).T,
        "weight_hh": torch.cat([torch.zeros_like(p["Wn"]), p["Wn"]], dim=1).T,
        "bias_ih": p["b"],
        "bias_hh": torch.zeros(2 * hidden, dtype=torch.float64),
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
