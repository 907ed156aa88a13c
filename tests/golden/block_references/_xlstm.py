"""Modules of the xLSTM by its authors, and their parameters."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from block_references import _parts as parts
from official import official
from torch import nn
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
# Apache licence 2.0.
AUTHORS = ("NX-AI/xlstm", "032a6fb8ee19a8c0db80ae6111ff4744a09414a9")
TOOLS: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "math": math}
# The state is returned and not changed in place, for gradients.
STATES = {
    "conv_state.copy_(torch.roll(conv_state, shifts=-1, dims=1))": "conv_state = conv_state.roll(-1, 1)"
}


def environment() -> dict[str, Any]:
    """Classes and functions that both layers use; a projection by one block is a matrix."""
    tools = TOOLS | settings()
    for path, names in (
        ("init.py", ("small_init_init_", "wang_init_", "bias_linspace_init_")),
        ("ln.py", ("LayerNorm", "MultiHeadLayerNorm")),
        ("conv.py", ("CausalConv1d", "conv1d_step")),
        ("feedforward.py", ("GatedFeedForward", "create_feedforward")),
    ):
        edits = STATES if path == "conv.py" else {}
        members = official(*AUTHORS, f"xlstm/components/{path}", *names, edits=edits, **tools)
        tools |= dict(zip(names, members, strict=True))
    linear = {"LinearHeadwiseExpand": lambda config: nn.Linear(config.in_features, config.in_features, False)}
    return tools | linear


def settings() -> dict[str, Any]:
    """Return namespaces in place of the classes of settings, with their defaults."""
    names = ("mLSTMLayerConfig", "sLSTMLayerConfig", "mLSTMCellConfig", "FeedForwardConfig")
    plain = dict.fromkeys((*names, "xLSTMBlockConfig", "LinearHeadwiseExpandConfig"), SimpleNamespace)
    convolution = {"causal_conv_bias": True, "channel_mixing": False, "conv1d_kwargs": {}}
    activation = {"get_act_fn": lambda name: {"gelu": functional.gelu}[name]}
    return plain | activation | {"CausalConv1dConfig": partial(SimpleNamespace, **convolution)}


def block(p: Tensors, config: SimpleNamespace, **layers: Any) -> Any:
    """Return an ``xLSTMBlock`` with one of the layers, and the parameters of its norms and its MLP."""
    tools = {"mLSTMLayer": None, "sLSTMLayer": None} | environment() | layers
    module = official(*AUTHORS, "xlstm/blocks/xlstm_block.py", "xLSTMBlock", **tools)(config)
    weights = {"xlstm_norm.weight": p["block_gain"] - 1}
    if config.feedforward is not None:
        weights["ffn_norm.weight"] = p["block_mlp_gain"] - 1
        weights["ffn.proj_up.weight"] = torch.cat([p["block_Wg"], p["block_Wv"]], dim=1).T
        weights["ffn.proj_down.weight"] = p["block_Wd"].T
    return parts.fill(module, weights)


def final_norm(p: Tensors) -> Any:
    """Return the norm after the last block."""
    norm = official(*AUTHORS, "xlstm/components/ln.py", "LayerNorm", **TOOLS)(len(p["block_final_gain"]))
    return parts.fill(norm, {"weight": p["block_final_gain"] - 1})


def windows(past: torch.Tensor) -> tuple[torch.Tensor]:
    """Last inputs of the convolution, behind one that leaves the window."""
    return (torch.cat([torch.zeros_like(past[:, :1]), past], dim=1),)


def mixed(p: Tensors, x: torch.Tensor, module: Any, cell: parts.Cell) -> tuple[torch.Tensor, Tensors]:
    """Outputs of the block with a mixer in place of its layer, and the last states."""
    module.xlstm = parts.FunctionModule(cell)
    return final_norm(p)(module(x.transpose(0, 1))).transpose(0, 1), cell.state
