"""Long short-term memory with coupled input and forget gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class CIFGLSTM(zoo.Cell):
    """Coupled LSTM: the forget gate is one minus the input gate.

    The memory is a weighted average of candidates, so it stays between -1 and 1. The order of the gates in
    the weights is input i, candidate g, output o.

    Equations::

        i, g, o = x Wx + h Wh + b
        i  = sigmoid(i - forget_bias)
        c' = (1 - i) * c + i * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 3H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (3H,)`` zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    The cell has no peepholes, which is the default of TensorFlow's ``CoupledInputForgetGateLSTMCell``
    (https://github.com/tensorflow/tensorflow, tensorflow/contrib/rnn/python/ops/rnn_cell.py). TensorFlow
    computes the forget gate where this cell computes the input gate, so negate the weights of one to get the
    other. ``forget_bias`` means the same in both. TensorFlow's default is 1. The initial values are the same
    as for ``lstm``, and Glorot uniform in TensorFlow.
    """

    name = "cifg_lstm"
    family = "lstm"
    card = zoo.Card(
        title="LSTM: A Search Space Odyssey",
        authors="Klaus Greff, Rupesh K. Srivastava, Jan Koutník, Bas R. Steunebrink, Jürgen Schmidhuber",
        year=2015,
        url="https://arxiv.org/abs/1503.04069",
        variant="This is CIFG of the paper, the LSTM with a coupled input and forget gate, f = 1 - i, "
        "without peepholes.",
        deviations="The paper changes one part at a time, so its CIFG keeps the peepholes of its vanilla "
        "LSTM. In TensorFlow they are an option that is off. The initial values are the same as for lstm.",
        history="Greff et al. tested coupled gates in 2015 as one of eight variants of the LSTM. Coupling "
        "removed a quarter of the weights without a significant loss of performance. The GRU of 2014 couples "
        "its gates in the same way.",
        when_to_use="Use it in place of an lstm if you want fewer parameters: it has three blocks of weights "
        "where the lstm has four, and the same state. It cannot keep the whole memory and add to it in the "
        "same step, so it cannot count as an lstm can. In our short run on text it is better than the lstm.",
        related={
            "para_lstm": "has diagonal recurrent weights and peepholes.",
            "lstm": "has a separate input gate.",
            "janet": "has neither input gate nor output gate.",
            "elstm": "has recurrent weights within units only.",
            "gru": "has a reset gate in place of the output gate, and one state vector.",
        },
    )
    Wx = zoo.Param("I", "3H", init=uniform_per_gate(3), help="input to gates i, g, o")
    Wh = zoo.Param("H", "3H", init=uniform_per_gate(3), help="hidden to gates i, g, o")
    b = zoo.Param("3H", help="bias of gates i, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    # As in lstm.py, which gives the reasons.
    forget_bias = zoo.Option(
        0.0, help="subtracted from the input gate, above zero to remember at first", customary=1.0
    )
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
