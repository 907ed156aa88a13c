"""MUT1, the first of three cells found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MUT1(zoo.Cell):
    """MUT1: a GRU variant found by search, whose update gate reads the input alone.

    The input enters the candidate through a tanh of its own. The parts of the products stand in the order
    update z, reset r, candidate n.

    Equations::

        xz, xr, xn = x Wx
        bz, br, bn = b
        z = sigmoid(xz + bz)
        r = sigmoid(xr + h Wh + br)
        n = tanh(tanh(xn) + (r * h) Wn + bn)
        h' = z * n + (1 - z) * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (3H,)`` zero.
    State and output: ``h (H,)``.

    Where ``z`` is near one, the candidate replaces the state. There is no official code. The equations are
    the paper's, as in torchrecurrent and in the docstring of ``theanets.layers.recurrent.MUT1``. The code of
    theanets adds the candidate's bias elsewhere, inside the inner tanh: ``tanh(xn + bn)``. The initial values
    are those of zoo's ``gru_reset_before``.
    """

    family = "gated"
    card = zoo.Card(
        title="An Empirical Exploration of Recurrent Network Architectures",
        authors="Rafal Jozefowicz, Wojciech Zaremba, Ilya Sutskever",
        year=2015,
        url="https://proceedings.mlr.press/v37/jozefowicz15.pdf",
        variant="MUT1.",
        deviations="The paper's candidate has tanh(x), and so needs I = H; here it is tanh(x W) without a "
        "bias inside, W the last H columns of Wx. If W is the identity, the two are the same.",
        related={
            "mut2": "the update gate sees the state, too.",
            "mut3": "the update gate sees tanh of the state, too.",
            "gru_reset_before": "the update gate sees the state, too.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates z, r and candidate n")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate r")
    Wn = zoo.Param("H", "H", init="orthogonal", help="reset hidden to candidate n")
    b = zoo.Param("3H", help="bias of z, r, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xz, xr, xn = zoo.split(x @ self.Wx, 3)
        bz, br, bn = zoo.split(self.b, 3)
        z = zoo.sigmoid(xz + bz)
        r = zoo.sigmoid(xr + h @ self.Wh + br)
        n = zoo.tanh(zoo.tanh(xn) + (r * h) @ self.Wn + bn)
        return z * n + (1 - z) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MUT1."""
    register(MUT1)
