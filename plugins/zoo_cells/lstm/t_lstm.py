"""The strongly typed LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class TLSTM(zoo.Cell):
    """Strongly typed LSTM: a gated average of projected inputs, whose gates read this input and the last.

    Memory and output are never multiplied by a matrix. The input of the step before takes the place that the
    output has in an LSTM. The parts of the products stand in the order content z, forget f, output o.

    Equations, where ``past`` is the input of the step before::

        z, f, o = x Wx + past Wp + b
        f = sigmoid(f)
        c' = f * c + (1 - f) * z
        y  = c' * tanh(o)
        past' = x

    Parameters: ``Wx (I, 3H)`` and ``Wp (I, 3H)`` Glorot uniform, ``b (3H,)`` zero. States: ``c (H,)`` and
    ``past (I,)``, zero before the sequence. The output ``y``, the paper's h, is of size H and no state: no
    later step reads it.

    There is no official code; torchrecurrent's ``TLSTMCell`` has the same equations, but for a second bias.
    The initialization is that of zoo's ``t_gru``.
    """

    name = "t_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Strongly-Typed Recurrent Neural Networks",
        authors="David Balduzzi, Muhammad Ghifary",
        year=2016,
        url="https://arxiv.org/abs/1602.02218",
        variant="T-LSTM, with tanh as the activation of the output gate.",
        related={
            "t_rnn": "has no output gate.",
            "t_gru": "sums where this cell averages.",
            "qrnn": "squashes the candidate, and may see more inputs.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to content z, forget f, output o")
    Wp = zoo.Param("I", "3H", init="glorot_uniform", help="input of the step before to z, f, o")
    b = zoo.Param("3H", help="bias of z, f, o")
    c = zoo.State("H", help="memory cells")
    past = zoo.State("I", help="input of the step before")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="z")

    def step(self, x: Array, c: Array, past: Array) -> zoo.Output:
        z, f, o = zoo.split(x @ self.Wx + past @ self.Wp + self.b, 3)
        f = zoo.sigmoid(f)
        c = f * c + (1 - f) * z
        return zoo.Output(c * zoo.tanh(o), c, x)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the strongly typed LSTM."""
    register(TLSTM)
