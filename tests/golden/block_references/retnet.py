"""The block of RetNet by its authors' modules, and of gated linear attention by those of its library."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from block_references import _fla as fla
from block_references import _parts as parts
from official import official
from torch import nn
from torch.nn import functional
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "retnet(vanilla)": {"retnet_mlp": 2},
    "retnet(retnet)": {"retnet_mlp": 2, "heads": 3},
    "retnet(gla)": {"retnet_mlp": 2, "heads": 3, "retnet_eps": 1e-5},
}
# MIT licence.
AUTHORS = ("microsoft/torchscale", "4d1e0e82e5adf86dd424f1463192635b73fc8efc")
# The memory is not divided by the root of a sum of decays.
SCALE = {"scale = prev_scale * decay + 1": "scale = prev_scale"}
TOOLS: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "math": math}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``GLABlock`` around ``GatedLinearAttention``, else ``DecoderLayer``.

    The tanh network and its projection take the place of the retention.
    """
    x = parts.project(p, x)
    if "Wr" in p:
        return run_gla(options, p, x, state)
    norm = official(*AUTHORS, "torchscale/component/rms_norm.py", "RMSNorm", **TOOLS)
    final = parts.fill(norm(x.shape[-1], options["retnet_eps"]), {"weight": p["block_final_gain"]})
    args, block = decoder_layer(options, p, norm)
    if "Whh" in p:
        cell = parts.inner_cell(options, p, state)
        block.retention = parts.FunctionModule(lambda u, **_: linear(cell(u), p["block_Wo"].T))
        return final(block(x.transpose(0, 1))[0]).transpose(0, 1), cell.state
    fill_retention(p, block.retention)
    positions = official(*AUTHORS, "torchscale/architecture/retnet.py", "RetNetRelPos", **TOOLS)(args)
    memory, out = official_memory(state["S"], options["heads"]), []
    for step, each in enumerate(x):
        places = positions(step + 2, activate_recurrent=True)
        y, _ = block(each[:, None], incremental_state=memory, retention_rel_pos=places)
        out.append(final(y)[:, 0])
    return torch.stack(out), {"S": own_memory(memory["prev_key_value"], len(x) * p["theta"])}


def decoder_layer(options: dict[str, Any], p: Tensors, norm: Any) -> tuple[SimpleNamespace, Any]:
    """Return ``DecoderLayer`` and its settings."""
    width = len(p["block_gain"])
    args = SimpleNamespace(
        decoder_embed_dim=width,
        decoder_value_embed_dim=width,
        decoder_ffn_embed_dim=options["retnet_mlp"] * width,
        decoder_retention_heads=options.get("heads", 1),
        decoder_normalize_before=True,
        recurrent_chunk_size=1,
        activation_fn="swish",
        layernorm_eps=options["retnet_eps"],
        deepnorm=False,
        dropout=0.0,
        activation_dropout=0.0,
        drop_path_rate=0.0,
    )
    tools = TOOLS | {"RMSNorm": norm, "MultiwayWrapper": lambda args, module: module}
    path = "torchscale/component/multiscale_retention.py"
    names = ("MultiScaleRetention", "get_activation_fn", "theta_shift", "rotate_every_two")
    retention, *_ = official(*AUTHORS, path, *names, edits=SCALE, **tools)
    path = "torchscale/component/feedforward_network.py"
    activation = official(*AUTHORS, path, "get_activation_fn", **tools)
    path = "torchscale/component/gate_linear_unit.py"
    glu = official(*AUTHORS, path, "GLU", get_activation_fn=activation, **tools)
    path, tools = "torchscale/architecture/retnet.py", tools | {"MultiScaleRetention": retention, "GLU": glu}
    block = official(*AUTHORS, path, "DecoderLayer", **tools)(args, 0)
    weights = {
        "retention_layer_norm.weight": p["block_gain"],
        "final_layer_norm.weight": p["block_mlp_gain"],
        "ffn.fc1.weight": p["block_Wg"].T,
        "ffn.gate.weight": p["block_Wv"].T,
        "ffn.fc2.weight": p["block_Wd"].T,
    }
    return args, parts.fill(block, weights)


def fill_retention(p: Tensors, retention: Any) -> None:
    """Fill the retention with the parameters of the cell."""
    weights = {f"{name}_proj.weight": W.T for name, W in zip("qkvg", p["Wx"].chunk(4, dim=1), strict=True)}
    parts.fill(retention, weights | {"out_proj.weight": p["Wo"].T})


def official_memory(S: torch.Tensor, heads: int) -> dict[str, torch.Tensor]:
    """Memory from keys at position zero, whose pairs of real numbers are conjugates of the cell's rows."""
    return {
        "prev_key_value": torch.stack([S[:, 0], -S[:, 1]], dim=3).flatten(2, 3).mT,
        "scale": torch.ones(heads),
    }


def own_memory(memory: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Memory of the cell, which is turned to the last position."""
    pairs = memory.mT.unflatten(2, (-1, 2))
    turned = torch.complex(pairs[..., 0, :], -pairs[..., 1, :]) * torch.exp(1j * angle)[:, None]
    return torch.stack([turned.real, turned.imag], dim=1)


def run_gla(
    options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors
) -> tuple[torch.Tensor, Tensors]:
    """Run ``GLABlock``, ``GatedLinearAttention`` and ``GatedMLP`` with ``naive_recurrent_gla``."""
    recurrence = official(*fla.LIBRARY, "fla/ops/gla/naive.py", "naive_recurrent_gla", torch=torch)

    def gla(state_v_first: bool, cu_seqlens: None, **arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return recurrence(**arguments)

    tools = fla.environment() | {"fused_recurrent_gla": gla}
    layer = official(*fla.LIBRARY, "fla/layers/gla.py", "GatedLinearAttention", **tools)
    path = "fla/models/gla/modeling_gla.py"
    Block = official(*fla.LIBRARY, path, "GLABlock", GatedLinearAttention=layer, **tools)
    eps = options["retnet_eps"]
    config = fla.config(
        p,
        eps,
        options["heads"],
        expand_k=0.5,
        expand_v=1.0,
        num_kv_heads=None,
        feature_map=None,
        use_short_conv=False,
        conv_size=4,
        use_output_gate=True,
        elementwise_affine=True,
        clamp_min=None,
    )
    block = parts.fill(Block(config, 0), fla.outer_weights(p))
    half = len(p["b"])
    split = p["Wx"].split([half, half, 2 * half, 2 * half], dim=1)
    weights = {f"{name}_proj.weight": W.T for name, W in zip("qkvg", split, strict=True)}
    weights |= {"gk_proj.0.weight": p["Wa"].T, "gk_proj.1.weight": p["Wr"].T, "gk_proj.1.bias": p["b"]}
    parts.fill(block.attn, weights | {"g_norm.weight": p["gain"], "o_proj.weight": p["Wo"].T})
    memory = {"recurrent_state": state["S"]}
    y = fla.call(block, p, eps, x, memory)
    return y, {"S": memory["recurrent_state"]}
