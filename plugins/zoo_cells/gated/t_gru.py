"""The strongly typed GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class TGRU(zoo.Cell):
    """Strongly typed GRU: a gated sum of projected inputs, whose gates read this input and the last.

    States are never multiplied by a matrix. The input of the step before takes the place that they have in a
    GRU. The parts of the products stand in the order content z, forget f, output o.

    Equations, where ``past`` is the input of the step before::

        z, f, o = x Wx + past Wp + b
        h' = sigmoid(f) * h + z * tanh(o)
        past' = x

    Parameters: ``Wx (I, 3H)`` and ``Wp (I, 3H)`` Glorot uniform, ``b (3H,)`` zero. States: ``h (H,)``, which
    is the output, and ``past (I,)``, zero before the sequence.

    There is no official code; torchrecurrent's ``TGRUCell`` has the same equations, but for a second bias.
    The initialization is that of zoo's other gated cells.
    """

    name = "t_gru"
    family = "gated"
    card = zoo.Card(
        title="Strongly-Typed Recurrent Neural Networks",
        authors="David Balduzzi, Muhammad Ghifary",
        year=2016,
        url="https://arxiv.org/abs/1602.02218",
        variant="T-GRU, with tanh as the activation of the output gate.",
        related={
            "t_rnn": "has one gate, which sees one input.",
            "t_lstm": "averages where this cell sums, and gates the output rather than the input.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to content z, forget f, output o")
    Wp = zoo.Param("I", "3H", init="glorot_uniform", help="input of the step before to z, f, o")
    b = zoo.Param("3H", help="bias of z, f, o")
    h = zoo.State("H", help="hidden units, and the output")
    past = zoo.State("I", help="input of the step before")
    gates = zoo.Gates(forget_gate="sigmoid_f", candidate="z")

    def step(self, x: Array, h: Array, past: Array) -> tuple[Array, Array]:
        z, f, o = zoo.split(x @ self.Wx + past @ self.Wp + self.b, 3)
        return zoo.sigmoid(f) * h + z * zoo.tanh(o), x


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the strongly typed GRU."""
    register(TGRU)
