"""The LSTM with element-wise recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with standard deviation 0.1."""
    return rng.normal(0, 0.1, shape)


def mixed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with standard deviation 0.1 for f and z, and uniform within ``1 / sqrt(H)`` of zero for o."""
    width = shape[-1] // 3
    memory = normal(rng, (*shape[:-1], 2 * width))
    limit = 1 / math.sqrt(width)
    return np.concatenate([memory, rng.uniform(-limit, limit, (*shape[:-1], width))], axis=-1)


class ELSTM(zoo.Cell):
    """eLSTM: an LSTM whose recurrent weights are within each unit, made for exact online learning.

    Each memory cell hears the input and itself, so that its sensitivities to the weights stay few enough for
    real-time recurrent learning; only the output gate sees all cells, the new ones, and nothing of it recurs.
    Forget and input gate are coupled. The weights stand in the order forget f, candidate z, output o.

    Equations::

        f, z, o = x Wx + b
        uf, uz = u
        f  = sigmoid(f + forget_bias + uf * c)
        c' = f * c + (1 - f) * tanh(z + uz * c)
        y  = sigmoid(o + c' Wc) * c'

    Parameters: ``Wx (I, 3H)`` and ``b (3H,)``, of f and z normal with standard deviation 0.1, of o uniform
    within ``1 / sqrt(H)`` of zero; ``u (2, H)`` of f, z normal with standard deviation 0.1; ``Wc (H, H)``
    uniform within ``1 / sqrt(H)`` of zero. State: ``c (H,)``. The output ``y``, of size H, is not fed back.

    Equations and initialization are those of the official code (https://github.com/IDSIA/rtrl-elstm,
    ``QuasiLSTMlayer`` in reinforcement_learning/torchbeast/layer.py). zoo trains by back-propagation through
    time, which gives the gradient that real-time recurrent learning gives for a whole sequence.
    """

    family = "lstm"
    card = zoo.Card(
        title="Exploring the Promise and Limits of Real-Time Recurrent Learning",
        authors="Kazuki Irie, Anand Gopalakrishnan, Jürgen Schmidhuber",
        year=2023,
        url="https://arxiv.org/abs/2305.19044",
        variant="eLSTM with its output gate, which sees x and the new cells.",
        deviations="The official code starts the output gate's bias and weights of x and c uniform within "
        "1 / sqrt(I + H), as one linear layer, and puts the forget bias into b at the start; here it is "
        "added as the cell runs. Its layer for the diagnostic tasks has no output gate. The paper writes no "
        "biases; its code has them.",
        related={
            "indy_lstm": "has recurrent weights within units, too, which read the output.",
            "cifg_lstm": "has the same coupled gates with full recurrent matrices.",
        },
    )
    Wx = zoo.Param("I", "3H", init=mixed, help="input to f, z, o")
    b = zoo.Param("3H", init=mixed, help="bias of f, z, o")
    u = zoo.Param(2, "H", init=normal, help="each cell to its own f, z")
    Wc = zoo.Param("H", "H", init="fan_in_uniform", help="new cells to output gate")
    c = zoo.State("H", help="memory cells")
    forget_bias = zoo.Option(0.0, help="added to the forget gate; above zero a new cell remembers")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", output_gate="sigmoid_o", candidate="tanh_z")

    def step(self, x: Array, c: Array) -> zoo.Output:
        f, z, o = zoo.split(x @ self.Wx + self.b, 3)
        f = zoo.sigmoid(f + self.forget_bias + self.u[0] * c)
        c = f * c + (1 - f) * zoo.tanh(z + self.u[1] * c)
        return zoo.Output(zoo.sigmoid(o + c @ self.Wc) * c, c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the eLSTM."""
    register(ELSTM)
