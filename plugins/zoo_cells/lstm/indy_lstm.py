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

    The recurrent matrices are diagonal: each unit sees the input and its own state. What units know of each
    other has to come from the layer above. The gates stand in the order input i, forget f, candidate g,
    output o.

    Equations::

        i, f, g, o = x Wx + u * (h, h, h, h) + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 4H)`` Glorot uniform, ``u (4H,)`` uniform between -1 and 1, ``b (4H,)`` zero. States:
    ``h (H,)``, which is the output, and ``c (H,)``.

    Equations, initialization and the forget bias of 1, which is added as the cell runs, are those of
    TensorFlow's ``IndyLSTMCell`` (tensorflow/contrib/rnn/python/ops/rnn_cell.py), to which the paper belongs;
    there the gates stand in the order i, g, f, o.
    """

    family = "lstm"
    card = zoo.Card(
        title="IndyLSTMs: Independently Recurrent LSTMs",
        authors="Pedro Gonnet, Thomas Deselaers",
        year=2019,
        url="https://arxiv.org/abs/1903.08023",
        variant="LSTM with forget gate and diagonal recurrent weights, without peepholes.",
        deviations="None known in the equations.",
        related={
            "lstm": "has full recurrent matrices.",
            "indrnn": "the same kind of recurrence without gates.",
        },
    )
    Wx = zoo.Param("I", "4H", init="glorot_uniform", help="input to gates i, f, g, o")
    u = zoo.Param("4H", init=uniform, help="each hidden unit to its own gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    forget_bias = zoo.Option(1.0, help="added to the forget gate; above zero a new cell remembers")
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
