"""Initial values of fast weights: linear attention and the self-referential weight matrix."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from initial_draws._draws import Draw, DrawCell, Sizes
from official import official
from references.linear_attention import CODE as ATTENTION
from references.linear_attention import FOLDER
from references.srwm import CODE
from torch import nn


def srwm(n: Sizes) -> Draw:
    """``SRWMlayer`` with the mean of the rates that its program sets."""
    kernels = dict.fromkeys(("self_ref_v0", "stateful_self_ref_v0"))
    Layer = official(*CODE, "SRWMlayer", torch=torch, nn=nn, math=math, **kernels)
    layer = Layer(n.heads, n.H // n.heads, n.H, dropout=0.0, beta_init=0.0)
    return Draw({"W": torch.cat([layer.W_y, layer.W_q, layer.W_k, layer.w_b], -1)[0]})


def linear_attention(n: Sizes) -> Draw:
    """``RecurrentAttentionLayer``, which draws queries, keys and values each as ``nn.Linear``."""
    tools = {
        "Module": nn.Module,
        "Linear": nn.Linear,
        "EventDispatcher": SimpleNamespace(get=lambda name: None),
    }
    Layer = official(*ATTENTION, f"{FOLDER}/attention_layer.py", "RecurrentAttentionLayer", **tools)
    layer = Layer(None, d_model=n.I, n_heads=n.heads, d_keys=n.H // n.heads, d_values=n.H // n.heads)
    projections = (layer.query_projection, layer.key_projection, layer.value_projection)
    weights, biases = (
        torch.cat([getattr(each, name) for each in projections]) for name in ("weight", "bias")
    )
    return Draw({"Wx": weights.T, "b": biases})


DRAWS: dict[str, DrawCell] = {"linear_attention": linear_attention, "srwm": srwm}
