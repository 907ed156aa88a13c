"""The structurally constrained network, its context as a sum over the past."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"scrn": {"context": 5, "alpha": 0.8}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute ``s_t = (1 - alpha) B x_t + alpha s_{t-1}`` as a weighted sum (Mikolov et al. 2014).

    Section 3 of the paper states this and ``h_t = sigmoid(P s_t + A x_t + R h_{t-1})``. The readout sees
    first h, then s.
    """
    alpha, steps = options["alpha"], len(x)
    shown = (1 - alpha) * x @ p["Wb"]
    s = torch.stack(
        [
            alpha ** (t + 1) * state["s"] + sum(alpha ** (t - k) * shown[k] for k in range(t + 1))
            for t in range(steps)
        ]
    )
    drive = torch.cat([s, x], dim=2) @ torch.cat([p["Ws"], p["Wx"]])
    h, hidden = state["h"], []
    for each in drive:
        h = torch.sigmoid(each + h @ p["Wh"])
        hidden.append(h)
    return torch.cat([torch.stack(hidden), s], dim=2), {"h": h, "s": s[-1]}
