"""Raven by the layer of flash-linear-attention."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from einops import repeat
from official import official
from references._layers import TOOLS, run_layer
from references.kda import LIBRARY
from torch import nn
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "raven": {"heads": 2, "slots": 5, "top": 2},
    "raven_one_head": {"slots": 4, "top": 3},
}


class Cache(dict[str, Any]):
    """A cache that holds no earlier tokens."""

    def get_seq_length(self, layer: int) -> int:
        """Number of earlier tokens, which a rotary embedding counts."""
        return 0


def kernel(recurrence: Any, scale: float, cu_seqlens: None, **inputs: Any) -> Any:
    """Run ``naive_recurrent_gsa`` in place of the kernels of the library."""
    return recurrence(scale=scale, **inputs)


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer without noise, with a reference in place of its kernel and norms of PyTorch."""
    file = "fla/ops/gsa/naive.py"
    recurrence = official(*LIBRARY, file, "naive_recurrent_gsa", torch=torch, repeat=repeat)
    parts = {
        "fused_recurrent_gsa": partial(kernel, recurrence),
        "ACT2FN": {"swish": nn.functional.silu},
        "SwishFeatureMap": nn.SiLU,
        "unpad_hidden_states": lambda x, lengths, mask, steps: (x, None, None),
        "repad_hidden_states": lambda y, indices, batch, steps: y,
    }
    Layer, _ = official(*LIBRARY, "fla/layers/raven.py", "Raven", "_max_offset", **TOOLS, **parts)
    sizes = {"hidden_size": len(p["Wo"]), "num_heads": options["heads"], "num_slots": options["slots"]}
    layer = Layer(**sizes, topk=options["top"], fuse_norm=False, layer_idx=0)
    matrices = [*p["Wx"].T.split(len(p["Wo"])), p["Wr"].T, p["Wa"].T]
    projections = ("q_proj", "k_proj", "v_proj", "r_proj", "a_proj")
    weights = {f"{name}.weight": w for name, w in zip(projections, matrices, strict=True)}
    norms = {"q_norm": "gainq", "k_norm": "gaink", "g_norm": "gain"}
    weights |= {f"{name}.weight": p[own] for name, own in norms.items()}
    weights |= {"A_log": p["A"], "dt_bias": p["ba"]}
    cache = Cache(recurrent_state=(state["K"], state["V"]))
    y = run_layer(layer, weights, x, cache)
    return linear(y, p["Wo"].T), dict(zip("KV", cache["recurrent_state"], strict=True))
