"""The sLSTM by the plain version of its authors' code."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear, logsigmoid

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"slstm": {"heads": 2}, "slstm_empty": {"heads": 2}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """The largest weight is one, and ``n`` is the sum of all."""
    state["n"][:] = 1 + abs(state["n"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow ``slstm_forward_pointwise`` of github.com/NX-AI/xlstm, xlstm/blocks/slstm/src/vanilla/slstm.py.

    The recurrent product is that of the cell beside it, one block per head. Rows are run on their own: the
    original asks of the whole batch whether the memory is empty.
    """
    rows = [
        one_row(options, p, x[:, row], {k: v[row] for k, v in state.items()}) for row in range(x.shape[1])
    ]
    last = {name: torch.stack([row[1][name] for row in rows]) for name in state}
    return torch.stack([row[0] for row in rows], dim=1), last


def one_row(
    options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors
) -> tuple[torch.Tensor, Tensors]:
    """All steps of one row."""
    y, c, n, m = (state[name] for name in "hcnm")
    out = []
    for wx in linear(x, p["Wx"].T):
        ry = torch.einsum("kd,kde->ke", y.reshape(options["heads"], -1), p["R"])
        ry = torch.cat([part.reshape(-1) for part in ry.chunk(4, dim=1)])
        iraw, fraw, zraw, oraw = (wx + ry + p["b"]).chunk(4)
        logfplusm = m + logsigmoid(fraw)
        m = iraw if torch.all(n == 0.0) else torch.max(iraw, logfplusm)
        igate, fgate = torch.exp(iraw - m), torch.exp(logfplusm - m)
        c = fgate * c + igate * torch.tanh(zraw)
        n = fgate * n + igate
        y = torch.sigmoid(oraw) * c / n
        out.append(y)
    return torch.stack(out), {"h": y, "c": c, "n": n, "m": m}
