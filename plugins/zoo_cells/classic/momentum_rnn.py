"""MomentumRNN: a simple recurrent network whose input has momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.classic._initializers import identity, orthonormal

Array = Any


class MomentumRNN(zoo.Cell):
    """MomentumRNN: the input enters through a momentum term, as gradients do in descent with momentum.

    With ``mu = 0`` and ``epsilon = 1`` it is a simple recurrent network.

    Equations::

        v' = mu * v + epsilon * (x Wx + b)
        h' = tanh(h Wh + v')

    The parameter ``Wx (I, H)`` starts with orthonormal rows or columns, whichever are fewer, ``Wh (H, H)`` as
    the identity, and ``b (H,)`` at zero. The states are ``h (H,)``, which is the output, and the velocity
    ``v (H,)``.

    The official code, https://github.com/minhtannguyen/MomentumRNN, has momentum in an LSTM and in an
    orthogonal network, but not in a simple network. Defaults come from its commands for the LSTM on MNIST,
    where mu and epsilon are both 0.6. Initial values come from the input gate of this LSTM. The recurrent
    weights of its other gates start at zero.
    """

    name = "momentum_rnn"
    family = "classic"
    card = zoo.Card(
        title="MomentumRNN: Integrating Momentum into Recurrent Neural Networks",
        authors="Tan M. Nguyen, Richard G. Baraniuk, Andrea L. Bertozzi, Stanley J. Osher, Bao Wang",
        year=2020,
        url="https://arxiv.org/abs/2006.06919",
        variant="This is the MomentumRNN with tanh units and fixed momentum. It is neither the LSTM of the "
        "paper nor one of its variants that are named after other optimizers.",
        deviations="There is one bias, which enters the velocity with the input. The official LSTM has a "
        "second one, which does not.",
        history="Nguyen, Baraniuk, Bertozzi, Osher and Wang published it in 2020. They read the update of a "
        "recurrent network as a step of gradient descent and add momentum to it. The paper studies mostly "
        "the LSTM with momentum, and derives further cells from Adam and from Nesterov's method.",
        when_to_use="Use it to test whether a smoothed input helps a simple network: the velocity is a "
        "running sum of the projected inputs with the decay mu. The paper proves that momentum reduces "
        "vanishing gradients. It has the parameters of vanilla and a second state of size H.",
        related={
            "vanilla": "has no velocity.",
            "irnn": "also starts from the identity, with rectified units.",
            "cornn": "has a velocity that the state pulls back, so that units oscillate.",
        },
    )
    Wx = zoo.Param("I", "H", init=orthonormal, help="input to velocity")
    Wh = zoo.Param("H", "H", init=identity, help="hidden to hidden")
    b = zoo.Param("H", help="bias of the velocity")
    h = zoo.State("H", help="hidden units, and the output")
    v = zoo.State("H", help="velocity of the input")
    mu = zoo.Option(0.6, low=0.0, below=1.0, help="share of the velocity that is kept at every step")
    epsilon = zoo.Option(0.6, low=0.0, help="step size, a factor of the input")

    def step(self, x: Array, h: Array, v: Array) -> tuple[Array, Array]:
        v = self.mu * v + self.epsilon * (x @ self.Wx + self.b)
        return zoo.tanh(h @ self.Wh + v), v


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MomentumRNN."""
    register(MomentumRNN)
