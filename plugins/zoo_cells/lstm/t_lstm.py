"""The strongly typed LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class TLSTM(zoo.Cell):
    """Strongly typed LSTM: a gated average of projected inputs, whose gates read this input and the last.

    No matrix multiplies the memory or the output. The gates read the input of the step before where the gates
    of an LSTM read the last output. The order in the weights is content z, forget f, output o.

    Equations, where ``past`` is the input of the step before::

        z, f, o = x Wx + past Wp + b
        f = sigmoid(f)
        c' = f * c + (1 - f) * z
        y  = c' * tanh(o)
        past' = x

    Parameters: ``Wx (I, 3H)`` and ``Wp (I, 3H)`` Glorot uniform, ``b (3H,)`` zero. States: ``c (H,)`` and
    ``past (I,)``, zero before the sequence. The output ``y``, called h in the paper, has size H and is not a
    state.

    ``past`` is the input of the step before. There is no official code. torchrecurrent's ``TLSTMCell`` has
    the same equations with a second, redundant bias. The initial values are the same as for ``t_gru``.
    """

    name = "t_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Strongly-Typed Recurrent Neural Networks",
        authors="David Balduzzi, Muhammad Ghifary",
        year=2016,
        url="https://arxiv.org/abs/1602.02218",
        variant="This is the T-LSTM of the paper, with tanh as the activation of the output gate.",
        history="Balduzzi and Ghifary published the strongly typed cells in 2016. They borrow the rule of "
        "physics that quantities of different units must not be added: no matrix mixes the state with "
        "itself, so each unit keeps its meaning over time. They report lower training error than classical "
        "cells and comparable generalization. The QRNN and the SRU later used the same form for speed.",
        when_to_use="Use it if you want to interpret states: each is an average of projected inputs. The "
        "gates do not read the state, so all matrix products of a sequence can be computed at once, and the "
        "recurrence is linear in the memory. The cell cannot compute a function of its state within a layer, "
        "so stack layers.",
        related={
            "t_rnn": "has no output gate, and its gate reads one input.",
            "t_gru": "has a sum in place of the average.",
            "qrnn": "squashes the candidate, and has gates that can read more inputs.",
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
