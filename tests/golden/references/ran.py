"""The recurrent additive network as a weighted sum over the past."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ran": {"activation": "tanh"}, "ran_identity": {"activation": "identity"}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``RANCell`` of github.com/kentonl/ran, ran.py: content without bias, gates on input and output.

    The memory is not carried on but summed anew, as the paper reads it: every content, and the first memory,
    weighs what its input gate let in times all forget gates since.
    """
    hidden = p["Wh"].shape[0]
    w, content = p["Wx"].split([2 * hidden, hidden], dim=1)
    kernel = torch.cat([w, p["Wh"]])
    h, outputs = state["h"], []
    terms, weights = [state["c"]], [torch.ones_like(state["c"])]
    for xt in x:
        gates = torch.addmm(p["b"], torch.cat([xt, h], dim=1), kernel)
        i, f = torch.sigmoid(gates).split(hidden, dim=1)
        weights = [weight * f for weight in weights] + [i]
        terms.append(xt @ content)
        c = (torch.stack(weights) * torch.stack(terms)).sum(0)
        h = torch.tanh(c) if options["activation"] == "tanh" else c
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}
