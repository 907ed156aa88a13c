"""The structurally constrained recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def normal_005(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with standard deviation 0.05."""
    return rng.normal(0, 0.05, shape)


class SCRN(zoo.Cell):
    """Structurally constrained network: a vanilla RNN with additional units that change slowly.

    The context ``s`` is a running mean of the input, seen through a trained matrix; its rate is fixed.

    Equations::

        s' = (1 - alpha) * (x Wb) + alpha * s
        h' = sigmoid(x Wx + h Wh + s' Ws)
        y  = [h', s']

    Parameters: ``Wb (I, context)`` from the input to the context, ``Wx (I, H)``, ``Wh (H, H)`` and
    ``Ws (context, H)``, all normal with standard deviation 0.05; in the paper they are B, A, R and P. States:
    ``h (H,)`` and ``s (context,)``. The output ``y`` is of size H + context: the readout sees both.

    Start and size of the context are those of the official code, https://github.com/facebookarchive/SCRNNs.
    Neither paper nor code has a bias.
    """

    name = "scrn"
    family = "classic"
    card = zoo.Card(
        title="Learning Longer Memory in Recurrent Neural Networks",
        authors="Tomas Mikolov, Armand Joulin, Sumit Chopra, Michael Mathieu, Marc'Aurelio Ranzato",
        year=2014,
        url="https://arxiv.org/abs/1412.7753",
        variant="Fixed alpha for all units of the context; hidden units see the new context.",
        deviations="In the official code hidden units see the context of the step before, though its own "
        "description has the new one, as the paper does. Its first states are 0.1; zoo's are zero.",
    )
    Wb = zoo.Param("I", "context", init=normal_005, help="input to context")
    Wx = zoo.Param("I", "H", init=normal_005, help="input to hidden")
    Wh = zoo.Param("H", "H", init=normal_005, help="hidden to hidden")
    Ws = zoo.Param("context", "H", init=normal_005, help="context to hidden")
    h = zoo.State("H", help="hidden units")
    s = zoo.State("context", help="context units, which change slowly")
    context = zoo.Option(20, low=1, help="number of context units")
    alpha = zoo.Option(0.95, low=0.0, high=1.0, help="share of the context that is kept at every step")

    def step(self, x: Array, h: Array, s: Array) -> zoo.Output:
        s = (1 - self.alpha) * (x @ self.Wb) + self.alpha * s
        h = zoo.sigmoid(x @ self.Wx + h @ self.Wh + s @ self.Ws)
        return zoo.Output(np.concatenate([h, s]), h, s)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the structurally constrained network."""
    register(SCRN)
