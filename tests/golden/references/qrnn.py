"""The quasi-recurrent network: a convolution over time, then one triangular system per unit."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"qrnn": {"k": 7}, "qrnn_pair": {"k": 2}}


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Follow equations 1 and 3 (fo-pooling) of Bradbury et al. 2016, where f is the forget gate.

    The bias, as in ``QRNNLayer`` of github.com/salesforce/pytorch-qrnn, torchqrnn/qrnn.py. The pooling is
    solved for all steps at once: ``c_t - f_t c_(t-1) = (1 - f_t) z_t``.
    """
    window = options["k"]
    padded = torch.cat([state["past"].flip(1), x.transpose(0, 1)], dim=1)
    # The first tap of a filter lies on the oldest input.
    taps = torch.cat([p["Wp"].flip(0), p["Wx"][None]])
    parts = torch.nn.functional.conv1d(padded.transpose(1, 2), taps.permute(2, 1, 0), p["b"])
    z, f, o = parts.unflatten(1, (3, -1)).unbind(1)
    f = torch.sigmoid(f)
    system = torch.eye(len(x), dtype=x.dtype) - torch.diag_embed(f[:, :, 1:], offset=-1)
    drive = (1 - f) * torch.tanh(z)
    first = torch.cat([f[:, :, :1] * state["c"][:, :, None], torch.zeros_like(f[:, :, 1:])], dim=2)
    c = torch.linalg.solve_triangular(system, (drive + first)[..., None], upper=False)[..., 0]
    last = {"c": c[:, :, -1], "past": padded[:, 1 - window :].flip(1)}
    return (torch.sigmoid(o) * c).permute(2, 0, 1), last
