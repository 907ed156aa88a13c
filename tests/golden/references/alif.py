"""Leaky integrate-and-fire units with an adaptive threshold by the code of their authors."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"alif": {"tau": 10.0, "tau_b": 30.0, "threshold": 0.2}}
# Clear BSD licence.
AUTHORS = ("IGITUGraz/LSNN-official", "a9158a3540da92ae51c46a3b7abd4eae75a2bb86", "lsnn/spiking_models.py")
# Functions of TensorFlow 1 by those of PyTorch.
TF = {
    "float32": torch.float64,
    "int64": torch.int64,
    "name_scope": nullcontext,
    "variable_scope": nullcontext,
    "cast": torch.as_tensor,
    "ones": torch.ones,
    "zeros_like": lambda a: torch.zeros_like(torch.as_tensor(a)),
    "where": lambda condition, x, y: torch.where(torch.as_tensor(condition), x, y),
    "equal": torch.eq,
    "greater": torch.gt,
    "maximum": torch.clamp,
    "abs": torch.abs,
    "exp": torch.exp,
    "stack": torch.stack,
    "identity": lambda a, name: a,
}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers, and an adaptation is positive."""
    state["s"][:] = state["s"] > 0
    state["b"][:] = abs(state["b"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ALIF`` with ``SpikeFunction``, with PyTorch in place of TensorFlow 1.

    The delay is one step, so ``tf_roll`` leaves zeros in the buffer of currents.
    """
    weights = {"InputWeight": p["Wx"], "RecurrentWeight": p["Wh"]}

    def variable(value: Any, name: str, dtype: Any = None, trainable: bool = True) -> torch.Tensor:
        return weights.get(name, torch.as_tensor(value))

    def spike(v: torch.Tensor, factor: float) -> torch.Tensor:  # as by tf.custom_gradient
        z, gradient = forward(v.detach(), factor)
        return z + (v - v.detach()) * gradient(torch.ones_like(z))[0]

    tf = SimpleNamespace(Variable=variable, **TF)
    forward = official(*AUTHORS, "SpikeFunction", tf=tf)
    tools: dict[str, Any] = {"tf": tf, "np": np, "rd": np.random, "Variable": variable, "Cell": object}
    tools |= {"ALIFStateTuple": SimpleNamespace, "SpikeFunction": spike}
    tools["einsum_bi_ijk_to_bjk"] = lambda a, b: torch.einsum("bi,ijk->bjk", a, b)
    tools["tf_roll"] = lambda buffer, *last, axis: torch.zeros_like(buffer)
    names = "weight_matrix_with_delay_dimension", "LIF", "ALIF"
    *_, network = official(*AUTHORS, *names, **tools)
    constants = {"thr": options["threshold"], "tau_adaptation": options["tau_b"], "beta": options["beta"]}
    cell = network(*p["Wx"].shape, tau=options["tau"], **constants)
    last = SimpleNamespace(z=state["s"], v=state["v"], b=state["b"])
    last.i_future_buffer, last.z_buffer = torch.zeros(*last.v.shape, 1), torch.zeros(*last.v.shape, 0)
    out = []
    for each in x:
        (z, _, _), last = cell(each, last)
        out.append(z)
    return torch.stack(out), {"s": last.z, "v": last.v, "b": last.b}
