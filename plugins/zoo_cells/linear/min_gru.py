"""The minimal gated recurrent unit, whose gate does not see the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class MinGRU(zoo.Cell):
    """Minimal gated recurrent unit: a GRU whose gate and candidate see the input alone.

    What is left is linear in the state, a running average with a rate that the input chooses. The sequential
    form of Feng et al. 2024. Gate z and candidate n stand in the order z, n.

    Equations::

        z, n = x Wx + b
        n = g(n)                 if positive, where g(n) = n + 1/2 for n >= 0, else sigmoid(n)
        z = sigmoid(z)
        h' = (1 - z) * h + z * n

    Parameters: ``Wx (I, 2H)`` uniform within ``1 / sqrt(I)`` of zero, as PyTorch's ``nn.Linear`` starts, and
    ``b (2H,)`` zero. State and output: ``h (H,)``.

    Without ``positive`` it is the paper's plain form, whose candidate has no squashing function; with it,
    that of its appendix B.3, trained there by a scan over logarithms and therefore kept above zero. Both as
    in https://github.com/lucidrains/minGRU-pytorch, which has no bias.
    """

    name = "min_gru"
    family = "linear"
    card = zoo.Card(
        title="Were RNNs All We Needed?",
        authors="Leo Feng, Frederick Tung, Mohamed Osama Ahmed, Yoshua Bengio, Hossein Hajimirsadeghi",
        year=2024,
        url="https://arxiv.org/abs/2410.01201",
        variant="minGRU in its sequential form; positive candidates, those of the log-space form, by option.",
        deviations="The cell alone: no convolution, residual connection or normalisation around it.",
    )
    Wx = zoo.Param("I", "2H", init="fan_in_uniform", help="input to gate z and candidate n")
    b = zoo.Param("2H", help="bias of gate z and candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    positive = zoo.Option(False, help="keep the candidate above zero by g, as the log-space form does")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        z, n = zoo.split(x @ self.Wx + self.b, 2)
        if self.positive:
            n = np.where(n >= 0, n + 0.5, zoo.sigmoid(n))
        z = zoo.sigmoid(z)
        return (1 - z) * h + z * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minGRU."""
    register(MinGRU)
