"""The residual block of Griffin by its authors' modules."""

from __future__ import annotations

import enum
import math
from types import SimpleNamespace
from typing import Any, NamedTuple, overload

import einops
import torch
from block_references import _parts as parts
from official import official
from torch import nn
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "griffin(vanilla)": {"griffin_width": 3, "griffin_mlp": 2},
    "griffin(rg_lru)": {"griffin_width": 3, "griffin_mlp": 2, "heads": 3},
    "griffin(gla)": {"griffin_mlp": 2, "rank": 2},
}
# Apache licence 2.0.
AUTHORS = ("google-deepmind/recurrentgemma", "2efa84dac0e68e63547a27a18fa943c98f1c312e")


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``ResidualBlock`` with a ``RecurrentBlock``, step by step, since its convolution decodes one step.

    No step is the first of a text. The ``RGLRU`` is behind the input matrix of the cell. Another cell takes
    its place, and a mixer that of the whole ``RecurrentBlock``. The code stores gains minus one.
    """
    layers, Block, Cache, Kind = modules()
    x = parts.project(p, x)
    width = x.shape[-1]
    block = Block(
        width=width,
        mlp_expanded_width=options["griffin_mlp"] * width,
        num_heads=options.get("heads", 1),
        attention_window_size=1,
        temporal_block_type=Kind.RECURRENT,
        conv1d_temporal_width=options["griffin_width"],
    )
    cell = parts.inner_cell(options, p, state)
    if parts.is_mixer(p):
        block.recurrent_block = parts.FunctionModule(lambda u, *rest, **keywords: (cell(u), None))
    elif "decay" in p:
        fill_rg_lru(block.recurrent_block, p)
    else:
        block.recurrent_block.rg_lru = parts.FunctionModule(lambda x, **rest: (cell(x), cell.state["h"]))
    parts.fill(block, weights(p))
    final = parts.fill(layers.RMSNorm(width), {"scale": p["block_final_gain"] - 1})
    if parts.is_mixer(p):
        y, _ = block(x.transpose(0, 1), None)
        return final(y).transpose(0, 1), cell.state
    cache, out = Cache(rg_lru_state=state["h"], conv1d_state=state["block_past"]), []
    for each in x:
        y, cache = block(each[:, None], torch.ones(len(each), 1), cache)
        out.append(final(y)[:, 0])
    return torch.stack(out), {"h": cache.rg_lru_state, "block_past": cache.conv1d_state}


def modules() -> tuple[Any, Any, Any, Any]:
    """Return the layers, ``ResidualBlock``, ``RecurrentBlockCache`` and ``TemporalBlockType``."""
    tools: dict[str, Any] = {"at": SimpleNamespace(typed=lambda function: function), "overload": overload}
    tools |= {"torch": torch, "nn": nn, "math": math, "einops": einops, "NamedTuple": NamedTuple}
    names = ("RMSNorm", "RGLRU", "Conv1D", "Einsum")
    parts_of_rg_lru = ("BlockDiagonalLinear", "rnn_scan", "rnn_param_init", "SqrtBoundDerivative")
    path = "recurrentgemma/torch/layers.py"
    classes = official(*AUTHORS, path, *names, *parts_of_rg_lru, _MAX_SQRT_GRADIENT=1000.0, **tools)
    layers = SimpleNamespace(**dict(zip(names, classes, strict=False)))
    kind = official(*AUTHORS, "recurrentgemma/common.py", "TemporalBlockType", enum=enum)
    names = ("ResidualBlock", "RecurrentBlockCache", "RecurrentBlock", "MLPBlock", "gelu")
    common = SimpleNamespace(TemporalBlockType=kind)
    path = "recurrentgemma/torch/modules.py"
    block, cache, *_ = official(*AUTHORS, path, *names, layers=layers, common=common, **tools)
    return layers, block, cache, kind


def fill_rg_lru(block: Any, p: Tensors) -> None:
    """Fill the ``RGLRU`` of a ``RecurrentBlock``, and multiply its input by the matrix of the cell."""
    weights = {"a_param": p["decay"]}
    for name, W, b in zip(("a_gate", "input_gate"), p["Wg"].chunk(2, 2), p["b"].chunk(2, 1), strict=True):
        weights |= {f"{name}.w": W, f"{name}.b": b}
    unit = parts.fill(block.rg_lru, weights)
    block.rg_lru = parts.FunctionModule(lambda x, **rest: unit(linear(x, p["Wx"].T), **rest))


def weights(p: Tensors) -> Tensors:
    """Parameters of the block by their official names."""
    up = torch.stack([p["block_Wg"], p["block_Wv"]]), torch.stack([p["block_bg"], p["block_bv"]])
    filled = {
        "temporal_pre_norm.scale": p["block_gain"] - 1,
        "channel_pre_norm.scale": p["block_mlp_gain"] - 1,
        "mlp_block.ffw_up.w": up[0],
        "mlp_block.ffw_up.b": up[1][:, None, None],
        "mlp_block.ffw_down.weight": p["block_Wd"].T,
        "mlp_block.ffw_down.bias": p["block_bd"],
    }
    if not parts.is_mixer(p):
        for name, end in (("linear_x", "u"), ("linear_y", "z"), ("linear_out", "o")):
            filled[f"recurrent_block.{name}.weight"] = p[f"block_W{end}"].T
            filled[f"recurrent_block.{name}.bias"] = p[f"block_b{end}"]
        filled["recurrent_block.conv_1d.w"] = p["block_taps"]
        filled["recurrent_block.conv_1d.b"] = p["block_b"]
    return filled
