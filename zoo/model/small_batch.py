"""The smallest part of a batch, for a preview of the kernels that the batch needs."""

from __future__ import annotations

from typing import Any

import numpy as np


def small_batch(
    inputs: Any,
    targets: Any,
    weights: Any = None,
    *,
    state: Any = None,
    noise: Any = None,
    lengths: Any = None,
    **aux: Any,
) -> dict[str, Any]:
    """The arguments of ``Model.loss_and_grad`` for the last time step of the first sequence, by name."""
    shape = np.shape(inputs)[:2]

    def cut(value: Any) -> Any:
        """The part of an array ``(T, B, ...)`` or ``(B, ...)``."""
        value = np.asarray(value)
        return value[-1:, :1] if value.shape[:2] == shape else value[:1]

    return {
        "inputs": cut(inputs),
        "targets": cut(targets),
        "weights": None if weights is None else np.ones_like(cut(weights)),
        "state": None if state is None else {name: value[:1] for name, value in state.items()},
        "noise": noise,
        "lengths": None if lengths is None else np.ones_like(lengths[:1]),
        **{name: cut(value) for name, value in aux.items()},
    }
