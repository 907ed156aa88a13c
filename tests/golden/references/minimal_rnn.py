"""MinimalRNN by the cell of torchrecurrent."""

from __future__ import annotations

from typing import Any

import torch
import torchrecurrent

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"minimal_rnn": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``MinimalRNNCell`` of torchrecurrent, with the tanh encoder.

    It has the equations of the paper as MartinuzziFrancesco/RecurrentLayers.jl#102 quotes them: the input's
    bias belongs to the encoding, that of the hidden units to the gate.
    """
    bz, bu = p["b"].chunk(2)
    cell = torchrecurrent.MinimalRNNCell(x.shape[-1], p["Wh"].shape[0], dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "weight_mm": p["Wz"].T,
        "bias_ih": bz,
        "bias_hh": bu,
    }
    h, outputs = state["h"], []
    for xt in x:
        h = torch.func.functional_call(cell, weights, (xt, h))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
