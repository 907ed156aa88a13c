"""The mLSTM block by its authors' modules."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from block_references import _parts as parts
from block_references import _xlstm as xlstm
from official import official
from torch import nn
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "mlstm(vanilla)": {"mlstm_heads": 2, "mlstm_width": 3},
    "mlstm(matrix_lstm)": {"mlstm_heads": 2, "mlstm_width": 3, "heads": 2},
    "mlstm(gla)": {"rank": 2},
}
# The cell reads the convolved channels alone.
INPUTS = {
    "self.v_proj(x_mlstm)": "self.v_proj(x_mlstm_conv_act)",
    "self.mlstm_cell.step(q=q": "self.mlstm_cell.step(u=x_mlstm_conv_act, q=q",
}
# Its gates read them too, and it has an output gate.
GATES = {
    "if_gate_input = torch.cat([q, k, v], dim=-1)": "if_gate_input = kwargs['u']",
    "self.outnorm(h_state)": "self.outnorm(self.ogate(h_state, kwargs['u']))",
}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``xLSTMBlock``, ``mLSTMLayer`` and ``mLSTMCell``, step by step.

    The tanh network takes the place of queries, keys, values and recurrence, and a mixer that of the whole
    layer. The code stores gains minus one.
    """
    x = parts.project(p, x)
    channels = options["mlstm_expand"] * x.shape[-1]
    layer = SimpleNamespace(
        embedding_dim=x.shape[-1],
        _inner_embedding_dim=channels,
        qkv_proj_blocksize=channels,
        conv1d_kernel_size=options["mlstm_width"],
        num_heads=options["mlstm_heads"],
        context_length=1,
        bias=False,
        dropout=0.0,
        _num_blocks=1,
    )
    config = SimpleNamespace(mlstm=layer, slstm=None, feedforward=None)
    module = xlstm.block(p, config, mLSTMLayer=layer_class())
    cell = parts.inner_cell(options, p, state)
    if parts.is_mixer(p):
        return xlstm.mixed(p, x, module, cell)
    fill_layer(p, module.xlstm)
    fill_cell(p, module.xlstm, cell)
    memory = None if "Whh" in p else (state["C"], state["n"][..., None], state["m"][..., None, None])
    final = xlstm.final_norm(p)
    kept, out = {"mlstm_state": memory, "conv_state": xlstm.windows(state["block_past"])}, []
    for each in x:
        y, kept = module.step(each[:, None], **kept)
        out.append(final(y)[:, 0])
    last = {"block_past": kept["conv_state"][0][:, 1:]}
    if "Whh" in p:
        return torch.stack(out), last | cell.state
    C, n, m = kept["mlstm_state"]
    return torch.stack(out), last | {"C": C, "n": n[..., 0], "m": m[..., 0, 0]}


def layer_class() -> Any:
    """Return ``mLSTMLayer``."""
    tools, folder = xlstm.environment(), "xlstm/blocks/mlstm"
    step = "recurrent_step_stabilized_simple"
    tools[step] = official(*xlstm.AUTHORS, f"{folder}/backends.py", step, **xlstm.TOOLS)
    tools["parallel_stabilized_simple"] = None
    tools["mLSTMCell"] = official(*xlstm.AUTHORS, f"{folder}/cell.py", "mLSTMCell", edits=GATES, **tools)
    return official(*xlstm.AUTHORS, f"{folder}/layer.py", "mLSTMLayer", edits=INPUTS, **tools)


def fill_layer(p: Tensors, layer: Any) -> None:
    """Fill the parameters of the layer that do not belong to the cell."""
    weights = {
        "proj_up.weight": torch.cat([p["block_Wu"], p["block_Wz"]], dim=1).T,
        "conv1d.conv.weight": p["block_taps"].T[:, None],
        "conv1d.conv.bias": p["block_b"],
        "learnable_skip": p["block_skip"],
        "proj_down.weight": p["block_Wo"].T,
        "mlstm_cell.outnorm.weight": p["block_head_gain"].reshape(-1) - 1,
    }
    parts.fill(layer, weights)


def fill_cell(p: Tensors, layer: Any, cell: parts.Cell) -> None:
    """Put the tanh network, or the projections and gates of ``matrix_lstm``, into the layer."""
    unit = layer.mlstm_cell
    if "Whh" in p:
        layer.q_proj = layer.k_proj = layer.v_proj = nn.Identity()
        unit.igate = unit.fgate = parts.FunctionModule(lambda u: u[..., : unit.config.num_heads])
        unit.backend_fn_step = lambda q, **rest: (q, None)
        unit.ogate = lambda h, u: heads(cell(u), unit)
        return
    *qkv, (Wo, bo) = zip(p["Wx"].chunk(4, dim=1), p["b"].chunk(4), strict=True)
    for name, (W, b) in zip("qkv", qkv, strict=True):
        setattr(layer, f"{name}_proj", parts.FunctionModule(partial(linear, weight=W.T, bias=b)))
    for name, W, b in zip("if", p["Wg"].chunk(2, dim=1), p["bg"].chunk(2), strict=True):
        setattr(unit, f"{name}gate", parts.FunctionModule(partial(linear, weight=W.T, bias=b)))
    unit.ogate = lambda h, u: torch.sigmoid(heads(linear(u, Wo.T, bo), unit)) * h


def heads(u: torch.Tensor, unit: Any) -> torch.Tensor:
    """Split ``(B, S, E)`` into heads ``(B, heads, S, n)``."""
    return u.unflatten(-1, (unit.config.num_heads, -1)).transpose(1, 2)
