"""The independently recurrent long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform between -1 and 1."""
    return rng.uniform(-1, 1, shape)


class IndyLSTM(zoo.Cell):
    """IndyLSTM: an LSTM with one recurrent weight for each gate of a unit in place of full matrices.

    The recurrent matrices are diagonal: each unit reads the input and its own last output. Units exchange
    information only in the next layer. The order of the gates in the weights is input i, forget f, candidate
    g, output o.

    Equations::

        i, f, g, o = x Wx + u * (h, h, h, h) + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 4H)`` Glorot uniform, ``u (4H,)`` uniform between -1 and 1, ``b (4H,)`` zero. States:
    ``h (H,)``, which is the output, and ``c (H,)``.

    The equations, the initial values and the forget bias of 1, which is added in each step, are from
    TensorFlow's ``IndyLSTMCell`` (tensorflow/contrib/rnn/python/ops/rnn_cell.py), the code of the paper.
    There the order of the gates is i, g, f, o.
    """

    family = "lstm"
    card = zoo.Card(
        title="IndyLSTMs: Independently Recurrent LSTMs",
        authors="Pedro Gonnet, Thomas Deselaers",
        year=2019,
        url="https://arxiv.org/abs/1903.08023",
        variant="This is the LSTM with a forget gate and diagonal recurrent weights, without peepholes.",
        deviations="No differences from the equations are known.",
        history="Gonnet and Deselaers of Google published this cell in 2019 for the recognition of "
        "handwriting on devices. It carries the idea of the IndRNN of 2018 over to the LSTM. They report "
        "better accuracy than with the lstm for the same number of parameters, and less overfitting.",
        when_to_use="Use it in stacks of two or more layers, and where memory is scarce: the recurrent "
        "weights grow linearly with H. A single layer cannot combine the states of two units, so in our "
        "short run with one layer it learns text worse than the lstm. You can get the same recurrence for "
        "other cells from the modifier ``diagonal``.",
        related={
            "para_lstm": "has coupled gates and peepholes.",
            "lstm": "has full recurrent matrices.",
            "elstm": "has recurrent weights that read the memory, and coupled forget and input gates.",
            "indrnn": "has the same kind of recurrence without gates.",
            "brc": "also has recurrent weights within units only, and no memory cell.",
        },
    )
    Wx = zoo.Param("I", "4H", init="glorot_uniform", help="input to gates i, f, g, o")
    u = zoo.Param("4H", init=uniform, help="each hidden unit to its own gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    forget_bias = zoo.Option(1.0, help="added to the forget gate, above zero to remember at first")
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + self.u * np.tile(h, 4) + self.b, 4)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the IndyLSTM."""
    register(IndyLSTM)
