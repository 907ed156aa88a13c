"""The strongly typed RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class TRNN(zoo.Cell):
    """Strongly typed RNN: a gated average of projected inputs, whose gate reads the input alone.

    States are never multiplied by a matrix, and so every unit means the same at all times; no recurrent
    weights can make gradients explode. The parts of the product stand in the order content z, forget f.

    Equations::

        z, xf = x Wx
        f = sigmoid(xf + b)
        h' = f * h + (1 - f) * z

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``b (H,)`` zero, for f. State and output: ``h (H,)``.

    There is no official code; torchrecurrent's ``TRNNCell`` has the same equations but for a bias more. The
    start is that of zoo's other gated cells.
    """

    name = "t_rnn"
    family = "gated"
    card = zoo.Card(
        title="Strongly-Typed Recurrent Neural Networks",
        authors="David Balduzzi, Muhammad Ghifary",
        year=2016,
        url="https://arxiv.org/abs/1602.02218",
        variant="T-RNN.",
        deviations="The content z has no bias, as in the paper; torchrecurrent gives it one.",
        related={
            "t_gru": "adds an output gate, and gates that see two inputs.",
            "t_lstm": "adds an output gate, and gates that see two inputs.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to content z, forget f")
    b = zoo.Param("H", help="bias of f")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="z")

    def step(self, x: Array, h: Array) -> Array:
        z, xf = zoo.split(x @ self.Wx, 2)
        f = zoo.sigmoid(xf + self.b)
        return f * h + (1 - f) * z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the strongly typed RNN."""
    register(TRNN)
