"""The long short-term memory of 1997, which cannot forget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class LSTMOriginal(zoo.Cell):
    """Original LSTM of 1997: a memory cell with an input gate and an output gate, and no forget gate.

    There is no forget gate: each memory cell feeds itself with weight one, so that an error flows back
    through it unchanged for any number of steps. What is stored only goes if its opposite is written; carried
    along a text without end the memory may grow until what it shows is always one or minus one, so that it
    learns text late. The gates stand in the order input i, candidate g, output o.

    Equations::

        i, g, o = x Wx + h Wh + b
        c' = c + sigmoid(i) * 2 tanh(g / 2)
        h' = sigmoid(o) * tanh(c' / 2)

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 3H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (3H,)`` zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    The halves and the two are the paper's squashing functions, logistic functions scaled to between -2 and 2
    for what is written, ``4 sigmoid(g) - 2``, and to between -1 and 1 for what is shown,
    ``2 sigmoid(c') - 1``. With weights of the candidate twice as large and a memory twice as large it is what
    others call LSTM without forget gate, with plain tanh in both places. The initialization is that of the
    ``lstm``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Long Short-Term Memory",
        authors="Sepp Hochreiter, Jürgen Schmidhuber",
        year=1997,
        url="https://doi.org/10.1162/neco.1997.9.8.1735",
        variant="Input and output gate, no forget gate, blocks of one memory cell, squashing functions "
        "scaled to (-2, 2) and (-1, 1); every gate sees x and h, and has a bias.",
        deviations="The paper truncates the gradient where it would leave a memory cell through the gates; "
        "here the gradient is full. The initialization is that of the lstm.",
        related={
            "lstm": "adds the forget gate, and squashes by tanh.",
        },
    )
    Wx = zoo.Param("I", "3H", init=uniform_per_gate(3), help="input to gates i, g, o")
    Wh = zoo.Param("H", "3H", init=uniform_per_gate(3), help="hidden to gates i, g, o")
    b = zoo.Param("3H", help="bias of gates i, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    gates = zoo.Gates(input_gate="sigmoid_i", output_gate="sigmoid_o", candidate="tanh_g")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 3)
        c = c + zoo.sigmoid(i) * 2 * zoo.tanh(g / 2)
        return zoo.sigmoid(o) * zoo.tanh(c / 2), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM of 1997."""
    register(LSTMOriginal)
