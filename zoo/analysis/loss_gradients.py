"""Targets of a loss, and the gradient of the loss with respect to the output of the layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.analysis.target import AnalysisTarget, stack_of
from zoo.arguments import check_seed
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.layers.direction import Array
from zoo.layers.validation import as_floats, as_tokens
from zoo.model.readout import readout_kernels


def targets_of(model: AnalysisTarget, x: Array, targets: Any) -> tuple[Array, Array | None, bool]:
    """Inputs, the targets of every step that belong to them, and whether only those of the last are any.

    Raises:
        UsageError: if the targets do not fit.
    """
    if targets is None:
        # A language model goes on with its inputs.
        return (x[:-1], x[1:], False) if hasattr(model, "vocab") else (x, None, False)
    who = f"{stack_of(model).label()}: targets"
    has_readout = "Why" in model.params
    outputs = len(model.params["by"]) if has_readout else stack_of(model).output_size
    is_class = has_readout and model.criterion.target == "class"
    shape = x.shape[:2] if is_class else (*x.shape[:2], outputs)
    target_array = as_array(targets, who)
    only_last = target_array.shape == shape[1:]
    target_array = np.broadcast_to(target_array, shape) if only_last else target_array
    if target_array.shape != shape:
        raise UsageError(
            f"{who} are {target_array.shape}; expected {shape}, or {shape[1:]} for the last step alone."
        )
    if is_class:
        return x, as_tokens(target_array, outputs, who), only_last
    return x, as_floats(target_array, shape, model.dtype, who), only_last


def gradient_at(model: AnalysisTarget, y: Array, target: Array) -> Array:
    """Gradients of the loss of each row with respect to its output.

    Args:
        model: Whose loss: a model's own, a layer's mean squared error.
        y: Outputs of the layers at one step, ``(B, ·)``.
        target: Targets of that step, ``(B,)`` or ``(B, V)``.
    """
    if "Why" not in model.params:
        return np.asarray(2 * (y - target) / y.shape[1])
    weights, loss = model.params["Why"], model.criterion
    outputs = np.ascontiguousarray(y @ weights + model.params["by"])
    rows = len(outputs)
    kernel = readout_kernels(loss).weighted_loss_and_grad
    kernel(outputs, np.ascontiguousarray(target), np.ones(rows), loss.values, 1.0, np.empty(rows))
    return np.asarray(outputs @ weights.T)


def projected(y: Array, seed: int) -> Array:
    """A random unit vector for each row: the gradient of its product with the output, ``(B, ·)``."""
    vectors = np.random.default_rng(check_seed(seed)).standard_normal(y.shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), y.dtype)
