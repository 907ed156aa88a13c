"""The long short-term memory of 1997, without a forget gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class LSTMOriginal(zoo.Cell):
    """Original LSTM of 1997: a memory cell with an input gate and an output gate, and no forget gate.

    Each memory cell feeds itself with weight one, so that an error flows back through it unchanged for any
    number of steps. A stored value only disappears if its opposite is written. The order of the gates in the
    weights is input i, candidate g, output o.

    Equations::

        i, g, o = x Wx + h Wh + b
        c' = c + sigmoid(i) * 2 tanh(g / 2)
        h' = sigmoid(o) * tanh(c' / 2)

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 3H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (3H,)`` zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    The halves and the two come from the paper's squashing functions, which are scaled logistic functions:
    ``4 sigmoid(g) - 2`` for the candidate, between -2 and 2, and ``2 sigmoid(c') - 1`` for the output,
    between -1 and 1. With candidate weights and a memory twice as large, this is the LSTM without forget gate
    that other programs compute with plain tanh in both places. The initial values are the same as for
    ``lstm``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Long Short-Term Memory",
        authors="Sepp Hochreiter, Jürgen Schmidhuber",
        year=1997,
        url="https://doi.org/10.1162/neco.1997.9.8.1735",
        variant="This is the LSTM with an input gate and an output gate, without forget gate, in blocks of "
        "one memory cell. The squashing functions are scaled to (-2, 2) and (-1, 1). All gates read the "
        "input and the last output, and have a bias.",
        deviations="The paper truncates the gradient where it would leave a memory cell through the gates. "
        "Here the gradient is full. The initial values are the same as for lstm.",
        history="Hochreiter and Schmidhuber introduced this cell in 1997 to stop gradients from vanishing "
        "over long time lags. Gers et al. showed in 2000 that its memory may grow without bound when a "
        "stream of input is not cut into sequences, and added the forget gate of today's lstm.",
        when_to_use="Use it to reproduce the experiments of 1997, or to measure the effect of the forget "
        "gate. It suits short sequences that start from a zero state. In a text without end the memory may "
        "grow until the output is saturated at one or minus one, so that learning is slow. It has three "
        "blocks of weights where the lstm has four.",
        related={
            "lstm": "adds the forget gate, and squashes by tanh.",
            "ran": "has a forget gate and no output gate, and its candidate reads no state.",
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
