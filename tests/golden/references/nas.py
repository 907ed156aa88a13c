"""The NAS cell as TensorFlow has it."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"nas": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``NASCell`` of TensorFlow (contrib/rnn/python/ops/rnn_cell.py, and rnn/nas_cell.py of Addons).

    In both, unit 3 is a product of what comes from input and output, and the bias belongs to the latter;
    ``NASCell`` of torchrecurrent, which is not run for this reason, takes their sum there.
    """
    squash = [torch.sigmoid, torch.relu, torch.sigmoid, torch.relu]
    squash += [torch.tanh, torch.sigmoid, torch.tanh, torch.sigmoid]
    h, c, outputs = state["h"], state["c"], []
    for xt in x:
        from_x, from_h = (xt @ p["Wx"]).chunk(8, dim=1), (h @ p["Wh"] + p["b"]).chunk(8, dim=1)
        joined = [torch.mul if unit == 3 else torch.add for unit in range(8)]
        n = [s(j(a, b)) for s, j, a, b in zip(squash, joined, from_x, from_h, strict=True)]
        first, second = torch.tanh(n[0] * n[1]), torch.tanh(n[2] + n[3])
        third, fourth = torch.tanh(n[4] * n[5]), torch.sigmoid(n[6] + n[7])
        c = torch.tanh(first + c) * second
        h = torch.tanh(c * torch.tanh(third + fourth))
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}
