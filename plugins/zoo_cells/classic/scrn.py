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

    The context ``s`` is a running mean of the projected input. The matrix of the projection is trained, and
    the rate is fixed.

    Equations::

        s' = (1 - alpha) * (x Wb) + alpha * s
        h' = sigmoid(x Wx + h Wh + s' Ws)
        y  = [h', s']

    The parameters are ``Wb (I, context)`` from the input to the context, ``Wx (I, H)``, ``Wh (H, H)`` and
    ``Ws (context, H)``. All start normal with standard deviation 0.05. The paper calls them B, A, R and P.
    The states are ``h (H,)`` and ``s (context,)``. The output ``y`` has size H + context, so that the readout
    reads both.

    Initial values and the size of the context come from the official code,
    https://github.com/facebookarchive/SCRNNs. Neither the paper nor the code has a bias.
    """

    name = "scrn"
    family = "classic"
    card = zoo.Card(
        title="Learning Longer Memory in Recurrent Neural Networks",
        authors="Tomas Mikolov, Armand Joulin, Sumit Chopra, Michael Mathieu, Marc'Aurelio Ranzato",
        year=2014,
        url="https://arxiv.org/abs/1412.7753",
        variant="All context units share one fixed alpha. The hidden units read the new context.",
        deviations="In the official code the hidden units read the context of the previous step, although "
        "its own description has the new one, as in the paper. Its first states are 0.1, and here they are "
        "zero.",
        history="Mikolov, Joulin, Chopra, Mathieu and Ranzato published it in 2014 to show that gradient "
        "descent can learn long patterns in text without gates. Part of the recurrent matrix is fixed close "
        "to the identity. Later linear recurrences, such as min_gru and rg_lru, choose the rate from the "
        "input.",
        when_to_use="Use it to give a simple network a slow summary of the topic of a text, at the price of "
        "few parameters. The paper reports results similar to an LSTM on language modelling. The context "
        "forgets at one rate, and alpha = 0.95 covers about 20 steps. The output is larger than the hidden "
        "size by the option context.",
        related={
            "vanilla": "has no context units.",
            "clockwork": "has several slow time scales.",
            "leaky_rnn": "slows down all units.",
        },
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
