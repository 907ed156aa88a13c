"""AdamW, Loshchilov and Hutter 2017."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray, np.ndarray],  # m (P,), v (P,)
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """One update; see :class:`AdamW`."""
    real = theta.dtype.type
    old_share1, new_share1, old_share2, new_share2 = (
        real(beta1),
        real(1.0 - beta1),
        real(beta2),
        real(1.0 - beta2),
    )
    rate = real(lr / (1.0 - beta1 ** float(step)))
    scale = real(1.0 / np.sqrt(1.0 - beta2 ** float(step)))
    tiny, decay = real(eps), real(lr * weight_decay)  # 1 - lr * weight_decay would round to 1 in float32
    old_m, old_v = slots
    block = np.empty((3, theta.size), theta.dtype)
    moved, m, v = block[0], block[1], block[2]
    for i in range(theta.size):
        g = grad[i]
        first = old_share1 * old_m[i] + new_share1 * g
        second = old_share2 * old_v[i] + new_share2 * g * g
        m[i], v[i] = first, second
        moved[i] = theta[i] - (decay * theta[i] + rate * first / (scale * np.sqrt(second) + tiny))
    return moved, (m, v)


class AdamW(zoo.Optimizer):
    """Adam with decoupled weight decay, which is not divided by the root of the second moment.

    This is PyTorch's formulation. eps is outside the root, after the bias correction::

        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad²
        theta -= lr * weight_decay * theta + lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
    """

    name = "adamw"
    family = "adaptive"
    scale_free = True
    card = zoo.Card(
        title="Decoupled Weight Decay Regularization",
        authors="Ilya Loshchilov, Frank Hutter",
        year=2017,
        url="https://arxiv.org/abs/1711.05101",
        variant="This is algorithm 2 of the paper, without warm restarts.",
        deviations="The decay is multiplied by lr, as in PyTorch, and not by the schedule alone. A decay of "
        "d in the paper is d / lr here.",
        when_to_use="Use it in place of adam to regularise by weight decay: parameters shrink at a rate "
        "that does not depend on their gradients. Without weight decay it makes the same updates as adam. "
        "It needs two numbers of memory for each parameter.",
    )

    lr = zoo.Option(1e-3, help="learning rate", low=0.0)
    beta1 = zoo.Option(0.9, help="decay of the mean gradient", low=0.0, below=1.0)
    beta2 = zoo.Option(0.999, help="decay of the mean squared gradient", low=0.0, below=1.0)
    eps = zoo.Option(1e-8, help="added to the root", low=0.0)
    weight_decay = zoo.Option(1e-2, help="parameters shrink by lr times this at each update", low=0.0)

    m = zoo.StateSlot(help="running mean of the gradient")
    v = zoo.StateSlot(help="running mean of its square")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(AdamW)
