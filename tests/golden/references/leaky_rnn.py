"""The leaky RNN, around PyTorch's own simple cell."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"leaky_rnn": {"leak": 0.2}, "leaky_rnn_whole": {"leak": 1.0}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``forward_internal`` of github.com/reservoirpy/reservoirpy, nodes/reservoirs/base.py.

    What is new is what ``torch.nn.RNNCell`` makes of the old units.
    """
    cell = torch.nn.RNNCell(x.shape[-1], p["Wh"].shape[0], dtype=torch.float64)
    weights = {
        "weight_ih": p["Wx"].T,
        "weight_hh": p["Wh"].T,
        "bias_ih": p["b"],
        "bias_hh": torch.zeros_like(p["b"]),
    }
    h, outputs = state["h"], []
    for xt in x:
        new = torch.func.functional_call(cell, weights, (xt, h))
        h = torch.lerp(h, new, options["leak"])
        outputs.append(h)
    return torch.stack(outputs), {"h": h}
