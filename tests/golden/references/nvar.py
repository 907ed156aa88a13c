"""Nonlinear vector autoregression by the code of ReservoirPy."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import torch
from official import official
from references.es2n import LIBRARY

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"nvar": {}, "nvar_stride": {"delay": 3, "stride": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``NVAR.initialize`` and ``NVAR._step`` on each sequence, with PyTorch's arrays, and a readout.

    ``Wq`` has a row for each ordered pair, so the weight of a product of two different features is the sum of
    two rows.
    """
    numpy = SimpleNamespace(
        arange=range,
        array=torch.tensor,
        zeros=torch.zeros,
        ravel=torch.ravel,
        prod=torch.prod,
        roll=torch.roll,
    )
    tools = {"np": numpy, "it": itertools, "comb": math.comb}
    # PyTorch names the axis of this function otherwise.
    edits = {"np.roll(store, 1, axis=0)": "np.roll(store, 1, 0)"}
    file = "reservoirpy/nodes/nvar.py"
    initialize, step = official(*LIBRARY, file, "initialize", "_step", edits=edits, **tools)
    node = SimpleNamespace(delay=options["delay"], order=2, strides=options["stride"], input_dim=x.shape[-1])
    node._set_input_dim = lambda x: None
    rows, last = [], []
    for sequence, past in zip(x.unbind(1), state["past"], strict=True):
        initialize(node, None)
        node.store[: len(past)] = past
        rows.append(torch.stack([step(node, node.state, each)["out"] for each in sequence]))
        last.append(node.store[: len(past)])
    first, second = node._monomial_idx.T
    Wq = p["Wq"].unflatten(0, (len(p["Wl"]), -1))
    weights = Wq[first, second] + (first != second)[:, None] * Wq[second, first]
    y = torch.stack(rows, dim=1) @ torch.cat([p["Wl"], weights]) + p["b"]
    return y, {"past": torch.stack(last)}
