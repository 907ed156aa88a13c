"""Lion, Chen et al. 2023."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray],  # m (P,)
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
) -> tuple[np.ndarray, tuple[np.ndarray]]:
    """One update; see :class:`Lion`."""
    real = theta.dtype.type
    old_share1, new_share1, old_share2, new_share2 = (
        real(beta1),
        real(1.0 - beta1),
        real(beta2),
        real(1.0 - beta2),
    )
    rate, decay, zero = real(lr), real(lr * weight_decay), real(0.0)
    old = slots[0]
    block = np.empty((2, theta.size), theta.dtype)
    moved, m = block[0], block[1]
    for i in range(theta.size):
        g = grad[i]
        c = old_share1 * old[i] + new_share1 * g
        stride = rate if c > zero else -rate if c < zero else rate * c  # rate * c is 0, or NaN
        m[i] = old_share2 * old[i] + new_share2 * g
        moved[i] = theta[i] - (decay * theta[i] + stride)
    return moved, (m,)


class Lion(zoo.Optimizer):
    """Move every parameter by lr along the sign of a running mean of the gradient.

    This is the form that the authors published::

        c = beta1 * m + (1 - beta1) * grad
        theta -= lr * (sign(c) + weight_decay * theta)
        m = beta2 * m + (1 - beta2) * grad

    Every parameter moves by lr, whatever its gradient. The authors advise an lr that is three to ten times
    smaller than for AdamW, and a weight_decay that is larger by the same factor.
    """

    family = "sign"
    scale_free = True
    card = zoo.Card(
        title="Symbolic Discovery of Optimization Algorithms",
        authors="Xiangning Chen, Chen Liang, Da Huang, Esteban Real, Kaiyuan Wang, Yao Liu, Hieu Pham, "
        "Xuanyi Dong, Thang Luong, Cho-Jui Hsieh, Yifeng Lu, Quoc V. Le",
        year=2023,
        url="https://arxiv.org/abs/2302.06675",
        variant="This is algorithm 2 of the paper, with decoupled weight decay.",
        deviations="The sign of NaN is NaN. In the authors' PyTorch file it is 0, so that NaN in a gradient "
        "goes unnoticed.",
        when_to_use="Use it to save memory, since it needs one number for each parameter and adamw needs "
        "two. Every parameter moves by lr in every update, so use a learning rate three to ten times "
        "smaller than for adamw, as the authors advise. The paper reports that its advantage grows with the "
        "size of the batch.",
    )

    lr = zoo.Option(1e-4, help="learning rate", low=0.0)
    beta1 = zoo.Option(0.9, help="weight of the running mean in the sign's argument", low=0.0, below=1.0)
    beta2 = zoo.Option(0.99, help="decay of the running mean", low=0.0, below=1.0)
    weight_decay = zoo.Option(0.0, help="parameters shrink by lr times this at each update", low=0.0)

    m = zoo.StateSlot(help="running mean of the gradient")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(Lion)
