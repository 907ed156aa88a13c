"""The update gate RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class UGRNN(zoo.Cell):
    """Update gate RNN: a vanilla RNN with an update gate.

    A highway layer through time. The candidate sees the whole state; nothing is reset. The weights stand in
    the order gate g, candidate c.

    Equations::

        g, c = x Wx + h Wh + b
        g = sigmoid(g + forget_bias)
        h' = g * h + (1 - g) * tanh(c)

    Parameters: ``Wx (I, 2H)`` and ``Wh (H, 2H)`` Glorot uniform, ``b (2H,)`` zero. State and output:
    ``h (H,)``.

    The gate near one keeps the state. Equations are those of the paper (its 2 to 4); order of the weights and
    ``forget_bias`` of 1 those of TensorFlow's ``UGRNNCell`` (``tensorflow/contrib/rnn`` of version 1). That
    draws both matrices as one of ``I + H`` rows, Glorot uniform too; the paper tunes their scale.
    """

    family = "gated"
    card = zoo.Card(
        title="Capacity and Trainability in Recurrent Neural Networks",
        authors="Jasmine Collins, Jascha Sohl-Dickstein, David Sussillo",
        year=2016,
        url="https://arxiv.org/abs/1611.09913",
        variant="UGRNN with tanh.",
        deviations="The paper takes tanh or relu, whichever trains better, and trains the first state; here "
        "it is tanh, and the first state is zero.",
        related={
            "ligru": "the same equations with a rectifier in place of tanh, and nothing added to the gate.",
            "intersection_rnn": "adds a second gate for an output that is carried from layer to layer.",
            "gru": "adds a reset gate.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to g, c")
    Wh = zoo.Param("H", "2H", init="glorot_uniform", help="hidden to g, c")
    b = zoo.Param("2H", help="bias of g, c")
    h = zoo.State("H", help="hidden units, and the output")
    forget_bias = zoo.Option(1.0, help="added to the gate; above zero a new cell carries")
    gates = zoo.Gates(input_gate="1 - g", forget_gate="g", update_gate="g", candidate="tanh_c")

    def step(self, x: Array, h: Array) -> Array:
        g, c = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 2)
        g = zoo.sigmoid(g + self.forget_bias)
        return g * h + (1 - g) * zoo.tanh(c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the update gate RNN."""
    register(UGRNN)
