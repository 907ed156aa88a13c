"""Multiplicative long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def orthonormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Orthonormal rows or columns, whichever are fewer, of the matrix as a whole and not gate by gate."""
    q, r = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))
    q *= np.sign(np.diag(r))  # makes the draw uniform
    return q if shape[0] >= shape[1] else q.T


class MultiplicativeLSTM(zoo.Cell):
    """Multiplicative LSTM: the gates read a product of projected input and state in place of the state.

    In place of the hidden units the gates hear an intermediate state ``m``, the product of what input and
    hidden units say: the input scales the recurrent weights, one factor for each intermediate unit. The gates
    stand in the order input i, forget f, candidate g, output o.

    Equations::

        m = (x Wmx) * (h Wmh)
        i, f, g, o = x Wx + m Wm + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wmx (I, H)``, ``Wmh (H, H)``, ``Wx (I, 4H)`` and ``Wm (H, 4H)`` with orthonormal rows or
    columns, whichever are fewer; ``b (4H,)`` zero. States: ``h (H,)``, which is the output, and ``c (H,)``.

    Often called mLSTM, a name that the matrix memory of the xLSTM has as well. Equations, initialization and
    the forget bias of 3 are those of the Chainer code in https://github.com/benkrause/mLSTM, with which the
    paper's best results were made; ``forget_bias`` is added as the cell runs, and not kept in ``b``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Multiplicative LSTM for sequence modelling",
        authors="Ben Krause, Liang Lu, Iain Murray, Steve Renals",
        year=2016,
        url="https://arxiv.org/abs/1609.07959",
        variant="As many intermediate as hidden units, tanh on candidate and on cell, biases on the gates "
        "only, as in the official Chainer code.",
        deviations="The official MATLAB code of the first experiments has a linear candidate and h = tanh(o "
        "* c + bias). The Chainer code normalises the four matrices as it trains (weight normalisation), "
        "which changes nothing at the start and is left out here.",
        related={
            "lstm": "reads the state itself where this cell reads a product of input and state.",
        },
    )
    Wmx = zoo.Param("I", "H", init=orthonormal, help="input to intermediate state")
    Wmh = zoo.Param("H", "H", init=orthonormal, help="hidden to intermediate state")
    Wx = zoo.Param("I", "4H", init=orthonormal, help="input to gates i, f, g, o")
    Wm = zoo.Param("H", "4H", init=orthonormal, help="intermediate state to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    forget_bias = zoo.Option(3.0, help="added to the forget gate; above zero a new cell remembers")
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
