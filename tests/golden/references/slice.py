"""SLiCE by its authors' code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"slice": {"block": 2}, "slice_empty": {"block": 3, "dt": 0.5}}
# MIT licence.
AUTHORS = ("Benjamin-Walker/structured-linear-cdes", "76dd0dd7e2e1884d2061bbe4e22eebc53b5f252c")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``LinearCDE.forward``, with the state before the first step in place of its first state.

    The function sets its first state from the first input, and changes it from the second input on. Where a
    sequence has begun, an input of zero before it leads to the state, and is cut off.
    """
    single = "self.hidden_dim, device=X.device)"
    linear_cde = official(
        *AUTHORS,
        "models/slcde.py",
        "LinearCDE",
        edits={single: f"{single[:-1]}, dtype=X.dtype)"},
        nn=torch.nn,
        torch=torch,
    )
    out = []
    for row in range(x.shape[1]):
        has_begun = bool(state["n"][row])
        sequence = torch.cat([torch.zeros_like(x[:1, row]), x[:, row]]) if has_begun else x[:, row]
        first = state["h"][row]
        if not has_begun:
            first = first + linear(x[0, row], p["Wi"].T, p["bi"])
        model = SimpleNamespace(
            diagonal=True,
            rank=0,
            fwht=False,
            block_size=options["block"],
            hidden_dim=p["bi"].shape[0],
            dt=options["dt"],
            vf_A=torch.cat([p["A0"].reshape(1, -1), p["Wa"]]),
            init_layer=lambda _, first=first: first[None],
        )
        states = linear_cde.forward(model, sequence[None])[0]
        out.append(states[1:] if has_begun else states)
    y = torch.stack(out, dim=1)
    return y, {"h": y[-1], "n": state["n"] + len(x)}
