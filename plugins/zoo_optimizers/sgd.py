"""Stochastic gradient descent with momentum, Sutskever et al. 2013."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


@zoo.njit
def update(
    theta: np.ndarray,  # (P,)
    grad: np.ndarray,  # (P,)
    slots: tuple[np.ndarray],  # velocity (P,)
    step: int,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> tuple[np.ndarray, tuple[np.ndarray]]:
    """One update; see :class:`SGD`."""
    real = theta.dtype.type  # scalars are computed in float64 and rounded once: the loop keeps its dtype
    rate, keep, decay = real(lr), real(momentum), real(weight_decay)
    fresh = real(1.0 if step == 1 or momentum == 0.0 else 1.0 - dampening)
    old = slots[0]
    block = np.empty((2, theta.size), theta.dtype)
    moved, velocity = block[0], block[1]
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        v = keep * old[i] + fresh * g
        velocity[i] = v
        moved[i] = theta[i] - rate * (g + keep * v if nesterov else v)
    return moved, (velocity,)


class SGD(zoo.Optimizer):
    """Gradient descent, plain or with heavy-ball or Nesterov momentum.

    This is PyTorch's formulation::

        g = grad + weight_decay * theta
        v = momentum * v + (1 - dampening) * g        v = g at the first update
        theta -= lr * (g + momentum * v)              with nesterov
        theta -= lr * v                               without

    Without momentum, ``v`` is ``g`` for every dampening. This is the method of H. Robbins and S. Monro, "A
    Stochastic Approximation Method", 1951, https://doi.org/10.1214/aoms/1177729586.

    Raises:
        UsageError: for nesterov without momentum or with dampening.
    """

    family = "momentum"
    card = zoo.Card(
        title="On the importance of initialization and momentum in deep learning",
        authors="Ilya Sutskever, James Martens, George Dahl, Geoffrey Hinton",
        year=2013,
        url="https://proceedings.mlr.press/v28/sutskever13.html",
        variant="The momentum is heavy-ball momentum, or Nesterov's with the gradient taken at the "
        "parameters reached.",
        deviations="The velocity is a sum of gradients that is multiplied by lr when it is used, as in "
        "PyTorch. In the paper lr is inside the velocity. The two agree while lr is constant.",
        when_to_use="Use it for the simplest update, for example in teaching or to study training itself, "
        "and with momentum=0.9 in practice. All parameters have the same learning rate, so the choice of lr "
        "matters more than with adam, and recurrent networks need gradient clipping. It needs one number of "
        "memory for each parameter.",
    )

    lr = zoo.Option(0.1, help="learning rate", low=0.0)
    momentum = zoo.Option(0.0, help="fraction of the velocity that each update keeps", low=0.0, below=1.0)
    dampening = zoo.Option(0.0, help="fraction of the gradient left out of the velocity", low=0.0, high=1.0)
    weight_decay = zoo.Option(0.0, help="L2 penalty: times the parameters, added to the gradient", low=0.0)
    nesterov = zoo.Option(False, help="look one step of the velocity ahead")

    velocity = zoo.StateSlot(help="decaying sum of gradients")
    update = update

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        if self.nesterov and (self.momentum == 0.0 or self.dampening != 0.0):
            raise zoo.UsageError(
                f"{self.label()}: nesterov with momentum={self.momentum:g} and dampening={self.dampening:g} "
                f"has no meaning; give a momentum above 0, as in momentum=0.9, and no dampening."
            )


@zoo.hookimpl
def zoo_register_optimizers(register: Callable[[type[zoo.Optimizer]], None]) -> None:
    """Register the optimizer."""
    register(SGD)
