"""Adagrad, Duchi et al. 2011."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray],  # squares (P,)
    step: int,
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
    initial_accumulator: float,
) -> tuple[np.ndarray, tuple[np.ndarray]]:
    """One update; see :class:`Adagrad`."""
    real = theta.dtype.type
    rate = real(lr / (1.0 + (step - 1) * lr_decay))
    decay, tiny, start = real(weight_decay), real(eps), real(initial_accumulator)
    old = slots[0]
    block = np.empty((2, theta.size), theta.dtype)
    moved, squares = block[0], block[1]
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        s = old[i] + g * g
        squares[i] = s
        moved[i] = theta[i] - rate * g / (np.sqrt(start + s) + tiny)
    return moved, (squares,)


class Adagrad(zoo.Optimizer):
    """Divide steps by the root of the sum of squared gradients, so that rare features keep large steps.

    This is PyTorch's formulation, with eps outside the root::

        g = grad + weight_decay * theta
        s = s + g²                                    s = 0 before the first update
        theta -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(initial_accumulator + s) + eps)
    """

    family = "adaptive"
    scale_free = True
    card = zoo.Card(
        title="Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
        authors="John Duchi, Elad Hazan, Yoram Singer",
        year=2011,
        url="https://jmlr.org/papers/v12/duchi11a.html",
        variant="This is the diagonal form, by composite mirror descent without a regulariser. The delta of "
        "the paper is eps.",
        deviations="The decay of the learning rate, the L2 penalty and the initial accumulator are "
        "additions of PyTorch.",
        when_to_use="Use it for sparse features, such as rare tokens, which keep large steps while frequent "
        "ones slow down. The sum of squared gradients only grows, so all steps shrink in a long training. "
        "It needs one number of memory for each parameter.",
    )

    lr = zoo.Option(1e-2, help="learning rate", low=0.0)
    lr_decay = zoo.Option(
        0.0, help="the learning rate is divided by 1 + this times the updates made", low=0.0
    )
    eps = zoo.Option(1e-10, help="added to the root", low=0.0)
    weight_decay = zoo.Option(0.0, help="L2 penalty: times the parameters, added to the gradient", low=0.0)
    initial_accumulator = zoo.Option(0.0, help="initial value of the sum of squares", low=0.0)

    squares = zoo.StateSlot(help="sum of squared gradients, without the initial accumulator")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(Adagrad)
