"""The minimal LSTM, whose gates do not see the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class MinLSTM(zoo.Cell):
    """Minimal LSTM: input and forget gate read the input alone and add up to one.

    What is left is linear in the state, a running average with a rate that two gates settle. The length
    independent form of Feng et al. 2024. The parts stand in the order forget gate f, input gate i,
    candidate n.

    Equations::

        f, i, n = x Wx + b
        n = g(n)                 if positive, where g(n) = n + 1/2 for n >= 0, else sigmoid(n)
        f = sigmoid(f) / (sigmoid(f) + sigmoid(i))
        h' = f * h + (1 - f) * n

    where ``1 - f`` is the input gate's share, ``sigmoid(i) / (sigmoid(f) + sigmoid(i))``. The quotient is
    computed from logarithms, which do not vanish where both gates are shut.

    Parameters: ``Wx (I, 3H)`` uniform within ``1 / sqrt(I)`` of zero, as PyTorch's ``nn.Linear`` starts, and
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    Without ``positive`` the candidate has no squashing function; with it, it is that of the form that the
    paper trains by a scan over logarithms. https://github.com/lucidrains/minGRU-pytorch has that form, and
    there no bias and another order: n, f, i.
    """

    name = "min_lstm"
    family = "linear"
    card = zoo.Card(
        title="Were RNNs All We Needed?",
        authors="Leo Feng, Frederick Tung, Mohamed Osama Ahmed, Yoshua Bengio, Hossein Hajimirsadeghi",
        year=2024,
        url="https://arxiv.org/abs/2410.01201",
        variant="minLSTM with normalised gates, in its sequential form; positive candidates, those of the "
        "log-space form, by option.",
        deviations="The cell alone: no convolution, residual connection or normalisation around it.",
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to gates f, i and candidate n")
    b = zoo.Param("3H", help="bias of gates f, i and candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    positive = zoo.Option(False, help="keep the candidate above zero by g, as the log-space form does")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        f, i, n = zoo.split(x @ self.Wx + self.b, 3)
        if self.positive:
            n = np.where(n >= 0, n + 0.5, zoo.sigmoid(n))
        f = zoo.sigmoid(zoo.log_sigmoid(f) - zoo.log_sigmoid(i))
        return f * h + (1 - f) * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minLSTM."""
    register(MinLSTM)
