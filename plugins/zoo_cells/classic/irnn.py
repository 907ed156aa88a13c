"""The IRNN: rectified units whose recurrent matrix starts as the identity."""

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

    At first each unit adds up its input, and error derivatives pass through time unchanged. Only the initial
    values are special. Nothing keeps the matrix close to the identity in training, so clip the gradients.

    Equations::

        h' = relu(x Wx + h Wh + b)

    The parameter ``Wx (I, H)`` starts normal with standard deviation 0.001, ``Wh (H, H)`` as the identity
    times ``scale``, and ``b (H,)`` at zero. The state ``h (H,)`` is the output.

    The initial values of Wx come from the reproduction of the paper in Keras, ``examples/mnist_irnn.py`` of
    its early versions (https://github.com/keras-team/keras). A ``scale`` below one, which the paper also
    tries, forgets.
    """

    name = "irnn"
    family = "classic"
    card = zoo.Card(
        title="A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
        authors="Quoc V. Le, Navdeep Jaitly, Geoffrey E. Hinton",
        year=2015,
        url="https://arxiv.org/abs/1504.00941",
        variant="The recurrent matrix starts as the identity, or as a scaled identity. The units are "
        "rectified linear units.",
        history="Le, Jaitly and Hinton proposed it in 2015 as a simpler answer to vanishing gradients than "
        "an LSTM. The paper introduced the classification of MNIST pixel by pixel, which became a standard "
        "test of memory. Unitary networks (urnn, 2015) and IndRNN (indrnn, 2018) control the eigenvalues in "
        "training, too.",
        when_to_use="Use it to add up inputs over long sequences, such as the adding problem and images read "
        "pixel by pixel. The paper reports results comparable to an LSTM on its four benchmarks. Clip "
        "gradients and use a small learning rate, because the state of rectified units may grow without "
        "bound. It costs the same as vanilla.",
        trainability="Its input weights start near zero, with standard deviation 0.001, so it begins to "
        "learn late and needs more steps than most cells.",
        related={
            "vanilla": "has tanh units and random initial values.",
            "indrnn": "has a diagonal recurrent matrix, so that its eigenvalues are parameters.",
            "urnn": "keeps the recurrent matrix unitary in training.",
            "momentum_rnn": "also starts from the identity, with tanh units and a velocity of the input.",
            "ligru": "has rectified units with a gate.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal_0001, help="input to hidden")
    Wh = zoo.Param("H", "H", init=scaled_identity, help="hidden to hidden")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    scale = zoo.Option(1.0, low=0.0, help="initial diagonal of Wh")

    def step(self, x: Array, h: Array) -> Array:
        return zoo.relu(x @ self.Wx + h @ self.Wh + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the IRNN."""
    register(IRNN)
