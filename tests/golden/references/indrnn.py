"""The independently recurrent network, as its authors have it."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"indrnn": {"activation": "relu"}, "indrnn_tanh": {"activation": "tanh"}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``IndRNNCell_onlyrecurrent`` of github.com/Sunnydreamrain/IndRNN_pytorch after a linear layer.

    The file is IndRNN_onlyrecurrent.py; ``relu(input + hx * weight_hh)``, here also with tanh.
    """
    phi = {"relu": torch.nn.functional.relu, "tanh": torch.tanh}[options["activation"]]
    hx, outputs = state["h"], []
    for xt in x:
        projected = torch.nn.functional.linear(xt, p["Wx"].T, p["b"])
        hx = phi(projected + hx * p["u"].unsqueeze(0).expand(hx.size(0), len(p["u"])))
        outputs.append(hx)
    return torch.stack(outputs), {"h": hx}
