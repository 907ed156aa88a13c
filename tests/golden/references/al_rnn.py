"""The almost-linear network by its authors' class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"al_rnn": {"rectified": 2}}
# GPL-3.0 licence.
AUTHORS = ("DurstewitzLab/ALRNN-DSR", "0bdca245a24ddabff691c7fe2e368afb6d24ccba")
FILE = "alrnn_python/AL-RNN_tutorial.ipynb"


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``AL_RNN`` for each step, and add the projected input, because the class has none.

    The class changes the state that it is given, so it is given a copy.
    """
    tools = {"torch": torch, "nn": nn, "F": nn.functional, "np": np, "math": math}
    units = official(*AUTHORS, FILE, "AL_RNN", **tools)(len(p["b"]), options["rectified"], 1)
    weights = {"A": p["A"], "W": p["Wh"].T, "h": p["b"]}
    z, out = state["h"], []
    for each in x:
        z = torch.func.functional_call(units, weights, z.clone()) + each @ p["Wx"]
        out.append(z)
    return torch.stack(out), {"h": z}
