"""Momentum DeltaNet by the code of its authors."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from official import official
from references._layers import TOOLS, run_layer, unit

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "momentum_delta_net": {"heads": 2},
    "momentum_delta_net_one_head": {"min_log_mu": -0.5},
}
# MIT licence, according to its pyproject.toml: a fork of flash-linear-attention.
CODE = ("HuuYuLong/MomentumDeltaNet", "c6e77fa261fb0c002fae1a14b6209a5b28d2edc9")
FOLDER = "flash-linear-attention/fla"


def kernel(rule: Any, q: torch.Tensor, k: torch.Tensor, initial_state: torch.Tensor, **inputs: Any) -> Any:
    """Run the rule on normalised queries and keys, as the official kernels do."""
    names = ("v", "log_alpha", "log_mu", "beta", "eta", "output_final_state")
    p = unit(k) * inputs["log_alpha"].exp()[..., None]
    s, m = initial_state
    return rule(unit(q), unit(k), p=p, initial_S=s, initial_M=m, **{name: inputs[name] for name in names})


class Cache(list[dict[str, Any]]):
    """The state of the one layer."""

    def update(self, recurrent_state: torch.Tensor, **_: Any) -> None:
        """Store the state after a call."""
        self[0]["recurrent_state"] = recurrent_state


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer without convolutions, norm and projection, with a reference in place of its kernel."""
    file, name = f"{FOLDER}/ops/momentum_delta_rule/naive.py", "recurrent_momentum_delta_rule_ref"
    parts = {"fused_recurrent_mode_rule": partial(kernel, official(*CODE, file, name, torch=torch))}
    file, name = f"{FOLDER}/layers/momentum_deltanet.py", "MomentumDeltaNet"
    Layer = official(*CODE, file, name, **TOOLS, **parts)
    heads, size = options["heads"], p["Wx"].shape[1] // 3
    sizes = {"hidden_size": len(p["Wx"]), "num_heads": heads, "head_dim": size // heads, "expand_v": 1}
    off = {"use_gate": False, "use_short_conv": False}
    layer = Layer(**sizes, **off, min_log_mu=options["min_log_mu"], layer_idx=0)
    names = {"A_log": "A", "dt_bias": "ba", "Mu_log": "Am", "mu_bias": "bm", "log_factor": "f", "D_log": "d"}
    matrices = [*p["Wx"].T.split(size), *p["Wg"].T.split(heads)]
    weights = {f"{name}_proj.weight": w for name, w in zip("qkvambe", matrices, strict=True)}
    weights |= {name: p[own] for name, own in names.items()}
    cache = Cache([{"recurrent_state": torch.stack([state["S"], -state["P"]]), "conv_state": None}])
    y = run_layer(layer, weights, x, cache)
    s, m = cache[0]["recurrent_state"]
    return y, {"S": s, "P": -m}
