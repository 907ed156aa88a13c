"""Long short-term memory with a forget gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_gates

Array = Any


class LSTM(zoo.Cell):
    """Long short-term memory: three gates control what a memory cell stores, keeps and shows.

    The LSTM of today's libraries: forget gate, no peepholes, one bias per gate. The gates stand in the order
    input i, forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 4H)`` and ``Wh (H, 4H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (4H,)`` zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    The forget gate is that of Gers et al. 2000; the memory cell itself is older (S. Hochreiter &
    J. Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735). Equations and order of the gates are
    those of PyTorch's ``nn.LSTM``, which has two biases where one does; ``forget_bias`` is added as the cell
    runs, and not kept in ``b``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Learning to Forget: Continual Prediction with LSTM",
        authors="Felix A. Gers, Jürgen Schmidhuber, Fred Cummins",
        year=2000,
        url="https://doi.org/10.1162/089976600300015015",
        variant="Forget gate, no peepholes; every gate sees x and h; full back-propagation through time.",
        deviations="Gers et al. squash by scaled logistic functions and truncate the gradient at the gates; "
        "tanh and the full gradient are what the name stands for today.",
        also=(
            zoo.Card(
                title="Long Short-Term Memory",
                authors="Sepp Hochreiter, Jürgen Schmidhuber",
                year=1997,
                url="https://doi.org/10.1162/neco.1997.9.8.1735",
            ),
        ),
        related={
            "lstm_original": "has no forget gate.",
            "peephole_lstm": "the gates also see the memory cells.",
            "cifg_lstm": "the input gate is one minus the forget gate.",
            "lstm_projected": "the output is projected to fewer units.",
            "layer_norm_lstm": "normalises the products and the memory.",
            "janet": "has the forget gate alone.",
            "slstm": "has an exponential input gate and a normaliser.",
            "gru": "has no memory besides the state.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=uniform_gates, help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    # One, which many add, learns text more slowly: 1.740 nats where zero reaches 1.613, on the last tenth of
    # tiny-shakespeare after 3,000 steps at H=256 (one seed). What must be kept for long wants it.
    forget_bias = zoo.Option(0.0, help="added to the forget gate; above zero a new cell remembers")
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        """One step of one row."""
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM."""
    register(LSTM)
