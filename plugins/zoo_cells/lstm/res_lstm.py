"""Residual long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells._initializers import uniform_gates

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within 0.1 of zero, as for the peepholes of ``peephole_lstm``."""
    return rng.uniform(-0.1, 0.1, shape)


class ResLSTM(zoo.Cell):
    """Residual LSTM: a shortcut from the input to the output, for stacks of many layers.

    A shortcut adds the input of the layer to the projected memory, and the output gate scales the sum. The
    gates have peepholes: the input gate and the forget gate read their own cell before the step, and the
    output gate reads it after the step. The order of the gates in the weights is input i, forget f, candidate
    g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        pi, pf, po = p
        c' = sigmoid(f + forget_bias + pf * c) * c + sigmoid(i + pi * c) * tanh(g)
        h' = sigmoid(o + po * c') * (tanh(c') Wp + x Wr)

    Parameters: ``Wx (I, 4H)``, ``Wh (H, 4H)`` and ``Wp (H, H)`` uniform within ``1 / sqrt(H)`` of zero,
    ``Wr (I, H)`` uniform within ``1 / sqrt(I)`` of zero, ``b (4H,)`` zero, peepholes ``p (3, H)`` of gates i,
    f, o uniform within 0.1 of zero. States: ``h (H,)``, which is the output, and ``c (H,)``.

    There is no official code. The equations are from the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/142 quotes them. The initial values are
    the same as for ``peephole_lstm``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Residual LSTM: Design of a Deep Recurrent Architecture for Distant Speech Recognition",
        authors="Jaeyoung Kim, Mostafa El-Khamy, Jungwon Lee",
        year=2017,
        url="https://arxiv.org/abs/1701.03360",
        variant="The shortcut is added after the projection and scaled by the output gate. The gates have "
        "peepholes.",
        deviations="The projection has as many units as there are memory cells, so that h and c have one "
        "size. The shortcut is a trained matrix for any I and H. The initial values are the same as for "
        "peephole_lstm.",
        history="Kim, El-Khamy and Lee designed this cell in 2017 for deep acoustic models. It separates the "
        "shortcut between layers from the shortcut through time, and reuses the output gate and the "
        "projection in place of the extra gates of a highway LSTM. On distant speech their networks of ten "
        "layers had a lower error rate than those of three layers, while plain and highway LSTMs got worse "
        "with depth.",
        when_to_use="Use it in stacks of many layers. In a single layer it learns text faster than the lstm "
        "in our short run, with five blocks of weights where the lstm has four. The output is not bounded, "
        "because the shortcut is linear. Do not combine it with the modifier ``residual``, which adds a "
        "second shortcut.",
        related={
            "lstm": "has no projection, no shortcut and no peepholes.",
            "peephole_lstm": "has no projection and no shortcut.",
            "lstm_projected": "has a projection and no shortcut.",
            "intersection_rnn": "blends the output with the input by a gate.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=uniform_gates, help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    p = zoo.Param(3, "H", init=uniform, help="peepholes of gates i, f, o")
    Wp = zoo.Param("H", "H", init="fan_in_uniform", help="projection of the memory")
    Wr = zoo.Param("I", "H", init="fan_in_uniform", help="shortcut from the input")
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
        return zoo.sigmoid(o + po * c) * (zoo.tanh(c) @ self.Wp + x @ self.Wr), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the residual LSTM."""
    register(ResLSTM)
