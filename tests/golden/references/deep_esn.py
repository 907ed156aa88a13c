"""The deep echo state network by the class of an author."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "deep_esn": {"layers": 3, "leak": 0.4, "radius": 0.8, "scale": 0.7},
    "deep_esn_no_leak": {"layers": 2, "scale": 0.5},
}
# BSD licence.
AUTHORS = ("lucapedrelli/DeepESN", "5c5a165f75ff7b340c0030f3846aabc7c5baf1b2")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``DeepESN.computeGlobalState`` on each sequence, with PyTorch in place of NumPy.

    The output is the new state and the part of the input that ``Wo`` adds.
    """
    numpy = SimpleNamespace(
        zeros=torch.zeros, expand_dims=torch.unsqueeze, multiply=torch.multiply, tanh=torch.tanh
    )
    # In PyTorch, dot does not multiply matrices.
    edits = {".dot(": ".matmul("}
    network = official(*AUTHORS, "src/deepesn/deepesn.py", "DeepESN", edits=edits, np=numpy)
    units = network.__new__(network)  # its constructor draws weights
    layers, size = p["b"].shape
    units.Nl, units.Nr, units.lis = layers, size, [options["leak"]] * layers
    inputs = [p["Wx"].T, *p["Wl"].mT]
    units.Win = [torch.cat([W, b[:, None]], dim=1) for W, b in zip(inputs, p["b"], strict=True)]
    units.W, units.Gain, units.Bias = p["Wh"].mT, [1.0] * layers, [0.0] * layers
    rows = []
    for sequence, h in zip(x.unbind(1), state["h"], strict=True):
        rows.append(units.computeGlobalState(sequence.T, h.reshape(-1, 1)).T)
    hidden = torch.stack(rows, dim=1)
    return hidden + x @ p["Wo"], {"h": hidden[-1].unflatten(-1, (layers, size))}
