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
    """Minus three, for a sigmoid of about 0.05."""
    return np.full(shape, -3.0)


def logit_095(rng: np.random.Generator, shape: Shape) -> Array:
    """Three, for a sigmoid of about 0.95."""
    return np.full(shape, 3.0)


class FastRNN(zoo.Cell):
    """FastRNN: a vanilla RNN with a residual connection, weighted by two trained numbers.

    Two numbers for the whole cell are enough to train it stably; it starts by keeping nearly everything.

    Equations::

        h' = sigmoid(alpha) * tanh(x Wx + h Wh + b) + sigmoid(beta) * h

    Parameters: ``Wx (I, H)`` and ``Wh (H, H)`` normal with standard deviation 0.1, ``b (H,)`` one,
    ``alpha ()`` -3 and ``beta ()`` 3. State and output: ``h (H,)``.

    Equations and initialization are those of ``FastRNNCell`` in https://github.com/microsoft/EdgeML, with
    matrices of full rank. There is a port in circulation that starts alpha at 3 and beta at -3, and so
    forgets.
    """

    name = "fastrnn"
    family = "classic"
    card = zoo.Card(
        title="FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated Recurrent Neural Network",
        authors="Aditya Kusupati, Manish Singh, Kush Bhatia, Ashish Kumar, Prateek Jain, Manik Varma",
        year=2018,
        url="https://arxiv.org/abs/1901.02358",
        variant="FastRNN, with tanh units; neither low-rank nor sparse.",
    )
    Wx = zoo.Param("I", "H", init=normal_01, help="input to hidden")
    Wh = zoo.Param("H", "H", init=normal_01, help="hidden to hidden")
    b = zoo.Param("H", init="ones", help="bias")
    alpha = zoo.Param(init=logit_005, help="weight of the new, before the sigmoid")
    beta = zoo.Param(init=logit_095, help="weight of the old, before the sigmoid")
    h = zoo.State("H", help="hidden units, and the output")

    def step(self, x: Array, h: Array) -> Array:
        new = zoo.tanh(x @ self.Wx + h @ self.Wh + self.b)
        return zoo.sigmoid(self.alpha) * new + zoo.sigmoid(self.beta) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register FastRNN."""
    register(FastRNN)
