"""Attention with bounded-memory control by the layer of flash-linear-attention."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from einops import repeat
from official import official
from references._layers import TOOLS, run_layer
from references.kda import LIBRARY
from torch import nn
from torch.nn.functional import linear, pad, rms_norm, silu

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"abc": {"heads": 3, "slots": 4}, "abc_empty": {"slots": 5}}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Sums of weights are positive."""
    state["Z"][:] = abs(state["Z"]) + 0.1


class GatedNorm(nn.Module):
    """A norm with gain and a swish gate, as ``FusedRMSNormGated`` of fla/modules/fused_norm_gate.py."""

    def __init__(self, hidden_size: int, elementwise_affine: bool, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(hidden_size)), eps

    def forward(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Normalise, and multiply by gain and gate."""
        return rms_norm(x, self.weight.shape, self.weight, eps=self.eps) * silu(g)


def kernel(
    rule: Any, first: torch.Tensor, s: torch.Tensor, initial_state: Any, output_final_state: bool, **qkv: Any
) -> Any:
    """Run ``naive_recurrent_abc``, which has heads before steps, in place of the kernel of the library.

    It starts from no weights. One step before the others has the first sums as weights, and a key and a
    value of zero, so that it changes the first means by nothing.
    """
    s, *qkv = (part.transpose(1, 2) for part in (s, *(qkv[name] for name in "qkv")))
    if not first.any():
        o, last = rule(*qkv, s, None, None, initial_state, output_final_state)
        return o.transpose(1, 2), last
    s = torch.cat([first.log()[:, :, None], s], 2)
    o, last = rule(
        *(pad(part, (0, 0, 1, 0)) for part in qkv), s, None, None, initial_state, output_final_state
    )
    return o[:, :, 1:].transpose(1, 2), last


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer with a reference in place of its kernel, without rotary embedding."""
    rule = official(*LIBRARY, "fla/ops/abc/naive.py", "naive_recurrent_abc", torch=torch, repeat=repeat)
    tools = TOOLS | {"FusedRMSNormGated": GatedNorm, "chunk_abc": partial(kernel, rule, state["Z"])}
    Layer = official(*LIBRARY, "fla/layers/abc.py", "ABCAttention", **tools)
    size, heads = len(p["Wo"]), options["heads"]
    layer = Layer(size, num_heads=heads, num_slots=options["slots"], use_rope=False, layer_idx=0)
    matrices = [*p["Wx"].T.split([size // 2, size // 2, size, size]), p["Ws"].T, p["gain"]]
    names = ("q_proj", "k_proj", "v_proj", "g_proj", "s_proj", "g_norm")
    weights = {f"{name}.weight": w for name, w in zip(names, matrices, strict=True)}
    cache = {"recurrent_state": (state["K"], state["V"])}
    y = run_layer(layer, weights, x, cache)
    K, V = cache["recurrent_state"]
    scores = linear(x, p["Ws"].T).unflatten(-1, (heads, -1)).clamp(-32, 32)
    return linear(y, p["Wo"].T), {"K": K, "V": V, "Z": state["Z"] + scores.exp().sum(0)}
