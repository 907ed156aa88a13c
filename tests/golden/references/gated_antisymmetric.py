"""The gated antisymmetric RNN by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"gated_antisymmetric": {"eps": 0.3, "gamma": 0.2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``GatedAntisymmetricRNNCell`` of torchrecurrent, which has equation (13) of Chang et al. 2019.

    Its rows of input weights are first those of the gate.
    """
    hidden = p["U"].shape[0]
    cell = torchrecurrent.GatedAntisymmetricRNNCell(
        x.shape[-1],
        hidden,
        recurrent_bias=False,
        epsilon=options["eps"],
        gamma=options["gamma"],
        dtype=torch.float64,
    )
    weights = {"weight_ih": p["Wx"].T, "weight_hh": p["U"].T, "bias_ih": p["b"]}
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
