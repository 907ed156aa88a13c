"""TTT-Linear by its authors' layer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch import nn
from torch.nn import functional
from torch.nn.functional import pad
from torch.utils._pytree import tree_map

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"ttt_linear": {"heads": 2, "rate": 0.7}, "ttt_linear_one_head": {}}
# MIT licence.
AUTHORS = ("test-time-training/ttt-lm-pytorch", "cd831db10c8c9a0f6340f02da5613316a8a92b67", "ttt.py")
LAYER = ("scan", "ln_fwd", "ln_fused_l2_bwd", "rotate_half", "RotaryEmbedding", "TTTBase", "TTTLinear")
ROTATION = ("permute_qk", "apply_rotary_pos_emb", "undo_permute_qk")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``TTTLinear`` with mini batches of one.

    It has as many inputs as units, so zeros are added to the inputs and their weights. It takes the first
    states from a cache and gives it the last ones. A dictionary stands in for the cache, which overwrites
    tensors that gradients need.
    """
    heads, units = options["heads"], len(p["Wo"])
    tools: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "tree_map": tree_map}
    names = [*ROTATION, *LAYER]
    if units // heads % 2:
        # The rotation by the position in the mini batch needs an even width, and is the identity here.
        tools |= dict.fromkeys(ROTATION, lambda q, k, *_: (q, k))
        names = [*LAYER]
    *_, Layer = official(*AUTHORS, *names, **tools)
    sizes = {"hidden_size": units, "num_attention_heads": heads, "mini_batch_size": 1, "conv_kernel": 4}
    rates = {"ttt_base_lr": options["rate"], "rope_theta": 10000.0, "scan_checkpoint_group_size": 0}
    layer = Layer(SimpleNamespace(**sizes, **rates, share_qk=False, use_gate=False), 0)

    more = (0, units - x.shape[-1])
    weights = {
        "learnable_ttt_lr_weight": pad(p["We"].T, more)[:, None],
        "learnable_ttt_lr_bias": p["be"][:, None],
        "ttt_norm_weight": p["w"].unflatten(0, (heads, -1)),
        "ttt_norm_bias": p["b"].unflatten(0, (heads, -1)),
        "post_norm.weight": p["gain"],
        "post_norm.bias": p["bias"],
        "o_proj.weight": p["Wo"].T,
    }
    for name, part in zip("qkv", pad(p["Wx"].T, more).chunk(3), strict=True):
        weights[f"{name}_proj.weight"] = part
    memory = {
        "W1_states": p["M0"] + state["M"],
        "b1_states": (p["c0"] + state["c"]).unflatten(-1, (heads, 1, -1)),
    }
    cache = SimpleNamespace(
        seqlen_offset=0,
        ttt_params_to_dict=lambda index: memory,
        update=lambda new, index, steps: memory.update(new),
    )
    inputs = {"position_ids": torch.arange(len(x))[None], "cache_params": cache}
    y = torch.func.functional_call(layer, weights, pad(x.transpose(0, 1), more), inputs)
    last = {"M": memory["W1_states"] - p["M0"], "c": memory["b1_states"].flatten(1) - p["c0"]}
    return y.transpose(0, 1), last
