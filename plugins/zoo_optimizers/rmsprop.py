"""RMSprop, Tieleman and Hinton 2012; centered, Graves 2013."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray, np.ndarray, np.ndarray],  # squares (P,), mean (P,), velocity (P,)
    step: int,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One update; see :class:`RMSprop`."""
    real = theta.dtype.type
    rate, keep, tiny, decay = real(lr), real(momentum), real(eps), real(weight_decay)
    old_share, new_share, zero = real(alpha), real(1.0 - alpha), real(0.0)
    old_squares, old_mean, old_velocity = slots
    block = np.empty((4, theta.size), theta.dtype)
    moved, squares, mean, velocity = block[0], block[1], block[2], block[3]
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        s = old_share * old_squares[i] + new_share * g * g
        a = old_share * old_mean[i] + new_share * g
        variance = s - a * a if centered else s
        if variance < zero:  # by rounding; NaN passes
            variance = zero
        v = keep * old_velocity[i] + g / (np.sqrt(variance) + tiny)
        squares[i], mean[i], velocity[i] = s, a, v
        moved[i] = theta[i] - rate * v
    return moved, (squares, mean, velocity)


class RMSprop(zoo.Optimizer):
    """Divide steps by the root of a running average of squared gradients.

    This is PyTorch's formulation, with eps outside the root::

        g = grad + weight_decay * theta
        s = alpha * s + (1 - alpha) * g²
        a = alpha * a + (1 - alpha) * g               the mean, for centered
        v = momentum * v + g / (sqrt(s - a²) + eps)   sqrt(s) unless centered
        theta -= lr * v

    Centered, after A. Graves, "Generating Sequences With Recurrent Neural Networks", 2013,
    https://arxiv.org/abs/1308.0850, divides by the standard deviation. Graves has eps inside the root.
    """

    name = "rmsprop"
    family = "adaptive"
    scale_free = True
    card = zoo.Card(
        title="Lecture 6.5: RMSprop, divide the gradient by a running average of its recent magnitude",
        authors="Tijmen Tieleman, Geoffrey Hinton",
        year=2012,
        url="https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        variant="eps is outside the root. The divided gradient may have momentum, and the variance may be "
        "centered.",
        deviations="The lecture has neither eps nor momentum, and both are as in PyTorch. A variance that "
        "rounding makes negative counts as 0, where PyTorch returns NaN.",
        when_to_use="Use it to repeat older experiments with recurrent networks, such as Graves 2013 and "
        "char-rnn. It has no bias correction, so with the default alpha the first step is ten times lr. Use "
        "adam in new experiments. It needs three numbers of memory for each parameter.",
    )

    lr = zoo.Option(1e-2, help="learning rate", low=0.0)
    alpha = zoo.Option(0.99, help="decay of the running averages", low=0.0, below=1.0)
    eps = zoo.Option(1e-8, help="added to the root", low=0.0)
    weight_decay = zoo.Option(0.0, help="L2 penalty: times the parameters, added to the gradient", low=0.0)
    momentum = zoo.Option(0.0, help="fraction of the velocity that each update keeps", low=0.0, below=1.0)
    centered = zoo.Option(False, help="divide by the standard deviation instead of the root mean square")

    squares = zoo.StateSlot(help="running average of squared gradients")
    mean = zoo.StateSlot(help="running average of gradients")
    velocity = zoo.StateSlot(help="decaying sum of divided gradients")
    update = update


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(RMSprop)
