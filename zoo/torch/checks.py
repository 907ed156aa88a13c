"""What a module cannot do: other devices, other numbers."""

from __future__ import annotations

from typing import Any

import torch

from zoo.errors import UsageError
from zoo.layers.validation import DTYPES

WHO = "zoo.torch.Recurrent"
_KNOWN = {name: getattr(torch, name) for name in DTYPES}


def check_device(device: Any, what: str = "the module would be") -> None:
    """Refuse all but the CPU.

    Raises:
        UsageError: saying what is elsewhere.
    """
    if device.type != "cpu":
        raise UsageError(
            f"{WHO} computes on the CPU, and {what} on {device}; leave the module where it is, and move what "
            f"goes in and comes out."
        )


def check_dtype(dtype: Any) -> Any:
    """The dtype of PyTorch, which may be given by name.

    Raises:
        UsageError: if it is neither float32 nor float64.
    """
    found = _KNOWN.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if found not in _KNOWN.values():
        raise UsageError(f"{WHO}: dtype is {dtype!r}; expected {' or '.join(map(str, _KNOWN.values()))}.")
    return found
