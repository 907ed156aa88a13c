"""NAdam, Dozat 2016."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray, np.ndarray, np.ndarray],  # m (P,), v (P,), weight (1,)
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    momentum_decay: float,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One update; see :class:`NAdam`."""
    real = theta.dtype.type
    mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
    mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    summed = mu * np.float64(slots[2][0]) + (1.0 - mu)
    summed_next = mu_next * summed + (1.0 - mu_next)
    rate_m, rate_g = real(lr * mu_next / summed_next), real(lr * (1.0 - mu) / summed)
    scale = real(1.0 / np.sqrt(1.0 - beta2 ** float(step)))
    old_share1, new_share1, old_share2, new_share2 = (
        real(beta1),
        real(1.0 - beta1),
        real(beta2),
        real(1.0 - beta2),
    )
    tiny, decay = real(eps), real(weight_decay)
    old_m, old_v = slots[0], slots[1]
    block = np.empty((3, theta.size), theta.dtype)
    moved, m, v = block[0], block[1], block[2]
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        first = old_share1 * old_m[i] + new_share1 * g
        second = old_share2 * old_v[i] + new_share2 * g * g
        m[i], v[i] = first, second
        moved[i] = theta[i] - (rate_m * first + rate_g * g) / (scale * np.sqrt(second) + tiny)
    return moved, (m, v, np.full(1, summed, theta.dtype))


class NAdam(zoo.Optimizer):
    """Adam with Nesterov momentum that increases over the first updates.

    This is PyTorch's formulation. eps is outside the root, after the bias correction::

        g = grad + weight_decay * theta
        mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
        w(t) = 1 - mu(1) * ... * mu(t)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g²
        step = mu(t+1) * m / w(t+1) + (1 - mu(t)) * g / w(t)
        theta -= lr * step / (sqrt(v / (1 - beta2^t)) + eps)

    The slot ``weight`` holds ``w(t)``, by ``w(t) = mu(t) * w(t-1) + 1 - mu(t)`` from ``w(0) = 0``, instead of
    the product that PyTorch keeps and subtracts from 1.
    """

    name = "nadam"
    family = "adaptive"
    scale_free = True
    card = zoo.Card(
        title="Incorporating Nesterov Momentum into Adam",
        authors="Timothy Dozat",
        year=2016,
        url="https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
        variant="This is the form of PyTorch and TensorFlow: the running mean decays by beta1, the growing "
        "momentum enters the step, and momentum_decay is 1 / 250.",
        deviations="Weight decay, an L2 penalty, is an addition of PyTorch.",
        when_to_use="Use it where you would use adam and want Nesterov's momentum, which looks one step "
        "ahead. The momentum increases over the first updates, at the rate momentum_decay. It needs two "
        "numbers of memory for each parameter.",
    )

    lr = zoo.Option(2e-3, help="learning rate", low=0.0)
    beta1 = zoo.Option(0.9, help="decay of the mean gradient, and limit of the momentum", low=0.0, below=1.0)
    beta2 = zoo.Option(0.999, help="decay of the mean squared gradient", low=0.0, below=1.0)
    eps = zoo.Option(1e-8, help="added to the root", low=0.0)
    weight_decay = zoo.Option(0.0, help="L2 penalty: times the parameters, added to the gradient", low=0.0)
    momentum_decay = zoo.Option(4e-3, help="rate at which the momentum increases to beta1", low=0.0)

    m = zoo.StateSlot(help="running mean of the gradient")
    v = zoo.StateSlot(help="running mean of its square")
    weight = zoo.StateSlot(1, help="1 - product of the momenta so far")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(NAdam)
