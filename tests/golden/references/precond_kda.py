"""Preconditioned Kimi delta attention by the code of flash-linear-attention."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from official import official
from references._layers import TOOLS, run_layer, unit
from references.kda import LIBRARY
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"precond_kda": {"heads": 2}, "precond_kda_squash": {"squash": 2.0}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Sums of squares are positive."""
    state["G"][:] = abs(state["G"])


def kernel(rule: Any, q: torch.Tensor, k: torch.Tensor, initial_state: torch.Tensor, **inputs: Any) -> Any:
    """Run the rule on normalised queries and keys, as the official kernels do."""
    names = ("v", "g", "beta", "g_atk", "beta_atk", "initial_A_state", "output_final_state", "x", "eps")
    given = {name: inputs[name] for name in (*names, "log_atk_scale")}
    return rule(unit(q), unit(k), initial_state=initial_state, **given)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer without convolutions, norm and projection, with references in place of its kernels."""
    rule = official(*LIBRARY, "fla/ops/precond_kda/naive.py", "naive_recurrent_precond_kda", torch=torch)
    gate = official(*LIBRARY, "fla/ops/kda/gate.py", "naive_kda_gate", torch=torch, F=functional)
    parts = {
        "fused_recurrent_precond_kda": partial(kernel, rule),
        "fused_kda_gate": lambda g, A_log, dt_bias, lower_bound: gate(g, A_log, dt_bias, torch.float64),
    }
    Layer = official(*LIBRARY, "fla/layers/precond_kda.py", "PrecondKDA", **TOOLS, **parts)
    heads, size = options["heads"], len(p["b"])
    sizes = {"hidden_size": len(p["Wx"]), "num_heads": heads, "head_dim": size // heads}
    layer = Layer(**sizes, use_short_conv=False, squash_x=options["squash"], layer_idx=0)
    names = {"A_log": "A", "dt_bias": "b", "A_log_atk": "Ag", "dt_bias_atk": "bg", "log_atk_scale": "centre"}
    matrices = [*p["Wx"].T.split(size), *p["Wg"].T.split(heads), p["Wb"].T, p["Wa"].T, p["Wr"].T]
    projections = ("q_proj", "k_proj", "v_proj", "a_proj", "b_atk_proj", "b_proj", "f_proj.0", "f_proj.1")
    weights = {f"{name}.weight": w for name, w in zip(projections, matrices, strict=True)}
    weights |= {name: p[own] for name, own in names.items()}
    cache = {"recurrent_state": state["S"], "A_state": state["G"]}
    y = run_layer(layer, weights, x, cache)
    return y, {"S": cache["recurrent_state"], "G": cache["A_state"]}
