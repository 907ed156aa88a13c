"""The block of Mamba by its authors' modules."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from block_references import _parts as parts
from einops import rearrange, repeat
from official import official
from torch import nn
from torch.nn import functional
from torch.nn.functional import silu

Tensors = dict[str, torch.Tensor]
SIZES: dict[str, Any] = {"expand": 1, "order": 2, "rank": 3, "width": 3}
CASES: dict[str, dict[str, Any]] = {
    "mamba(vanilla)": {"mamba_width": 3},
    "mamba(mamba)": SIZES,
    "mamba(mamba)_empty": SIZES,
}
# Apache licence 2.0.
AUTHORS = ("state-spaces/mamba", "e9594ce1c732d97440f0332fdc43170a2294dbfa")
# States are returned and not changed in place, for gradients.
STATES = {
    "out, _, _ = self.step(": "out, *inference_params.key_value_memory_dict[self.layer_idx] = self.step(",
    "conv_state.copy_(torch.roll(conv_state, shifts=-1, dims=-1))": "conv_state = torch.roll(conv_state, "
    "shifts=-1, dims=-1)",
    "ssm_state.copy_(ssm_state * dA": "ssm_state = (ssm_state * dA",
}
TOOLS = {"torch": torch, "nn": nn, "F": functional, "rearrange": rearrange, "repeat": repeat}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``Block`` around ``Mamba``, step by step.

    From states of zero, the mixer runs over the sequence with ``selective_scan_ref``, in place of the kernel.
    Around the tanh network, the network takes the place of ``selective_state_update`` with its gate.
    """
    x = parts.project(p, x)
    width = x.shape[-1]
    Norm = norm_class()
    cell = parts.inner_cell(options, p, state)
    Block = official(*AUTHORS, "mamba_ssm/modules/block.py", "Block", torch=torch, nn=nn)
    norm = partial(Norm, eps=options["mamba_eps"])
    block = Block(width, lambda _: mamba(options, p, cell), nn.Identity, norm)
    parts.fill(block, {"norm.weight": p["block_gain"]})
    final = parts.fill(norm(width), {"weight": p["block_final_gain"]})
    if not any(value.any() for value in state.values()):
        y, residual = block(x.transpose(0, 1))
        return final(y + residual).transpose(0, 1), {}
    past = "past" if "past" in state else "block_past"
    memory = {0: (windows(state[past]), state.get("h"))}
    out = []
    for each in x:
        y, residual = block(each[:, None], inference_params=inference(memory))
        out.append(final(y + residual)[:, 0])
    window, h = memory[0]
    last = {past: window[..., 1:].mT, "h": cell.state["h"] if "Whh" in p else h}
    return torch.stack(out), last


def norm_class() -> Any:
    """Return ``RMSNorm`` with ``rms_norm_ref`` in place of the kernel."""
    edits = {"return rms_norm_fn(": "return rms_norm_ref(", ", residual_in_fp32=residual_in_fp32)": ")"}
    path = "mamba_ssm/ops/triton/layer_norm.py"
    return official(*AUTHORS, path, "RMSNorm", "rms_norm_ref", edits=edits, torch=torch, F=functional)[0]


def mamba(options: dict[str, Any], p: Tensors, cell: parts.Cell) -> Any:
    """Return ``Mamba`` with the parameters of the cell, or of the block around the tanh network."""

    def update(_: Any, u: torch.Tensor, *rest: Any, z: torch.Tensor, **steps: Any) -> torch.Tensor:
        return cell(u[:, None])[:, 0] * silu(z)

    scan = official(*AUTHORS, "mamba_ssm/ops/selective_scan_interface.py", "selective_scan_ref", **TOOLS)
    environment = TOOLS | {
        "math": math,
        "selective_scan_fn": scan,
        "selective_state_update": update if "Whh" in p else None,
        "causal_conv1d_fn": None,
        "causal_conv1d_update": None,
    }
    path = "mamba_ssm/modules/mamba_simple.py"
    Mamba = official(*AUTHORS, path, "Mamba", edits=STATES, **environment)
    if "Whh" in p:
        wide = torch.cat([p["block_Wu"], p["block_Wz"]], dim=1)
        weights = {"in_proj": wide, "conv1d": p["block_taps"], "out_proj": p["block_Wo"]}
        sizes, bias = {"d_state": 1, "dt_rank": 1}, p["block_b"]
    else:
        names = {"in_proj": "Wx", "conv1d": "taps", "x_proj": "Wu", "dt_proj": "Wd", "out_proj": "Wo"}
        weights = {name: p[own] for name, own in names.items()}
        sizes, bias = {"d_state": options["order"], "dt_rank": options["rank"]}, p["b"]
    matrices = {f"{name}.weight": value.T for name, value in weights.items()}
    matrices["conv1d.weight"] = matrices["conv1d.weight"][:, None]
    rest = {} if "Whh" in p else {"A_log": p["A"], "D": p["D"], "dt_proj.bias": p["bd"]}
    channels, steps = len(bias), weights["conv1d"].shape[0]
    width = weights["out_proj"].shape[1]
    module = Mamba(width, d_conv=steps, expand=channels // width, layer_idx=0, **sizes)
    return parts.fill(module, matrices | rest | {"conv1d.bias": bias})


def windows(past: torch.Tensor) -> torch.Tensor:
    """Last inputs of the convolution, behind one that leaves the window."""
    return torch.cat([torch.zeros_like(past[:, :1]), past], dim=1).mT


def inference(memory: dict[int, Any]) -> SimpleNamespace:
    """Arguments of a step with given states."""
    return SimpleNamespace(seqlen_offset=1, key_value_memory_dict=memory)
