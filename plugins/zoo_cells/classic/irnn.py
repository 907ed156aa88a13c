"""The IRNN: rectified units that start by remembering everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.classic._initializers import identity

Array = Any
Shape = tuple[int, ...]


def scaled_identity(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """The identity matrix times ``scale``."""
    return cell.scale * identity(rng, shape)


def normal_0001(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with standard deviation 0.001."""
    return rng.normal(0, 0.001, shape)


class IRNN(zoo.Cell):
    """IRNN: a vanilla RNN with rectified units whose recurrent matrix starts as the identity.

    At the start a unit adds up its input, and error derivatives pass through time unchanged. What is
    special is the start; nothing keeps the matrix where it is, so gradients should be clipped.

    Equations::

        h' = relu(x Wx + h Wh + b)

    Parameters: ``Wx (I, H)`` normal with standard deviation 0.001, ``Wh (H, H)`` the identity times
    ``scale``, ``b (H,)`` zero. State and output: ``h (H,)``.

    Wx starts as in Keras's reproduction of the paper, ``examples/mnist_irnn.py`` of its early versions
    (https://github.com/keras-team/keras). A ``scale`` below one, which the paper also tries, forgets.
    """

    name = "irnn"
    family = "classic"
    card = zoo.Card(
        title="A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
        authors="Quoc V. Le, Navdeep Jaitly, Geoffrey E. Hinton",
        year=2015,
        url="https://arxiv.org/abs/1504.00941",
        variant="Identity matrix, or a scaled one; rectified linear units.",
        trainability="Its input weights start at a thousandth, so that it begins late. After 4,500 steps "
        "it is at 1.994 nats.",
    )
    Wx = zoo.Param("I", "H", init=normal_0001, help="input to hidden")
    Wh = zoo.Param("H", "H", init=scaled_identity, help="hidden to hidden")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    scale = zoo.Option(1.0, low=0.0, help="diagonal of Wh at the start")

    def step(self, x: Array, h: Array) -> Array:
        return zoo.relu(x @ self.Wx + h @ self.Wh + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the IRNN."""
    register(IRNN)
