"""Adaptive leaky integrate-and-fire units in symplectic Euler steps by the code of their authors."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from torch.func import functional_call
from torch.nn import Module, Parameter, functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "se_adlif": {"q": 20.0, "threshold": 0.3, "tau_u_max": 10.0, "scale": 0.7, "slope": 3.0}
}
# CC BY-SA 4.0 licence.
AUTHORS = ("IGITUGraz/SE-adlif", "e9803972ce28518383f056dd023618bdd1fba1ea")


class Config(dict[str, Any]):
    """A dictionary whose values are attributes too, as in OmegaConf."""

    __getattr__ = dict.__getitem__


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Spikes are whole numbers; most parameters are within their limits."""
    for name in ("t", "r", "a", "b"):
        p[name][:] = 0.5 + 0.6 * p[name]
    state["s"][:] = state["s"] > 0


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SEAdLIF`` with ``InterpolationTrainer`` and ``SLAYER``.

    Training clamps the parameters after every update. Here they are clamped before, with the same limits.
    """
    tools = {"torch": torch, "Module": Module, "Parameter": Parameter, "F": functional}
    trainers = "TauTrainer", "InterpolationTrainer", "get_tau_trainer_class"
    *_, tools["get_tau_trainer_class"] = official(*AUTHORS, "module/tau_trainers.py", *trainers, **tools)
    tools["SLAYER"] = official(*AUTHORS, "models/helpers.py", "SLAYER", **tools)
    _, network = official(*AUTHORS, "models/alif.py", "EFAdLIF", "SEAdLIF", **tools)
    ranges = {f"tau_{kind}_range": [options[f"tau_{kind}_{end}"] for end in ("min", "max")] for kind in "uw"}
    names = {"thr": "threshold", "alpha": "slope", "c": "scale", "q": "q"}
    numbers = {name: options[ours] for name, ours in names.items()}
    inputs, units = p["Wx"].shape
    layer = network(Config(input_size=inputs, n_neurons=units, **ranges, **numbers))
    weights = {
        "weight": p["Wx"].T,
        "recurrent": p["Wh"].T,
        "bias": p["bias"],
        "tau_u_trainer.weight": torch.clamp(p["t"], 0.0, 1.0),
        "tau_w_trainer.weight": torch.clamp(p["r"], 0.0, 1.0),
        "a": torch.clamp(p["a"], *layer.a_range),
        "b": torch.clamp(p["b"], *layer.b_range),
    }
    states, out = (state["u"], state["s"], state["w"]), []
    for each in x:
        spikes, states = functional_call(layer, weights, (each, states))
        out.append(spikes)
    u, s, w = states
    return torch.stack(out), {"s": s, "u": u, "w": w}
