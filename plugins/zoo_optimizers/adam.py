"""Adam, Kingma and Ba 2014; AMSGrad, Reddi et al. 2018."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray, np.ndarray, np.ndarray],  # m (P,), v (P,), top (P,)
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    amsgrad: bool,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One update; see :class:`Adam`."""
    real = theta.dtype.type
    old_share1, new_share1, old_share2, new_share2 = (
        real(beta1),
        real(1.0 - beta1),
        real(beta2),
        real(1.0 - beta2),
    )
    rate = real(lr / (1.0 - beta1 ** float(step)))
    scale = real(1.0 / np.sqrt(1.0 - beta2 ** float(step)))
    tiny, decay = real(eps), real(weight_decay)
    old_m, old_v, old_top = slots
    block = np.empty((4, theta.size), theta.dtype)
    moved, m, v, top = block[0], block[1], block[2], block[3]
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        first = old_share1 * old_m[i] + new_share1 * g
        second = old_share2 * old_v[i] + new_share2 * g * g
        largest = second
        if old_top[i] > second:  # false for NaN, which thus passes
            largest = old_top[i]
        m[i], v[i], top[i] = first, second, largest
        moved[i] = theta[i] - rate * first / (scale * np.sqrt(largest if amsgrad else second) + tiny)
    return moved, (m, v, top)


class Adam(zoo.Optimizer):
    """Divide the running mean of the gradient by the root of the running mean of its square.

    This is algorithm 1 of the paper, with PyTorch's additions. eps is outside the root, after the bias
    correction::

        g = grad + weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g²
        theta -= lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    With amsgrad the last line uses the largest ``v`` so far in place of ``v``: S. Reddi, S. Kale, S. Kumar,
    "On the Convergence of Adam and Beyond", 2018, https://openreview.net/forum?id=ryQu7f-RZ.
    """

    family = "adaptive"
    scale_free = True
    card = zoo.Card(
        title="Adam: A Method for Stochastic Optimization",
        authors="Diederik P. Kingma, Jimmy Ba",
        year=2014,
        url="https://arxiv.org/abs/1412.6980",
        variant="This is algorithm 1, with eps outside the root. Weight decay is an L2 penalty, and adamw "
        "has the decoupled one.",
        deviations="The L2 penalty and AMSGrad are as in PyTorch, which takes the maximum first and then "
        "corrects it for bias. The paper on AMSGrad does not correct it.",
        when_to_use="It is the default of zoo train and model.fit, and a good first choice for recurrent "
        "networks. It needs three numbers of memory for each parameter, one of them for AMSGrad. Its L2 "
        "penalty is divided like a gradient, so use adamw to regularise by weight decay.",
    )

    lr = zoo.Option(1e-3, help="learning rate", low=0.0)
    beta1 = zoo.Option(0.9, help="decay of the mean gradient", low=0.0, below=1.0)
    beta2 = zoo.Option(0.999, help="decay of the mean squared gradient", low=0.0, below=1.0)
    eps = zoo.Option(1e-8, help="added to the root", low=0.0)
    weight_decay = zoo.Option(0.0, help="L2 penalty: times the parameters, added to the gradient", low=0.0)
    amsgrad = zoo.Option(False, help="divide by the largest mean squared gradient so far")

    m = zoo.StateSlot(help="running mean of the gradient")
    v = zoo.StateSlot(help="running mean of its square")
    top = zoo.StateSlot(help="largest v so far, for amsgrad")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(Adam)
