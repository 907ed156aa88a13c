"""The skip LSTM, which decides whether to update its state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def joint_glorot(rng: np.random.Generator, shape: Shape) -> Array:
    """Glorot uniform, for the first I rows of a matrix ``(I + H, 4H)``."""
    limit = math.sqrt(6 / (shape[0] + shape[1] / 4 + shape[1]))
    return rng.uniform(-limit, limit, shape)


class SkipLSTM(zoo.Cell):
    """Skip LSTM: an LSTM that copies its state at some steps, and decides itself at which.

    After an update, the memory cells determine a probability u. It is added at every step, and as soon as the
    sum rounds to one, the cell updates again. All units of a sequence are updated or copied together. The
    gradient of the rounding is the identity (straight-through estimator).

    Equations, where the state n holds one minus the probability, and heaviside is one from zero on::

        i, g, f, o = x Wx + h Wh + b
        e  = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        v  = a + min(1 - n, 1 - a)
        k  = heaviside(v - 0.5)
        c' = k * e + (1 - k) * c
        h' = k * (sigmoid(o) * tanh(e)) + (1 - k) * h
        n' = k * (1 - sigmoid(e Wu + bu)) + (1 - k) * n
        a' = (1 - k) * v

    The parameters ``Wx (I, 4H)`` and ``Wh (H, 4H)`` start Glorot uniform as parts of one matrix with I + H
    rows, and ``b (4H,)`` starts at zero. ``Wu (H, 1)`` starts Glorot uniform and ``bu (1,)`` at one. The
    states are ``h (H,)``, which is the output, ``c (H,)``, ``n (1,)`` and ``a (1,)``, the sum since the last
    update.

    This is ``SkipLSTMCell`` of https://github.com/imatge-upc/skiprnn-2017-telecombcn (MIT), the code of the
    paper. A sum of exactly 0.5 updates here, and copies there.
    """

    name = "skip_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Skip RNN: Learning to Skip State Updates in Recurrent Neural Networks",
        authors="Víctor Campos, Brendan Jou, Xavier Giró-i-Nieto, Jordi Torres, Shih-Fu Chang",
        year=2018,
        url="https://arxiv.org/abs/1708.06834",
        variant="The cell is an LSTM, without layer norm.",
        deviations="The official code trains the first states, and holds Wx and Wh in one matrix. Here Wh "
        "is drawn without knowing I, as if I were zero. The penalty for each update, with which the paper "
        "saves updates, is not part of the cell.",
        history="Campos, Jou, Giró-i-Nieto, Torres and Chang published it in 2017 and presented it at ICLR "
        "in 2018, for LSTM and GRU. They report that it needs fewer updates at the same accuracy on the "
        "adding task, digits, texts and videos.",
        when_to_use="Use it to study which steps of a sequence matter: trace k, which is one where the cell "
        "updates. On a CPU it saves no time, because zoo computes copied steps, too.",
        related={
            "lstm": "is updated at every step.",
            "phased_lstm": "has units that are updated in a rhythm.",
            "clockwork": "has groups of units with fixed periods.",
        },
    )
    Wx = zoo.Param("I", "4H", init=joint_glorot, help="input to gates i, g, f, o")
    Wh = zoo.Param("H", "4H", init="glorot_uniform", help="hidden to gates i, g, f, o")
    b = zoo.Param("4H", help="bias of gates i, g, f, o")
    Wu = zoo.Param("H", 1, init="glorot_uniform", help="memory cells to the probability of an update")
    bu = zoo.Param(1, init="ones", help="bias of the probability of an update")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    n = zoo.State(1, help="one minus the probability of an update")
    a = zoo.State(1, help="sum of probabilities since the last update")
    forget_bias = zoo.Option(1.0, help="added to the forget gate")
    gates = zoo.Gates(input_gate="k", output_gate="sigmoid_o", candidate="e")

    def step(self, x: Array, h: Array, c: Array, n: Array, a: Array) -> tuple[Array, Array, Array, Array]:
        i, g, f, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        e = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        v = a + np.minimum(1 - n, 1 - a)
        k = zoo.heaviside(v - 0.5, "straight_through")
        h = k * (zoo.sigmoid(o) * zoo.tanh(e)) + (1 - k) * h
        n = k * (1 - zoo.sigmoid(e @ self.Wu + self.bu)) + (1 - k) * n
        return h, k * e + (1 - k) * c, n, (1 - k) * v


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the skip LSTM."""
    register(SkipLSTM)
