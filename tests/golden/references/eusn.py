"""The Euler state network by its author's class."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"eusn": {"eps": 0.3, "gamma": 0.2}}
# No licence is stated.
AUTHORS = ("gallicch/EulerStateNetworks", "309e2a069a61c144360b09f3a03be557532eb998")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``EulerReservoirCell`` of euler.py, with PyTorch in place of TensorFlow.

    The buffers take the place of the weights that it draws. The antisymmetric ``Wh`` is the difference of its
    half and the transpose of this half. The output is the new state and the part of the input that ``Wo``
    adds.
    """
    drawn = iter([p["Wh"] / 2, p["Wx"], p["b"]])
    tensorflow = SimpleNamespace(
        nn=torch,
        linalg=torch,
        random=SimpleNamespace(uniform=lambda **ranges: next(drawn)),
        transpose=torch.t,
        matmul=torch.matmul,
    )
    keras = SimpleNamespace(layers=SimpleNamespace(Layer=object))
    kind = official(*AUTHORS, "euler.py", "EulerReservoirCell", tf=tensorflow, keras=keras)
    cell = kind(len(p["b"]), epsilon=options["eps"], gamma=options["gamma"])
    cell.build(x.shape)
    h, out = state["h"], []
    for each in x:
        y, (h,) = cell.call(each, [h])
        out.append(y + each @ p["Wo"])
    return torch.stack(out), {"h": h}
