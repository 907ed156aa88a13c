"""Checks of the device and dtype."""

from __future__ import annotations

from typing import Any

import torch

from zoo.errors import UsageError
from zoo.layers.validation import DTYPES

OWNER = "zoo.torch.Recurrent"
_DTYPES = {name: getattr(torch, name) for name in DTYPES}


def check_device(device: Any, subject: str = "the module would be") -> None:
    """Check that a device is the CPU.

    Raises:
        UsageError: if it is not.
    """
    if device.type != "cpu":
        raise UsageError(
            f"{OWNER} computes on the CPU, and {subject} on {device}; leave the module there; move inputs "
            f"and outputs."
        )


def check_dtype(dtype: Any) -> Any:
    """The PyTorch dtype of a dtype or its name.

    Raises:
        UsageError: if it is neither float32 nor float64.
    """
    resolved = _DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if resolved not in _DTYPES.values():
        raise UsageError(f"{OWNER}: dtype is {dtype!r}; expected {' or '.join(map(str, _DTYPES.values()))}.")
    return resolved
