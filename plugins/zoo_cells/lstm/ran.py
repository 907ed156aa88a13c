"""The recurrent additive network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class RAN(zoo.Cell):
    """Recurrent additive network: a memory that is a gated sum of projected inputs.

    What is written is linear in the input and hears no hidden unit; only the weights of the sum, two gates,
    depend on the past. The content has no bias. The weights stand in the order input gate i, forget gate f,
    content g.

    Equations::

        xi, xf, g = x Wx
        hi, hf = h Wh + b
        c' = sigmoid(xi + hi) * g + sigmoid(xf + hf) * c
        h' = tanh(c')                     or c' itself, where activation is identity

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 2H)`` Glorot uniform, ``b (2H,)``, for the gates alone, zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    Equations are those of the official code (https://github.com/kentonl/ran), where the content comes from a
    matrix of its own. It leaves the start to TensorFlow, whose default is Glorot's, and which draws the
    gates' weights of x and h as one matrix.
    """

    family = "lstm"
    card = zoo.Card(
        title="Recurrent Additive Networks",
        authors="Kenton Lee, Omer Levy, Luke Zettlemoyer",
        year=2017,
        url="https://arxiv.org/abs/1705.07393",
        variant="With a content layer W x, gates on h, and tanh on the output (activation=identity leaves "
        "it out).",
        deviations="No projection of the output, an option of the official code.",
        related={
            "lstm": "the candidate reads the state, too, and there is an output gate.",
            "cfn": "squashes candidate and state.",
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
