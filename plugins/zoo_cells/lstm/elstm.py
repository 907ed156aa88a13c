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
    """eLSTM: an LSTM with recurrent weights within units only, designed for exact online learning.

    Each memory cell reads the input and itself. The gradient of a cell then depends on few weights, so that
    real-time recurrent learning is affordable. Only the output gate reads all cells, after the step, and the
    output is not fed back. Forget gate and input gate are coupled. The order in the weights is forget f,
    candidate z, output o.

    Equations::

        f, z, o = x Wx + b
        uf, uz = u
        f  = sigmoid(f + forget_bias + uf * c)
        c' = f * c + (1 - f) * tanh(z + uz * c)
        y  = sigmoid(o + c' Wc) * c'

    Parameters: ``Wx (I, 3H)`` and ``b (3H,)``, for f and z normal with standard deviation 0.1, for o uniform
    within ``1 / sqrt(H)`` of zero, ``u (2, H)`` for f, z normal with standard deviation 0.1, ``Wc (H, H)``
    uniform within ``1 / sqrt(H)`` of zero. State: ``c (H,)``. The output ``y`` has size H.

    The equations and the initial values are from the official code (https://github.com/IDSIA/rtrl-elstm,
    ``QuasiLSTMlayer`` in reinforcement_learning/torchbeast/layer.py). zoo trains by back-propagation through
    time, which gives the same gradient for a whole sequence as real-time recurrent learning.
    """

    family = "lstm"
    card = zoo.Card(
        title="Exploring the Promise and Limits of Real-Time Recurrent Learning",
        authors="Kazuki Irie, Anand Gopalakrishnan, Jürgen Schmidhuber",
        year=2023,
        url="https://arxiv.org/abs/2305.19044",
        variant="The cell has its output gate, which reads the input and the new cells.",
        deviations="In the official code the bias of the output gate and its weights of x and c start "
        "uniform within 1 / sqrt(I + H), as one linear layer, and the forget bias is part of the initial b. "
        "Here it is added in each step. The official layer for the diagnostic tasks has no output gate. The "
        "paper writes no biases, but its code has them.",
        history="Irie, Gopalakrishnan and Schmidhuber published this cell in 2023 to test real-time "
        "recurrent learning without approximation in reinforcement learning. With recurrence within units "
        "only, that algorithm is affordable for one layer. On memory tasks of DMLab they report results "
        "that match or exceed IMPALA and R2D2 with fewer frames.",
        when_to_use="Use it to compare with work on online learning, or as a small cell: it has one block "
        "of H by H weights, which is not recurrent. zoo itself trains it by back-propagation through time, "
        "so you do not get online updates. Units interact only through the output gate, and a single layer "
        "learns text a little worse than the lstm in our short run.",
        related={
            "rtu": "was made for real-time recurrent learning, too.",
            "indy_lstm": "has recurrent weights within units that read the output, and separate input and "
            "forget gates.",
            "cifg_lstm": "has the same coupled gates with full recurrent matrices.",
        },
    )
    Wx = zoo.Param("I", "3H", init=mixed, help="input to f, z, o")
    b = zoo.Param("3H", init=mixed, help="bias of f, z, o")
    u = zoo.Param(2, "H", init=normal, help="each cell to its own f, z")
    Wc = zoo.Param("H", "H", init="fan_in_uniform", help="new cells to output gate")
    c = zoo.State("H", help="memory cells")
    # Zero is the default of the official code too, so comparisons use no other value.
    forget_bias = zoo.Option(0.0, help="added to the forget gate, above zero to remember at first")
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
