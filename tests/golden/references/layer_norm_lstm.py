"""The LSTM with layer normalisation, by PyTorch's norm."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import layer_norm

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"layer_norm_lstm": {}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``lnlstm_layer`` of github.com/ryankiros/layer-norm, layers.py, with one bias, after the norms.

    Its ``ln`` divides by the root of the variance plus 1e-5, the variance being that of all values. The
    memory that is carried on is not normalised.
    """
    hidden = p["Wh"].shape[0]
    below = layer_norm(x @ p["Wx"], (4 * hidden,), p["gx"], p["b"], eps=1e-5)
    h, c, outputs = state["h"], state["c"], []
    for each in below:
        before = layer_norm(h @ p["Wh"], (4 * hidden,), p["gh"], eps=1e-5)
        i, f, g, o = (each + before).unflatten(1, (4, hidden)).unbind(1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * layer_norm(c, (hidden,), p["gc"], p["bc"], eps=1e-5).tanh()
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}
