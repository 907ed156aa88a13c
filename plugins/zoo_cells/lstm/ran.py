"""The recurrent additive network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class RAN(zoo.Cell):
    """Recurrent additive network: a memory that is a gated sum of projected inputs.

    The candidate is linear in the input and reads no state. Only the weights of the sum, which are two gates,
    depend on the past. The content has no bias. The order in the weights is input gate i, forget gate f,
    content g.

    Equations::

        xi, xf, g = x Wx
        hi, hf = h Wh + b
        c' = sigmoid(xi + hi) * g + sigmoid(xf + hf) * c
        h' = tanh(c')                     or c' itself, where activation is identity

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 2H)`` Glorot uniform, ``b (2H,)``, for the gates alone, zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    The equations are from the official code (https://github.com/kentonl/ran), which has a separate matrix for
    the content. Its cell uses TensorFlow's default initial values, which are Glorot's, and draws the gates'
    weights of input and state as one matrix. Its language models draw all weights within 0.04 or 0.05 of
    zero.
    """

    family = "lstm"
    card = zoo.Card(
        title="Recurrent Additive Networks",
        authors="Kenton Lee, Omer Levy, Luke Zettlemoyer",
        year=2017,
        url="https://arxiv.org/abs/1705.07393",
        variant="The content layer is W x, the gates read the state, and tanh is applied to the output. The "
        "option activation=identity leaves out tanh.",
        deviations="The official code has an optional projection of the output, which is left out here.",
        history="Lee, Levy and Zettlemoyer published this cell in 2017 to show that the gates of an LSTM do "
        "more of the work than its nonlinear functions. Each state is a weighted sum of projected inputs, "
        "and the gates only set the weights. They report results equal to the lstm on benchmarks of language "
        "modelling.",
        when_to_use="Use it if you want to read off which inputs a state contains: the weights of the sum "
        "are products of gates. It has two blocks of recurrent weights where the lstm has four. The memory "
        "is not bounded, and the steps cannot run in parallel, since the gates read the last output.",
        related={
            "lstm": "has an output gate, and its candidate also reads the state.",
            "lstm_original": "has no forget gate, and its candidate reads the state.",
            "cfn": "squashes candidate and state.",
            "sgrn": "weights input and state by one gate, and squashes the sum.",
            "atr": "has two gates that share their weights with the content.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates i, f and content g")
    Wh = zoo.Param("H", "2H", init="glorot_uniform", help="hidden to gates i, f")
    b = zoo.Param("2H", help="bias of gates i, f")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells, a weighted sum of contents")
    activation = zoo.Option("tanh", choices=("tanh", "identity"), help="from memory to hidden units")
    gates = zoo.Gates(input_gate="sigmoid_xi", forget_gate="sigmoid_xf", candidate="g")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        xi, xf, g = zoo.split(x @ self.Wx, 3)
        hi, hf = zoo.split(h @ self.Wh + self.b, 2)
        c = zoo.sigmoid(xi + hi) * g + zoo.sigmoid(xf + hf) * c
        return zoo.tanh(c) if self.activation == "tanh" else c, c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the RAN."""
    register(RAN)
