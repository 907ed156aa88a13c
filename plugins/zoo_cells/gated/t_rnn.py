"""The strongly typed RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class TRNN(zoo.Cell):
    """Strongly typed RNN: a gated average of projected inputs, whose gate reads the input alone.

    No matrix multiplies the state, so every unit has the same meaning at all times, and no recurrent weights
    can make gradients explode. The order in the weights is content z, forget f.

    Equations::

        z, xf = x Wx
        f = sigmoid(xf + b)
        h' = f * h + (1 - f) * z

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``b (H,)`` zero, for f. State and output: ``h (H,)``.

    There is no official code. torchrecurrent's ``TRNNCell`` has the same equations with one more bias. The
    initial values are the same as in zoo's other gated cells.
    """

    name = "t_rnn"
    family = "gated"
    card = zoo.Card(
        title="Strongly-Typed Recurrent Neural Networks",
        authors="David Balduzzi, Muhammad Ghifary",
        year=2016,
        url="https://arxiv.org/abs/1602.02218",
        variant="This is the T-RNN of the paper.",
        deviations="The content z has no bias, as in the paper. torchrecurrent's content has one.",
        history="Balduzzi and Ghifary published the strongly typed cells in 2016. They borrow the rule of "
        "physics that quantities of different units must not be added, so no matrix mixes the state with "
        "itself. This is the simplest of the three. The SRU of 2017, the QRNN and the minGRU of 2024 have "
        "the same gated average at their core.",
        when_to_use="Use it as the simplest gated cell: it has no recurrent weights, and is linear in its "
        "state, so the steps could run in parallel. It is the smallest gated cell here. A single layer only "
        "averages inputs, and in our short run on text it is clearly worse than the gru. Stack layers, or "
        "take min_gru or sru.",
        related={
            "t_gru": "adds an output gate, and has gates that read two inputs.",
            "t_lstm": "adds an output gate, and has gates that read two inputs.",
            "min_gru": "has the same equations, with a bias in the content and 1 - f as its gate.",
            "qrnn": "squashes the content, has an output gate, and can read more inputs.",
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
