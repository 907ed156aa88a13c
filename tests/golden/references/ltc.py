"""The liquid time-constant network: one list of synapses, from inputs and neurons alike."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import softplus

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ltc": {"unfolds": 3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``LTCCell._ode_solver`` of github.com/mlech26l/ncps, ncps/torch/ltc_cell.py.

    With full wiring, no maps of input and output, and ``implicit_param_constraints``.
    """
    w, mu, sigma, erev = (torch.cat([p[f"{name}x"], p[name]]) for name in ("w", "mu", "sigma", "erev"))
    leak, capacitance = softplus(p["gleak"]), softplus(p["cm"])
    v, out = state["h"], []
    for xt, elapsed in zip(x, p["dt"], strict=True):
        charge = capacitance / (elapsed[:, None] / options["unfolds"])
        for _ in range(options["unfolds"]):
            before = torch.cat([xt, v], dim=1)[:, :, None]
            open_ = softplus(w) * torch.sigmoid(sigma * (before - mu))
            pulled = charge * v + leak * p["vleak"] + (open_ * erev).sum(1)
            v = pulled / (charge + leak + open_.sum(1) + 1e-8)
        out.append(v)
    return torch.stack(out), {"h": v}
