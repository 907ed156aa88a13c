"""Preconditioned Gated DeltaNet by the code of flash-linear-attention."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from official import official
from references import precond_kda
from references._layers import TOOLS, run_layer
from references.kda import LIBRARY

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "precond_gated_delta_net": {"heads": 2},
    "precond_gated_delta_net_squash": {"squash": 2.0},
}
reachable = precond_kda.reachable
FOLDER = "fla/ops/precond_gated_delta_rule"
# The kernels normalise with another constant, and the caller has done so.
EDITS = {"F.normalize(q, p=2, dim=-1)": "q", "F.normalize(k, p=2, dim=-1)": "k"}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer without convolutions, norm and projection, with a reference in place of its kernels."""
    name = "naive_recurrent_precond_gated_delta_rule"
    rule = official(*LIBRARY, f"{FOLDER}/naive.py", name, edits=EDITS, torch=torch)
    parts = {"fused_recurrent_precond_gated_delta_rule": partial(precond_kda.kernel, rule)}
    file, name = "fla/layers/precond_gated_deltanet.py", "PrecondGatedDeltaNet"
    Layer = official(*LIBRARY, file, name, **TOOLS, **parts)
    heads, size = options["heads"], p["Wx"].shape[1] // 3
    sizes = {"hidden_size": len(p["Wx"]), "num_heads": heads, "head_dim": size // heads, "expand_v": 1}
    off = {"use_gate": False, "use_short_conv": False}
    layer = Layer(**sizes, **off, squash_x=options["squash"], layer_idx=0)
    names = {"A_log": "A", "dt_bias": "b", "A_log_atk": "Ag", "dt_bias_atk": "bg", "log_atk_scale": "centre"}
    matrices = [*p["Wx"].T.split(size), *p["Wg"].T.split(heads)]
    projections = ("q", "k", "v", "a", "b", "a_atk", "b_atk")
    weights = {f"{name}_proj.weight": w for name, w in zip(projections, matrices, strict=True)}
    weights |= {name: p[own] for name, own in names.items()}
    cache = {"recurrent_state": state["S"], "A_state": state["G"]}
    y = run_layer(layer, weights, x, cache)
    return y, {"S": cache["recurrent_state"], "G": cache["A_state"]}
