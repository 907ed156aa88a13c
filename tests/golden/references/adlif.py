"""Adaptive leaky integrate-and-fire units by the code of their authors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from official import official
from torch import nn
from torch.func import functional_call

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"adlif": {"threshold": 0.05}}
# BSD-3-Clause licence.
AUTHORS = ("idiap/sparch", "f8756254ab8d0e3337eb69542c684b922d6b6cbd", "sparch/models/snns.py")
# The official code draws the first states, and does not return the last ones.
EDITS = {
    "torch.rand(Wx.shape[0], Wx.shape[2]).to(device)": "next(self.first)",
    "return torch.stack(s, dim=1)": "self.last = st, ut, wt; return torch.stack(s, dim=1)",
}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Most decays are within their limits; spikes are whole numbers."""
    p["alpha"][:] = 0.9 + 0.06 * p["alpha"]
    p["beta"][:] = 0.98 + 0.01 * p["beta"]
    state["s"][:] = state["s"] > 0


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``RadLIFLayer`` with ``SpikeFunctionBoxcar``, without normalisation."""
    spike = official(*AUTHORS, "SpikeFunctionBoxcar", torch=torch)
    tools = {"torch": torch, "nn": nn, "np": np, "SpikeFunctionBoxcar": spike}
    network = official(*AUTHORS, "RadLIFLayer", edits=EDITS, **tools)
    layer = network(*p["Wx"].shape, x.shape[1], options["threshold"], normalization="none")
    layer.first = iter([state["u"], state["w"], state["s"]])
    weights = p | {"W.weight": p["Wx"].T, "V.weight": p["Wh"]}
    y = functional_call(layer, weights, x.transpose(0, 1))
    return y.transpose(0, 1), dict(zip("suw", layer.last, strict=True))
