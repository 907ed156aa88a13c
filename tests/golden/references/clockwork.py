"""The clockwork RNN, module by module."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"clockwork": {"groups": 3}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Compute module i from itself and slower modules if ``t mod T_i = 0`` at step t (Koutník et al. 2014).

    No mask: blocks that the paper leaves out are never read, and a module at rest computes nothing. Steps are
    counted from zero, as in the authors' library (IDSIA/brainstorm, layers/clockwork_rnn.py).
    """
    groups, size = p["Wh"].shape[:2]
    Wx, b = p["Wx"].reshape(-1, groups, size), p["b"].reshape(groups, size)
    rows = []
    for row in range(x.shape[1]):
        y, t = list(state["h"][row].reshape(groups, size)), int(state["n"][row])
        history = []
        for xt in x[:, row]:
            before = list(y)
            for i in range(groups):
                if t % 2**i == 0:
                    projections = [p["Wh"][j, :, i, :].T @ before[j] for j in range(i, groups)]
                    y[i] = torch.tanh(Wx[:, i].T @ xt + b[i] + sum(projections))
            history.append(torch.cat(y))
            t += 1
        rows.append(torch.stack(history))
    outputs = torch.stack(rows, dim=1)
    return outputs, {"h": outputs[-1], "n": state["n"] + len(x)}
