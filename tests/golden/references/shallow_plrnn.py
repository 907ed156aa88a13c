"""The shallow piecewise-linear network by its authors' class in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "shallow_plrnn": {"units": 7},
    "shallow_plrnn_clipped": {"units": 5, "clipped": True},
}
# GPL-3.0 licence.
AUTHORS = ("DurstewitzLab/CNS-2023", "fc13aca98cddef8c14ea5aaf8e3ca32d4a244e7a", "CNS2023_tutorial.ipynb")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``shallowPLRNN`` of the authors' tutorial for one step at a time.

    It has no clipped form. The clipped form is a statement of ours, written after ``clippedShallowPLRNN`` in
    src/models/shallow_plrnn.jl of github.com/DurstewitzLab/GTF-shPLRNN at b6172ce8, which is in Julia.
    """
    network = official(*AUTHORS, "shallowPLRNN", torch=torch, nn=nn, uniform_=nn.init.uniform_)
    units = network(len(p["A"]), len(p["h2"]), x.shape[-1])
    weights = {name: p[name] for name in ("A", "h1", "h2")}
    weights |= {"W1": p["W1"].T, "W2": p["W2"].T, "C": p["Wx"].T}
    z, out = state["h"], []
    for each in x:
        if options["clipped"]:
            a = z @ p["W2"]
            hidden = torch.relu(a + p["h2"]) - torch.relu(a)
            z = p["A"] * z + hidden @ p["W1"] + p["h1"] + each @ p["Wx"]
        else:
            z = torch.func.functional_call(units, weights, (z, each))
        out.append(z)
    return torch.stack(out), {"h": z}
