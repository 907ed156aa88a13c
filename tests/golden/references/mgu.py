"""The minimal gated unit, by the equations of the paper."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"mgu": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute ``f = s(Wf [h, x] + bf)``, ``n = tanh(Wh [f * h, x] + bh)`` and ``(1 - f) h + f n``.

    These are the equations of Zhou et al. 2016. One matrix stands before a column made of state and input.
    """
    hidden = p["Wn"].shape[0]
    Wf = torch.cat([p["Wh"], p["Wx"][:, :hidden]]).T
    Wh = torch.cat([p["Wn"], p["Wx"][:, hidden:]]).T
    bf, bh = p["b"][:hidden, None], p["b"][hidden:, None]
    h, outputs = state["h"].T, []
    for xt in x:
        f = torch.sigmoid(Wf @ torch.cat([h, xt.T]) + bf)
        candidate = torch.tanh(Wh @ torch.cat([f * h, xt.T]) + bh)
        h = (1 - f) * h + f * candidate
        outputs.append(h.T)
    return torch.stack(outputs), {"h": h.T}
