"""FastRNN: a simple recurrent network with a weighted residual connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def normal_01(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with standard deviation 0.1."""
    return rng.normal(0, 0.1, shape)


def logit_005(rng: np.random.Generator, shape: Shape) -> Array:
    """-3, which gives a sigmoid of about 0.05."""
    return np.full(shape, -3.0)


def logit_095(rng: np.random.Generator, shape: Shape) -> Array:
    """3, which gives a sigmoid of about 0.95."""
    return np.full(shape, 3.0)


class FastRNN(zoo.Cell):
    """FastRNN: a vanilla RNN with a residual connection, weighted by two trained numbers.

    Two numbers for the whole cell are enough to train it stably. The cell starts by keeping nearly all of its
    state.

    Equations::

        h' = sigmoid(alpha) * tanh(x Wx + h Wh + b) + sigmoid(beta) * h

    The parameters ``Wx (I, H)`` and ``Wh (H, H)`` start normal with standard deviation 0.1. ``b (H,)`` starts
    at one, ``alpha ()`` at -3 and ``beta ()`` at 3. The state ``h (H,)`` is the output.

    Equations and initial values come from ``FastRNNCell`` in https://github.com/microsoft/EdgeML, with
    matrices of full rank. Another published port starts alpha at 3 and beta at -3, so it forgets at first.
    """

    name = "fastrnn"
    family = "classic"
    card = zoo.Card(
        title="FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated Recurrent Neural Network",
        authors="Aditya Kusupati, Manish Singh, Kush Bhatia, Ashish Kumar, Prateek Jain, Manik Varma",
        year=2018,
        url="https://arxiv.org/abs/1901.02358",
        variant="This is FastRNN with tanh units. Its matrices are neither low-rank nor sparse.",
        history="Kusupati and others introduced FastRNN and FastGRNN together in 2018, for microcontrollers. "
        "FastRNN makes the simple recurrent network trainable with two additional numbers. FastGRNN "
        "(fastgrnn) extends the residual connection to a gate that reuses the same matrices.",
        when_to_use="Use it where parameters and operations are scarce: it has two parameters more than "
        "vanilla. The paper adds low-rank, sparse and quantised matrices, and of these zoo has the modifier "
        "low_rank. Where the accuracy of a gated cell is needed at a similar size, use fastgrnn.",
        related={
            "fastgrnn": "turns the two numbers into a gate that reuses the matrices.",
            "vanilla": "has no residual connection.",
            "leaky_rnn": "has one fixed rate, whose two weights add up to one.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal_01, help="input to hidden")
    Wh = zoo.Param("H", "H", init=normal_01, help="hidden to hidden")
    b = zoo.Param("H", init="ones", help="bias")
    alpha = zoo.Param(init=logit_005, help="weight of the new value, before the sigmoid")
    beta = zoo.Param(init=logit_095, help="weight of the old state, before the sigmoid")
    h = zoo.State("H", help="hidden units, and the output")

    def step(self, x: Array, h: Array) -> Array:
        new = zoo.tanh(x @ self.Wx + h @ self.Wh + self.b)
        return zoo.sigmoid(self.alpha) * new + zoo.sigmoid(self.beta) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register FastRNN."""
    register(FastRNN)
