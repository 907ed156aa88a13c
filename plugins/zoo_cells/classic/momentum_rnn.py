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

    Parameters: ``Wx (I, H)`` with orthonormal rows or columns, whichever are fewer, ``Wh (H, H)`` the
    identity, ``b (H,)`` zero. States: ``h (H,)``, which is the output, and the velocity ``v (H,)``.

    The official code, https://github.com/minhtannguyen/MomentumRNN, has the momentum in an LSTM and in an
    orthogonal network, not in a simple one; start and defaults are those of its LSTM on MNIST, where mu and
    epsilon are both 0.6.
    """

    name = "momentum_rnn"
    family = "classic"
    card = zoo.Card(
        title="MomentumRNN: Integrating Momentum into Recurrent Neural Networks",
        authors="Tan M. Nguyen, Richard G. Baraniuk, Andrea L. Bertozzi, Stanley J. Osher, Bao Wang",
        year=2020,
        url="https://arxiv.org/abs/2006.06919",
        variant="MomentumRNN with tanh units and fixed momentum; neither the LSTM nor the variants that are "
        "named after other optimizers.",
        deviations="One bias, which enters the velocity with the input; the official LSTM has a second that "
        "does not.",
    )
    Wx = zoo.Param("I", "H", init=orthonormal, help="input to velocity")
    Wh = zoo.Param("H", "H", init=identity, help="hidden to hidden")
    b = zoo.Param("H", help="bias of the velocity")
    h = zoo.State("H", help="hidden units, and the output")
    v = zoo.State("H", help="velocity of the input")
    mu = zoo.Option(0.6, low=0.0, below=1.0, help="share of the velocity that is kept at every step")
    epsilon = zoo.Option(0.6, low=0.0, help="size of a step, by which the input is multiplied")

    def step(self, x: Array, h: Array, v: Array) -> tuple[Array, Array]:
        v = self.mu * v + self.epsilon * (x @ self.Wx + self.b)
        return zoo.tanh(h @ self.Wh + v), v


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MomentumRNN."""
    register(MomentumRNN)
