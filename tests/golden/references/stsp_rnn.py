"""Short-term synaptic plasticity, with the states of the paper."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"stsp_rnn": {"dt": 0.1, "alpha": 0.4, "excitatory": 0.7}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Rates are positive, and synapses are between their limits or about to leave them."""
    state["h"][:] = 5 * abs(state["h"])
    state["d"][:] = 0.2 + 0.2 * state["d"]
    state["e"][:] = 0.2 * abs(state["e"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``rnn_cell`` of github.com/nmasse/Short-term-plasticity-RNN at 6c3c486b (Apache-2.0), model.py.

    There is no noise. Run in float64 on the inputs of the case, with PyTorch in place of TensorFlow 1, the
    method itself gives the same outputs, states and gradients to 2e-15.
    """
    dt, U, ei = options["dt"], p["U"], torch.diag(p["sign"])
    w_rnn = ei @ torch.relu(p["Wh"] - torch.diag(torch.diag(p["Wh"])))
    h, syn_x, syn_u, out = state["h"], 1 - state["d"], U + state["e"], []
    for each in x:
        syn_x, syn_u = (
            syn_x + p["fast"] * (1 - syn_x) - dt * syn_u * syn_x * h,
            syn_u + p["slow"] * (U - syn_u) + dt * U * (1 - syn_u) * h,
        )
        syn_x = torch.minimum(torch.ones_like(h), torch.relu(syn_x))
        syn_u = torch.minimum(torch.ones_like(h), torch.relu(syn_u))
        drive = each @ torch.relu(p["Wx"]) + (syn_u * syn_x * h) @ w_rnn + p["b"]
        h = torch.relu(torch.lerp(h, drive, options["alpha"]))
        out.append(h)
    return torch.stack(out), {"h": h, "d": 1 - syn_x, "e": syn_u - U}
