"""The strongly typed GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class TGRU(zoo.Cell):
    """Strongly typed GRU: a gated sum of projected inputs, whose gates read this input and the last.

    No matrix multiplies the state. The gates read the input of the step before where the gates of a GRU read
    the state. The order in the weights is content z, forget f, output o.

    Equations, where ``past`` is the input of the step before::

        z, f, o = x Wx + past Wp + b
        h' = sigmoid(f) * h + z * tanh(o)
        past' = x

    Parameters: ``Wx (I, 3H)`` and ``Wp (I, 3H)`` Glorot uniform, ``b (3H,)`` zero. States: ``h (H,)``, which
    is the output, and ``past (I,)``, zero before the sequence.

    ``past`` is the input of the step before. There is no official code. torchrecurrent's ``TGRUCell`` has the
    same equations with a second, redundant bias. The initial values are the same as in zoo's other gated
    cells.
    """

    name = "t_gru"
    family = "gated"
    card = zoo.Card(
        title="Strongly-Typed Recurrent Neural Networks",
        authors="David Balduzzi, Muhammad Ghifary",
        year=2016,
        url="https://arxiv.org/abs/1602.02218",
        variant="This is the T-GRU of the paper, with tanh as the activation of the output gate.",
        history="Balduzzi and Ghifary published the strongly typed cells in 2016. They borrow the rule of "
        "physics that quantities of different units must not be added, so no matrix mixes the state with "
        "itself. They report lower training error than classical cells and comparable generalization. The "
        "T-GRU is their counterpart of the GRU.",
        when_to_use="Use it if you want states that are sums of projected inputs. The gates do not read the "
        "state, so all matrix products of a sequence can be computed at once, and the recurrence is linear "
        "in the state. The state is not bounded. With a wide dense input the six blocks of input weights are "
        "expensive, since each is I by H.",
        related={
            "t_rnn": "has one gate, which reads one input.",
            "t_lstm": "has an average in place of a sum, and scales the output in place of the candidate.",
            "gru": "has gates that read the state in place of the last input.",
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
