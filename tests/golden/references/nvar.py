"""Nonlinear vector autoregression, from the list of unique products."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"nvar": {}, "nvar_stride": {"delay": 3, "stride": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``NVAR._step`` of ReservoirPy (MIT) at 06833e33, reservoirpy/nodes/nvar.py, and a readout.

    Run in float64 on the inputs of the cases, the method itself gives the same features. ``Wq`` has a row for
    each ordered pair, so the weight of a product of two different features is the sum of two rows.
    """
    delay, stride = options["delay"], options["stride"]
    size = delay * x.shape[-1]
    pairs = list(combinations_with_replacement(range(size), 2))
    weights = torch.stack(
        [p["Wq"][i * size + j] + (p["Wq"][j * size + i] if i != j else 0) for i, j in pairs]
    )
    first, second = torch.tensor(pairs).T
    past, out = state["past"], []
    for each in x:
        store = torch.cat([each[:, None], past], dim=1)
        past = store[:, :-1]
        linear = store[:, ::stride].flatten(1)
        features = torch.cat([torch.ones(len(each), 1), linear, linear[:, first] * linear[:, second]], dim=1)
        out.append(features @ torch.cat([p["b"][None], p["Wl"], weights]))
    return torch.stack(out), {"past": past}
