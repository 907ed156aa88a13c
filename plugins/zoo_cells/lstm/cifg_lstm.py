"""Long short-term memory whose input and forget gate are one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class CIFGLSTM(zoo.Cell):
    """Coupled LSTM: the input gate is one minus the forget gate.

    The forget gate is one minus the input gate, so that the memory is an average of candidates, and stays
    between -1 and 1. The gates stand in the order input i, candidate g, output o.

    Equations::

        i, g, o = x Wx + h Wh + b
        i  = sigmoid(i - forget_bias)
        c' = (1 - i) * c + i * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 3H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (3H,)`` zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    Without peepholes, as TensorFlow's ``CoupledInputForgetGateLSTMCell`` is by default
    (https://github.com/tensorflow/tensorflow, tensorflow/contrib/rnn/python/ops/rnn_cell.py), which computes
    the forget gate where this cell computes the input gate: negate the weights of one to get the other.
    ``forget_bias`` means the same in both, added to the forget gate; TensorFlow's default is 1. The
    initialization is that of the ``lstm``.
    """

    name = "cifg_lstm"
    family = "lstm"
    card = zoo.Card(
        title="LSTM: A Search Space Odyssey",
        authors="Klaus Greff, Rupesh K. Srivastava, Jan Koutník, Bas R. Steunebrink, Jürgen Schmidhuber",
        year=2015,
        url="https://arxiv.org/abs/1503.04069",
        variant="CIFG, coupled input and forget gate f = 1 - i, without peepholes.",
        deviations="The paper changes one thing at a time, so its CIFG keeps the peepholes of its vanilla "
        "LSTM; TensorFlow's has them as an option that is off. The initialization is that of the lstm.",
        related={
            "lstm": "has an input gate of its own.",
            "janet": "has neither input nor output gate.",
        },
    )
    Wx = zoo.Param("I", "3H", init=uniform_per_gate(3), help="input to gates i, g, o")
    Wh = zoo.Param("H", "3H", init=uniform_per_gate(3), help="hidden to gates i, g, o")
    b = zoo.Param("3H", help="bias of gates i, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    # The default of the lstm, which says why.
    forget_bias = zoo.Option(0.0, help="taken from the input gate; above zero a new cell remembers")
    gates = zoo.Gates(input_gate="i", forget_gate="1 - i", output_gate="sigmoid_o", candidate="tanh_g")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 3)
        i = zoo.sigmoid(i - self.forget_bias)
        c = (1 - i) * c + i * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with coupled gates."""
    register(CIFGLSTM)
