"""Adaptive exponential integrate-and-fire units by the code of Norse."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from official import official

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"adex": {"dt": 0.004, "threshold": 0.5, "coupling": 2.0, "jump": 0.3}}
# LGPL-3.0 licence. The commit is version 1.1.0.
NORSE = ("norse/norse", "4f729507681e76c5c9f785954026b7d89e7c643b")


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers."""
    state["s"][:] = state["s"] > 0


def functions(file: str, *names: str) -> Any:
    """Load functions and classes of a neuron, which use ``threshold`` with ``SuperSpike``."""
    folder = "norse/torch/functional"
    heaviside = official(*NORSE, f"{folder}/heaviside.py", "heaviside", torch=torch)
    known = {"torch": torch, "heaviside": heaviside, "NamedTuple": NamedTuple}
    _, spike = official(*NORSE, f"{folder}/superspike.py", "SuperSpike", "super_fn", **known)
    known["threshold"] = official(*NORSE, f"{folder}/threshold.py", "threshold", superspike_fn=spike, **known)
    return official(*NORSE, f"{folder}/{file}.py", *names, **known)


def layer(step: Any, p: Tensors, constants: Any, dt: float) -> Any:
    """Make a ``SNNRecurrent`` of a step. It sets the diagonal of the recurrent weights to zero.

    The edit leaves out a line that PyTorch refuses for a copy of parameters, which has gradients anyway.
    """
    edits = {"self.recurrent_weights.requires_grad = True": ""}
    network = official(*NORSE, "norse/torch/module/snn.py", "SNNRecurrent", edits=edits, torch=torch)
    weights = {"input_weights": p["Wx"].T, "recurrent_weights": p["Wh"].T.clone()}
    return network(step, None, *p["Wx"].shape, constants, dt=dt, **weights)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SNNRecurrent`` with ``lif_adex_step``, which is ``LIFAdExRecurrent``."""
    names = "LIFAdExParameters", "LIFAdExState", "lif_adex_step"
    parameters, states, step = functions("lif_adex", *names)
    constants = parameters(
        adaptation_current=options["coupling"],
        adaptation_spike=options["jump"],
        delta_T=options["sharpness"],
        tau_ada_inv=1 / options["tau_ada"],
        tau_syn_inv=1 / options["tau_syn"],
        tau_mem_inv=1 / options["tau_mem"],
        v_th=options["threshold"],
    )
    first = states(state["s"], state["v"], state["i"], state["a"])
    y, last = layer(step, p, constants, options["dt"])(x, first)
    return y, {"s": last.z, "v": last.v, "i": last.i, "a": last.a}
