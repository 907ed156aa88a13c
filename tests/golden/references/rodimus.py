"""Rodimus by the layer of flash-linear-attention."""

from __future__ import annotations

from typing import Any

import torch
from official import official
from references._layers import TOOLS
from references.kda import LIBRARY
from references.lightnet import kernel
from torch import nn
from torch.func import functional_call
from torch.nn import functional

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "rodimus": {"order": 3, "rank": 2, "width": 3},
    "rodimus_empty": {"expand": 1, "order": 4, "rank": 1, "width": 2},
}


class Convolution(nn.Conv1d):
    """A depthwise convolution over the channels before the first step and of all steps."""

    def __init__(self, hidden_size: int, kernel_size: int, bias: bool, activation: str) -> None:
        super().__init__(hidden_size, hidden_size, kernel_size, groups=hidden_size, bias=bias)

    def forward(self, x: torch.Tensor, cache: torch.Tensor, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Convolve, and return the last channels too."""
        channels = torch.cat([cache, x], 1)
        convolved = functional.conv1d(channels.transpose(1, 2), self.weight, self.bias, groups=x.shape[-1])
        return functional.silu(convolved).transpose(1, 2), channels[:, x.shape[1] :]


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run the layer with references in place of its kernels, and PyTorch's convolution."""
    rule = official(*LIBRARY, "fla/ops/gla/naive.py", "naive_recurrent_gla", torch=torch)
    file, edits = "fla/modules/layernorm_gated.py", {"rmsnorm_fn(": "rms_norm_ref("}
    Norm, _ = official(*LIBRARY, file, "RMSNormGated", "rms_norm_ref", edits=edits, **TOOLS)
    parts = {
        "chunk_gla": lambda g, **inputs: kernel(rule, gk=g, **inputs),
        "ShortConvolution": Convolution,
        "RMSNormGated": Norm,
        "unpad_hidden_states": lambda x, lengths, mask, steps: (x, None, None),
        "repad_hidden_states": lambda y, indices, batch, steps: y,
    }
    file = "fla/layers/rodimus.py"
    Layer, _ = official(*LIBRARY, file, "RodimusAttention", "align_multiple", **TOOLS, **parts)
    sizes = {"expand_ratio": options["order"], "conv_size": options["width"]}
    layer = Layer(hidden_size=len(p["Wo"]), input_gate_low_rank=options["rank"], **sizes, layer_idx=0)
    matrices = [half for own in ("Wx", "Wq", "Wg") for half in p[own].T.chunk(2)]
    matrices += [p[own].T for own in ("Wa", "Wr", "Wo")]
    names = ["up_proj", "gate_proj", "q_proj", "k_proj", "g_gate_proj", "tau_gate_proj"]
    names += ["i_gate_proj.0", "i_gate_proj.1", "down_proj"]
    weights = {f"{name}.weight": w for name, w in zip(names, matrices, strict=True)}
    biases = {"g_gate_proj": "bg", "tau_gate_proj": "bt", "i_gate_proj.1": "br", "short_conv": "b"}
    weights |= {f"{name}.bias": p[own] for name, own in biases.items()}
    weights |= {"short_conv.weight": p["taps"].T[:, None], "activation_norm.weight": p["gain"]}
    weights |= {"residual_weight": p["d"]}
    cache = {"recurrent_state": state["S"][:, None], "conv_state": state["past"]}
    more = {"past_key_values": cache, "use_cache": True}
    y = functional_call(layer, weights, x.transpose(0, 1), more)[0].transpose(0, 1)
    return y, {"S": cache["recurrent_state"][:, 0], "past": cache["conv_state"]}
