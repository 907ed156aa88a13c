"""Balanced resonate-and-fire units by the code of their authors."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"brf": {}}
# MIT licence.
AUTHORS = ("AdaptiveAILab/brf-neurons", "5d45b0e7d545f09b79d029bb40573200fde57fd7")


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Frequencies are below ``1 / dt``, and some units are about to fire."""
    p["omega"][:] = 8 + 10 * p["omega"]
    state["u"][:] = 3 * state["u"]
    state["s"][:] = state["s"] > 0


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``BRFCell`` with ``brf_update``, ``sustain_osc`` and ``StepDoubleGaussianGrad``.

    Its one linear layer reads input and spikes, as in ``SimpleResRNN``.
    """
    base, name = "snn/functional/base.py", "StepDoubleGaussianGrad"
    step, gaussian = official(*AUTHORS, base, "step", "gaussian", torch=torch, math=math)
    tools = {"torch": torch, "step": step, "gaussian": gaussian}
    spike = official(*AUTHORS, "snn/functional/autograd.py", name, **tools)
    # The base class ``RFCell`` only makes the parameters. The constants are those of the file.
    tools |= {"functional": SimpleNamespace(**{name: spike}), "RFCell": torch.nn.Module}
    tools |= {"DEFAULT_DT": 0.01, "DEFAULT_RF_THETA": 1.0}
    names = "sustain_osc", "brf_update", "BRFCell"
    *_, cell = official(*AUTHORS, "snn/modules/rf.py", *names, **tools)
    layer, weights = cell(), torch.cat([p["Wx"], p["Wh"]]).T
    layer.linear = lambda inputs: linear(inputs, weights)
    layer.omega, layer.b_offset, layer.dt = p["omega"], p["damping"], options["dt"]
    states, out = tuple(state[each] for each in "suvq"), []
    for each in x:
        states = layer(torch.cat([each, states[0]], dim=1), states)
        out.append(states[0])
    return torch.stack(out), dict(zip("suvq", states, strict=True))
