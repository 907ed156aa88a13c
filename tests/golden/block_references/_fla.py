"""Modules of flash-linear-attention without Triton."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import torch
from block_references import _parts as parts
from einops import rearrange, repeat
from official import official
from torch import nn
from torch.nn import functional
from torch.nn.functional import conv1d, silu

Tensors = dict[str, torch.Tensor]
# MIT licence.
LIBRARY = ("fla-org/flash-linear-attention", "bc3b101dcb713ddc5bd8924b66754eb68b5ccf89")
IMPORTS = {
    "from fla.modules.conv.causal_conv1d import causal_conv1d\n": "pass\n",
    "from fla.modules.conv.triton.ops import causal_conv1d_update\n": "pass\n",
}


def environment() -> dict[str, Any]:
    """Classes and functions of layers and blocks, with PyTorch's functions in place of kernels."""
    tools: dict[str, Any] = {
        "torch": torch,
        "nn": nn,
        "F": functional,
        "rearrange": rearrange,
        "repeat": repeat,
        "warnings": warnings,
        "ACT2FN": {"swish": silu},
        "RMSNorm": lambda hidden_size, eps, **_: nn.RMSNorm(hidden_size, eps),
        "GradientCheckpointingLayer": nn.Module,
        "swiglu": lambda gate, y: silu(gate) * y,
        "causal_conv1d": causal_conv1d,
        "get_hybrid_attention_spec": lambda attention, layer_idx: None,
        "get_layer_cache": lambda layer, memory: memory,
        "update_layer_cache": update,
        "unpad_hidden_states": lambda x, cu_seqlens, *rest: (x, None, cu_seqlens),
        "repad_hidden_states": lambda x, *rest: x,
    }
    path = "fla/modules/conv/short_conv.py"
    convolution = official(*LIBRARY, path, "ShortConvolution", edits=IMPORTS, **tools)
    mlp = official(*LIBRARY, "fla/modules/mlp.py", "GatedMLP", **tools)
    names = dict.fromkeys(("GLAMLP", "DeltaNetMLP"), mlp)
    return tools | names | {"ShortConvolution": convolution}


def causal_conv1d(x: torch.Tensor, **arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Convolution of every feature over the last inputs ``(B, D, W)`` and x ``(B, T, D)``, and SiLU."""
    weight = arguments["weight"]
    seen = torch.cat([arguments["initial_state"], x.mT], dim=-1)
    y = silu(conv1d(seen[..., 1:], weight[:, None], arguments["bias"], groups=len(weight)))
    return y.mT, seen[..., -weight.shape[1] :]


def update(_: Any, memory: Any, *, offset: int, **states: Any) -> None:
    """Keep the last states."""
    if memory is not None:
        memory.update(states)


def config(p: Tensors, eps: float, heads: int, **others: Any) -> SimpleNamespace:
    """Settings of a block."""
    return SimpleNamespace(
        fuse_norm=False,
        fuse_swiglu=False,
        hidden_size=len(p["block_gain"]),
        hidden_ratio=None,
        intermediate_size=len(p["block_Wd"]),
        hidden_act="swish",
        norm_eps=eps,
        num_heads=heads,
        attn=None,
        attn_mode="fused_recurrent",
        attnres_block_size=None,
        **others,
    )


def outer_weights(p: Tensors) -> Tensors:
    """Parameters of the norms and the MLP of a block."""
    return {
        "attn_norm.weight": p["block_gain"],
        "mlp_norm.weight": p["block_mlp_gain"],
        "mlp.gate_proj.weight": p["block_Wg"].T,
        "mlp.up_proj.weight": p["block_Wv"].T,
        "mlp.down_proj.weight": p["block_Wd"].T,
    }


def call(block: Any, p: Tensors, eps: float, x: torch.Tensor, memory: Any = None) -> torch.Tensor:
    """Outputs of a block and of the norm after the last one."""
    y = block(x.transpose(0, 1), past_key_values=memory, use_cache=True)[0]
    return parts.norm_rms(y, p["block_final_gain"], eps).transpose(0, 1)
