"""LightNet by the layer of flash-linear-attention."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from official import official
from references._layers import TOOLS
from references.kda import LIBRARY
from torch.func import functional_call
from torch.nn.functional import linear, rms_norm, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"lightnet": {"heads": 2, "rank": 2}, "lightnet_empty": {"rank": 3}}


def kernel(rule: Any, gk: torch.Tensor, initial_state: Any, state_v_first: bool, **inputs: Any) -> Any:
    """Run ``naive_recurrent_gla`` in place of the kernels of the library."""
    names = ("q", "k", "v", "output_final_state")
    return rule(**{name: inputs[name] for name in names}, gk=gk, initial_state=initial_state)


def gated_norm(o: torch.Tensor, g: torch.Tensor, gain: torch.Tensor, _: None, *w: Any) -> torch.Tensor:
    """Follow ``rms_norm_swish_gate_linear`` of fla/modules/fused_norm_gate.py."""
    return linear(rms_norm(o, gain.shape, gain, eps=1e-6) * silu(g), *w)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer with references in place of its kernels.

    A call of the layer computes all steps from empty states, and one step from other states.
    """
    rule = official(*LIBRARY, "fla/ops/gla/naive.py", "naive_recurrent_gla", torch=torch)
    norm = official(*LIBRARY, "fla/modules/fused_norm_gate.py", "FusedRMSNormGated", **TOOLS)
    parts = {"fused_recurrent_gla": partial(kernel, rule), "rms_norm_swish_gate_linear": gated_norm}
    tools = TOOLS | parts | {"FusedRMSNormGated": norm}
    Layer = official(*LIBRARY, "fla/layers/lightnet.py", "LightNetAttention", **tools)
    layer = Layer(hidden_size=len(p["Wo"]), num_heads=options["heads"], expand_ratio=None, layer_idx=0)
    matrices = [*p["Wx"].T.split(len(p["Wo"])), p["Wa"].T, p["Wr"].T, p["gain"], p["Wo"].T]
    names = ("q_proj", "k_proj", "v_proj", "g_proj.0", "g_proj.1", "g_norm", "o_proj")
    weights = {f"{name}.weight": w for name, w in zip(names, matrices, strict=True)}
    inputs, cache = (x,), {"recurrent_state": state["S"]}
    if state["n"].any():
        z = torch.where(state["n"][:, :, None] > 0, state["z"], -torch.inf)
        inputs, cache = x.split(1), cache | {"ffn_state": z[:, None]}
    more = {"past_key_values": cache, "use_cache": True}
    y = torch.cat([functional_call(layer, weights, part.transpose(0, 1), more)[0] for part in inputs], 1)
    last = {"S": cache["recurrent_state"], "z": cache["ffn_state"][:, 0], "n": state["n"] + len(x)}
    return y.transpose(0, 1), last
