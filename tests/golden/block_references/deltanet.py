"""The block of the delta networks by the modules of its authors' library."""

from __future__ import annotations

from typing import Any

import torch
from block_references import _fla as fla
from block_references import _parts as parts
from official import official
from torch import nn

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "deltanet(vanilla)": {"deltanet_heads": 2, "deltanet_width": 3, "deltanet_mlp": 2},
    "deltanet(delta_net+short_convolution)": {
        "heads": 2,
        "short_convolution_width": 3,
        "deltanet_convolution": False,
        "deltanet_heads": 2,
        "deltanet_mlp": 2,
    },
    "deltanet(gla)": {"deltanet_mlp": 2, "rank": 2},
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``DeltaNetBlock``, ``DeltaNet``, ``ShortConvolution`` and ``GatedMLP``.

    ``delta_rule_recurrence`` takes the place of its kernel. For the tanh network the projections are left
    out, and the network takes the place of the kernel. A mixer takes the place of the whole ``DeltaNet``.
    """
    eps, x = options["deltanet_eps"], parts.project(p, x)
    cell = parts.inner_cell(options, p, state)
    tools = fla.environment() | {"fused_recurrent_delta_rule": network(cell) if "Whh" in p else delta_rule()}
    layer = official(*fla.LIBRARY, "fla/layers/delta_net.py", "DeltaNet", **tools)
    path = "fla/models/delta_net/modeling_delta_net.py"
    Block = official(*fla.LIBRARY, path, "DeltaNetBlock", DeltaNet=layer, **tools)
    block = parts.fill(Block(config(options, p, eps), 0), fla.outer_weights(p))
    if parts.is_mixer(p):
        block.attn = parts.FunctionModule(lambda hidden_states, **_: (cell(hidden_states), None, None))
        return fla.call(block, p, eps, x), cell.state
    fill_layer(p, block.attn)
    past = "block_past" if "Whh" in p else "Wx_past"
    pasts = [state[past]] * 3 if "Whh" in p else state[past].chunk(3, dim=-1)
    windows = tuple(torch.cat([torch.zeros_like(each[:, :1]), each], dim=1).mT for each in pasts)
    memory = {"conv_state": windows, "recurrent_state": state.get("S")}
    y = fla.call(block, p, eps, x, memory)
    lasts = [each[..., 1:].mT for each in memory["conv_state"]]
    if "Whh" in p:
        return y, cell.state | {past: lasts[0]}
    return y, {past: torch.cat(lasts, dim=-1), "S": memory["recurrent_state"]}


def config(options: dict[str, Any], p: Tensors, eps: float) -> Any:
    """Settings of the block."""
    return fla.config(
        p,
        eps,
        options["deltanet_heads"],
        expand_k=1.0,
        expand_v=1.0,
        use_gate=False,
        use_beta=True,
        use_short_conv=True,
        conv_size=options.get("short_convolution_width", options["deltanet_width"]),
        allow_neg_eigval=False,
        use_output_norm=True,
        qk_norm="l2",
        qk_activation="silu",
    )


def fill_layer(p: Tensors, layer: Any) -> None:
    """Fill the layer with the parameters of the cell, or of the block around the tanh network."""
    weights = {"o_norm.weight": p["block_head_gain"], "o_proj.weight": p["block_Wo"].T}
    if "Whh" in p:
        layer.q_proj = layer.k_proj = layer.v_proj = nn.Identity()
        weights["q_conv1d.weight"] = p["block_taps"].T[:, None]
    else:
        weights["b_proj.weight"] = p["Wb"].T
        for name, W, taps in zip("qkv", p["Wx"].chunk(3, 1), p["Wx_taps"].chunk(3, 1), strict=True):
            weights |= {f"{name}_proj.weight": W.T, f"{name}_conv1d.weight": taps.T[:, None]}
    parts.fill(layer, weights)


def network(cell: parts.Cell) -> Any:
    """Return the tanh network, which reads the queries of all heads side by side."""
    return lambda q, **_: (cell(q.flatten(2)).unflatten(-1, q.shape[2:]), None)


def delta_rule() -> Any:
    """Return ``delta_rule_recurrence`` behind the L2 norm of fla/modules/l2norm.py."""
    rule = official(*fla.LIBRARY, "fla/ops/delta_rule/naive.py", "delta_rule_recurrence", torch=torch)

    def run(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, beta: torch.Tensor, **arguments: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        q, k = (part * torch.rsqrt((part * part).sum(-1, keepdim=True) + 1e-6) for part in (q, k))
        q, k, v, beta = (part.transpose(1, 2) for part in (q, k, v, beta))
        y, last = rule(q, k, v, beta, arguments["initial_state"])
        return y.transpose(1, 2), last

    return run
