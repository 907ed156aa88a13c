"""The orthogonal network by its authors' code, with PyTorch's exponential."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"exp_rnn": {}, "exp_rnn_cayley": {"map": "cayley"}}
# MIT licence.
AUTHORS = ("Lezcano/expRNN", "830ec836521d0c295436dcafc3f0b3deea36c83c")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``OrthogonalRNN`` in static mode, with ``cayley_map`` or PyTorch's exponential of matrices.

    The authors' own exponential, ``expm32``, is exact to single precision.
    """
    tools = {"torch": torch, "nn": nn}
    base = official(*AUTHORS, "parametrization.py", "Parametrization", **tools)
    classes = "Orthogonal", "modrelu", "OrthogonalRNN"
    layer = official(*AUTHORS, "orthogonal.py", *classes, Parametrization=base, **tools)[-1]
    # PyTorch has no ``torch.solve`` any more.
    older = SimpleNamespace(eye=torch.eye, solve=lambda b, a: (torch.linalg.solve(a, b),))
    cayley = official(*AUTHORS, "trivializations.py", "cayley_map", torch=older)
    mapping = cayley if options["map"] == "cayley" else torch.matrix_exp
    cell = layer(x.shape[-1], len(p["b"]), nn.init.zeros_, "static", mapping).double()
    weights = {
        "recurrent_kernel.A": p["A"],
        "input_kernel.weight": p["Wx"].T,
        "nonlinearity.b": p["b"],
    }
    h, out = state["h"], []
    for each in x:
        y, h = torch.func.functional_call(cell, weights, (each, h))
        out.append(y)
    return torch.stack(out), {"h": h}
