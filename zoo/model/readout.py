"""The readout, ``p(next) = softmax(y Why + by)``, and its loss, over the steps of one shard of the batch."""

from __future__ import annotations

from typing import Any

from zoo.kernels.inputs import project, project_grads
from zoo.kernels.jit import njit
from zoo.kernels.loss import cross_entropy, cross_entropy_grad

Array = Any


@njit
def read_loss(y: Array, w: Array, b: Array, targets: Array, losses: Array) -> None:
    """The cross-entropy of each step, summed over its rows.

    Args:
        y: Output of the layers, ``(T, B, H)``.
        w: ``Why``, ``(H, V)``.
        b: ``by``, ``(V,)``.
        targets: The right tokens, ``(T, B)``.
        losses: Where they go, in nats, ``(T,)``; steps apart, so that it does not matter how time is cut.
    """
    logits = project(y, w, b)
    for t in range(losses.size):
        losses[t] = cross_entropy(logits[t], targets[t])


@njit
def read_loss_grads(
    y: Array, w: Array, b: Array, targets: Array, losses: Array, scale: float
) -> tuple[Array, Array, Array]:
    """As :func:`read_loss`, and the gradients of ``scale`` times all losses with respect to y, w and b."""
    logits = project(y, w, b)
    for t in range(losses.size):
        losses[t] = cross_entropy_grad(logits[t], targets[t], scale)
    return project_grads(y, w, logits)
