"""Adamax, Kingma and Ba 2014."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray, np.ndarray],  # m (P,), u (P,)
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """One update; see :class:`Adamax`."""
    real = theta.dtype.type
    old_share1, new_share1, old_share2 = real(beta1), real(1.0 - beta1), real(beta2)
    rate = real(lr / (1.0 - beta1 ** float(step)))
    tiny, decay = real(eps), real(weight_decay)
    old_m, old_u = slots
    block = np.empty((3, theta.size), theta.dtype)
    moved, m, u = block[0], block[1], block[2]
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        first = old_share1 * old_m[i] + new_share1 * g
        faded, largest = old_share2 * old_u[i], np.abs(g) + tiny
        if faded > largest:  # false for NaN, which thus passes
            largest = faded
        m[i], u[i] = first, largest
        moved[i] = theta[i] - rate * first / largest
    return moved, (m, u)


class Adamax(zoo.Optimizer):
    """Adam in the infinity norm: divide steps by the largest gradient so far, with exponential decay.

    This is algorithm 2 of the paper, with PyTorch's eps inside the maximum::

        g = grad + weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, |g| + eps)
        theta -= lr * m / (1 - beta1^t) / u
    """

    family = "adaptive"
    scale_free = True
    card = zoo.Card(
        title="Adam: A Method for Stochastic Optimization",
        authors="Diederik P. Kingma, Jimmy Ba",
        year=2014,
        url="https://arxiv.org/abs/1412.6980",
        variant="This is AdaMax, section 7.1 of the paper.",
        deviations="eps is added to the magnitude of the gradient, as in PyTorch, where the paper divides 0 "
        "by 0 if that is 0. Weight decay is an L2 penalty, as in PyTorch.",
        when_to_use="Use it where a few gradients are much larger than the others: a step is divided by the "
        "largest recent gradient, so no parameter moves by much more than lr in an update. It needs two "
        "numbers of memory for each parameter. In other cases adam is the usual choice.",
    )

    lr = zoo.Option(2e-3, help="learning rate", low=0.0)
    beta1 = zoo.Option(0.9, help="decay of the mean gradient", low=0.0, below=1.0)
    beta2 = zoo.Option(0.999, help="decay of the largest gradient", low=0.0, below=1.0)
    eps = zoo.Option(1e-8, help="added to the gradient's magnitude", low=0.0)
    weight_decay = zoo.Option(0.0, help="L2 penalty: times the parameters, added to the gradient", low=0.0)

    m = zoo.StateSlot(help="running mean of the gradient")
    u = zoo.StateSlot(help="largest magnitude of the gradient, with decay")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(Adamax)
