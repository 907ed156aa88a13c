"""Parts of several blocks, with PyTorch's own functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import conv1d, group_norm, layer_norm, linear, rms_norm

Tensors = dict[str, torch.Tensor]
Cell = Callable[[torch.Tensor], torch.Tensor]


def vanilla(p: Tensors, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tanh network over a sequence ``(T, B, n)``: outputs and the last state."""
    outputs = []
    for u in x:
        h = torch.tanh(linear(u, p["Wxh"].T, p["bh"]) + linear(h, p["Whh"].T))
        outputs.append(h)
    return torch.stack(outputs), h


def convolve(
    x: torch.Tensor, past: torch.Tensor, taps: torch.Tensor, b: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch's convolution of every feature over what came before and all steps, and the last inputs."""
    seen = torch.cat([past.transpose(0, 1), x])
    y = conv1d(seen.permute(1, 2, 0), taps.T[:, None], b, groups=taps.shape[1])
    return y.permute(2, 0, 1), seen[len(x) :].transpose(0, 1)


def norm_layer(
    x: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor | None = None, eps: float = 1e-5
) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], gain, shift, eps)


def norm_rms(x: torch.Tensor, gain: torch.Tensor, eps: float) -> torch.Tensor:
    return rms_norm(x, x.shape[-1:], gain, eps)


def norm_heads(x: torch.Tensor, gain: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """A group norm of each head with a gain ``(heads, size)``."""
    rows = x.reshape(-1, x.shape[-1])
    return group_norm(rows, gain.shape[0], gain.reshape(-1), None, eps).reshape(x.shape)


def project(p: Tensors, x: torch.Tensor) -> torch.Tensor:
    """The projection of the input to the model width."""
    return linear(x, p["block_Wi"].T, p["block_bi"])
