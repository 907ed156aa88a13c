"""The phased LSTM by its authors' code, with PyTorch in place of Theano."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"phased_lstm": {"open": 0.6, "leak": 0.1}}
# Apache licence 2.0.
AUTHORS = ("dannyneil/public_plstm", "1bf2627970e77e1444251f3b88ce32bf598ffdb8", "plstm.py")
THEANO = SimpleNamespace(dot=torch.matmul, mod=torch.remainder, le=torch.le, gt=torch.gt, switch=torch.where)
SETTINGS = {
    "precompute_input": True,
    "grad_clipping": 0,
    "peepholes": True,
    "nonlinearity_ingate": torch.sigmoid,
    "nonlinearity_forgetgate": torch.sigmoid,
    "nonlinearity_cell": torch.tanh,
    "nonlinearity_outgate": torch.sigmoid,
    "nonlinearity": torch.tanh,
}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Periods are some steps long, and shifts are positive."""
    p["period"][:] = 4 + p["period"]
    p["shift"][:] = 10 + 5 * p["shift"]
    state["t"][:] = abs(state["t"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``step_masked`` of ``PLSTMLayer``, with ``step`` and ``calc_time_gate``, which it calls.

    As the layer does, prepare the product of the input, and shift, period, middle and end of the time gate.
    One edit replaces Theano's way to add an axis.
    """
    layer = SimpleNamespace(num_units=len(p["Wh"]), **SETTINGS)
    layer.W_cell_to_ingate, layer.W_cell_to_forgetgate, layer.W_cell_to_outgate = p["p"]
    period = torch.abs(p["period"])
    prepared = {
        "W_hid_stacked": p["Wh"],
        "shift_broadcast": p["shift"],
        "period_broadcast": period,
        "on_mid_broadcast": options["open"] * 0.5 * period,
        "on_end_broadcast": options["open"] * period,
        "off_slope": options["leak"],
    }
    names = "slice_w", "step", "calc_time_gate", "step_masked"
    edits = {".dimshuffle([0, 'x'])": "[:, None]"}
    step = official(*AUTHORS, *names, edits=edits, T=THEANO, self=layer, **prepared)[-1]
    h, c, t, out = state["h"], state["c"], state["t"], []
    for each, dt in zip(linear(x, p["Wx"].T, p["b"]), p["dt"], strict=True):
        t = t + dt[:, None]
        c, h = step(each, t[:, 0], torch.tensor(True), c, h)
        out.append(h)
    return torch.stack(out), {"h": h, "c": c, "t": t}
