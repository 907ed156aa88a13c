"""Long short-term memory whose gates read the memory cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells._initializers import uniform_gates

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within 0.1 of zero, the initial weights of Gers et al. 2002."""
    return rng.uniform(-0.1, 0.1, shape)


class PeepholeLSTM(zoo.Cell):
    """LSTM whose gates also read the memory cell of their unit.

    A peephole connects a gate with its own cell only. The input gate and the forget gate read the cell before
    the step, and the output gate reads the cell after it. The order of the gates in the weights is input i,
    forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        pi, pf, po = p
        c' = sigmoid(f + forget_bias + pf * c) * c + sigmoid(i + pi * c) * tanh(g)
        h' = sigmoid(o + po * c') * tanh(c')

    Parameters: ``Wx (I, 4H)`` and ``Wh (H, 4H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (4H,)`` zero,
    peepholes ``p (3, H)`` of gates i, f, o uniform within 0.1 of zero. States: ``h (H,)``, which is the
    output, and ``c (H,)``.

    The equations are the same in TensorFlow's ``LSTMCell(use_peepholes=True)``, which has Glorot uniform
    weights and a ``forget_bias`` of 1. The peepholes start as in the paper.
    """

    family = "lstm"
    card = zoo.Card(
        title="Learning Precise Timing with LSTM Recurrent Networks",
        authors="Felix A. Gers, Nicol N. Schraudolph, Jürgen Schmidhuber",
        year=2002,
        url="https://www.jmlr.org/papers/v3/gers02a.html",
        variant="All three gates have peepholes, and the output gate reads the new memory cell. Gradients "
        "are computed by full back-propagation through time.",
        deviations="Gers et al. squash neither candidate nor cell, start the forget gate at a bias of -2 and "
        "truncate the gradient at the gates. Here candidate and cell pass through tanh, the forget gate "
        "starts at a bias of 0, and the gradient is the full one, as in the cell lstm.",
        history="Gers and Schmidhuber added peepholes in 2000 so that an LSTM can measure time intervals. "
        "With Schraudolph they showed in 2002 that it learns to distinguish spikes that are 50 steps apart "
        "from spikes that are 49 steps apart. Greff et al. found in 2015 that an LSTM without them is "
        "equally good on speech, handwriting and music. Today's libraries leave them out.",
        when_to_use="Try it on tasks that depend on exact time intervals, such as rhythm, or where you "
        "reproduce older results. It adds only three vectors of weights to an lstm and has the same state. "
        "In our short run on text it is no better than the lstm.",
        also=(
            zoo.Card(
                title="Recurrent Nets that Time and Count",
                authors="Felix A. Gers, Jürgen Schmidhuber",
                year=2000,
                url="https://doi.org/10.1109/IJCNN.2000.861302",
            ),
        ),
        related={
            "para_lstm": "has diagonal recurrent weights and coupled gates.",
            "lstm": "has gates that do not read the memory cells.",
            "wmc_lstm": "has gates that read all memory cells, through a matrix and tanh.",
            "res_lstm": "adds a projection, and a shortcut from the input to the output.",
            "phased_lstm": "adds a gate that opens each unit in a rhythm.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=uniform_gates, help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    p = zoo.Param(3, "H", init=uniform, help="peepholes of gates i, f, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    # As in lstm.py, which gives the reasons.
    forget_bias = zoo.Option(
        0.0, help="added to the forget gate, above zero to remember at first", customary=1.0
    )
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        pi, pf, po = self.p[0], self.p[1], self.p[2]
        c = zoo.sigmoid(f + self.forget_bias + pf * c) * c + zoo.sigmoid(i + pi * c) * zoo.tanh(g)
        return zoo.sigmoid(o + po * c) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with peepholes."""
    register(PeepholeLSTM)
