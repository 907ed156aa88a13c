"""Multiplicative long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def orthonormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Orthonormal rows or columns, whichever are fewer, of the whole matrix of all gates."""
    q, r = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
    q *= np.sign(np.diag(r))  # makes the draw uniform
    return q if shape[0] >= shape[1] else q.T


class MultiplicativeLSTM(zoo.Cell):
    """Multiplicative LSTM: the gates read a product of projected input and state in place of the state.

    The gates read an intermediate state ``m`` in place of the last output. It is the product of a projection
    of the input and a projection of the last output, so the input scales the recurrent weights, with one
    factor for each intermediate unit. The order of the gates in the weights is input i, forget f, candidate
    g, output o.

    Equations::

        m = (x Wmx) * (h Wmh)
        i, f, g, o = x Wx + m Wm + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wmx (I, H)``, ``Wmh (H, H)``, ``Wx (I, 4H)`` and ``Wm (H, 4H)`` with orthonormal rows or
    columns, whichever are fewer, ``b (4H,)`` zero. States: ``h (H,)``, which is the output, and ``c (H,)``.

    The cell is often called mLSTM, a name that the matrix memory of the xLSTM also has (``matrix_lstm``). The
    equations, the initial values and the forget bias of 3 are from the Chainer code in
    https://github.com/benkrause/mLSTM, with which the best results of the paper were made. ``forget_bias`` is
    added in each step and is not part of ``b``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Multiplicative LSTM for sequence modelling",
        authors="Ben Krause, Liang Lu, Iain Murray, Steve Renals",
        year=2016,
        url="https://arxiv.org/abs/1609.07959",
        variant="There are H intermediate units, tanh is applied to the candidate and to the cell, and only "
        "the gates have biases, as in the official Chainer code.",
        deviations="The official MATLAB code of the first experiments has a linear candidate and h = tanh(o "
        "* c + bias). The Chainer code normalises the four matrices in training (weight normalisation), "
        "which changes nothing at the start and is left out here.",
        history="Krause, Lu, Murray and Renals published this cell in 2016. It combines the LSTM with the "
        "multiplicative RNN of Sutskever et al., so that each input symbol has its own recurrent transition. "
        "It outperformed the lstm on language models of characters, with 1.24 bits per character on the "
        "Hutter Prize data.",
        when_to_use="Use it for language models of characters or bytes, its purpose in the paper. In our "
        "short run on text it is among the best cells. It has five blocks of weights and two matrix products "
        "in sequence in each step, so a step is slower than with an lstm. For dense input without symbols "
        "the reason for the product is weaker.",
        related={
            "lstm": "has gates that read the state in place of the product of input and state.",
            "mi_rnn": "has no gates, and also multiplies the projections of input and state.",
            "matrix_lstm": "is also called mLSTM, and has a matrix as memory.",
        },
    )
    Wmx = zoo.Param("I", "H", init=orthonormal, help="input to intermediate state")
    Wmh = zoo.Param("H", "H", init=orthonormal, help="hidden to intermediate state")
    Wx = zoo.Param("I", "4H", init=orthonormal, help="input to gates i, f, g, o")
    Wm = zoo.Param("H", "4H", init=orthonormal, help="intermediate state to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    forget_bias = zoo.Option(3.0, help="added to the forget gate, above zero to remember at first")
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        m = (x @ self.Wmx) * (h @ self.Wmh)
        i, f, g, o = zoo.split(x @ self.Wx + m @ self.Wm + self.b, 4)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the multiplicative LSTM."""
    register(MultiplicativeLSTM)
