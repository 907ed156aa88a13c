"""Residual long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.lstm._initializers import uniform_gates

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within 0.1 of zero, as the peepholes of the ``peephole_lstm``."""
    return rng.uniform(-0.1, 0.1, shape)


class ResLSTM(zoo.Cell):
    """Residual LSTM: a shortcut from the input to the output, for stacks of many layers.

    A shortcut adds the layer's input to what the memory shows, and the output gate guards both. Gates have
    peepholes: input and forget gate see their own cell before the step, the output gate after it. The gates
    stand in the order input i, forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        pi, pf, po = p
        c' = sigmoid(f + pf * c) * c + sigmoid(i + pi * c) * tanh(g)
        h' = sigmoid(o + po * c') * (tanh(c') Wp + x Wr)

    Parameters: ``Wx (I, 4H)``, ``Wh (H, 4H)`` and ``Wp (H, H)`` uniform within ``1 / sqrt(H)`` of zero,
    ``Wr (I, H)`` within ``1 / sqrt(I)``, ``b (4H,)`` zero, peepholes ``p (3, H)`` of i, f, o uniform within
    0.1 of zero. States: ``h (H,)``, which is the output, and ``c (H,)``.

    There is no official code; the equations are the paper's, as given in
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/142. The initialization is that of the
    ``peephole_lstm``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Residual LSTM: Design of a Deep Recurrent Architecture for Distant Speech Recognition",
        authors="Jaeyoung Kim, Mostafa El-Khamy, Jungwon Lee",
        year=2017,
        url="https://arxiv.org/abs/1701.03360",
        variant="Shortcut added after the projection and guarded by the output gate, with peepholes.",
        deviations="As many projected units as memory cells, so that h and c are of one size; the shortcut "
        "is a trained matrix for any I and H. The initialization is that of the peephole_lstm.",
        related={
            "peephole_lstm": "has no projection and no shortcut.",
            "lstm_projected": "has a projection, and no shortcut.",
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
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        pi, pf, po = self.p[0], self.p[1], self.p[2]
        c = zoo.sigmoid(f + pf * c) * c + zoo.sigmoid(i + pi * c) * zoo.tanh(g)
        return zoo.sigmoid(o + po * c) * (zoo.tanh(c) @ self.Wp + x @ self.Wr), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the residual LSTM."""
    register(ResLSTM)
