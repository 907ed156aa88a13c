"""Recurrent leaky integrate-and-fire as in snnTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "lif": {"beta": 0.8, "threshold": 0.4, "surrogate": "arctan", "slope": 2.0},
    "lif_fast_sigmoid": {"beta": 0.8, "threshold": 0.4, "surrogate": "fast_sigmoid", "slope": 25.0},
    "lif_sigmoid": {"beta": 0.8, "threshold": 0.4, "surrogate": "sigmoid", "slope": 5.0},
    "lif_straight_through": {"beta": 0.8, "threshold": 0.4, "surrogate": "straight_through", "slope": 1.0},
    "lif_triangle": {"beta": 0.8, "threshold": 0.4, "surrogate": "triangle", "slope": 0.5},
}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """A spike is where the potential is above the threshold."""
    state["s"][:] = state["v"] > options["threshold"]


class Spike(torch.autograd.Function):
    """A step forwards, a surrogate backwards: those of snntorch/surrogate.py, and Bellec's triangle."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, surrogate: str, slope: float) -> torch.Tensor:
        """One above zero."""
        ctx.save_for_backward(x)
        ctx.surrogate, ctx.slope = surrogate, slope
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The chosen slope times the gradient."""
        (x,), k = ctx.saved_tensors, ctx.slope
        slopes = {
            "arctan": lambda: k / 2 / (1 + (torch.pi / 2 * k * x) ** 2),
            "fast_sigmoid": lambda: 1 / (k * torch.abs(x) + 1.0) ** 2,
            "sigmoid": lambda: k * torch.exp(-k * x) / (torch.exp(-k * x) + 1) ** 2,
            "straight_through": lambda: torch.full_like(x, k),
            "triangle": lambda: torch.clamp(1 - k * torch.abs(x), min=0),
        }
        return grad * slopes[ctx.surrogate](), None, None


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``RLeaky`` of github.com/jeshraghian/snntorch, with its reset by subtraction.

    Its file is snntorch/_neurons/rleaky.py. The reset is found from the potential, and detached; that agrees
    with spikes that belong to it.
    """
    spk, mem, threshold = state["s"], state["v"], options["threshold"]
    out = []
    for each in x:
        reset = Spike.apply(mem - threshold, options["surrogate"], options["slope"]).detach()
        drive = linear(each, p["Wx"].T, p["b"]) + linear(spk, p["Wh"].T)
        mem = options["beta"] * mem + drive - reset * threshold
        spk = Spike.apply(mem - threshold, options["surrogate"], options["slope"])
        out.append(spk)
    return torch.stack(out), {"s": spk, "v": mem}
