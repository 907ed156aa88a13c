"""MUT1, the first of three cells found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MUT1(zoo.Cell):
    """MUT1: a GRU variant found by search, whose update gate reads the input alone.

    The input enters the candidate through a tanh of its own. The order in the weights is update z, reset r,
    candidate n.

    Equations::

        xz, xr, xn = x Wx
        bz, br, bn = b
        z = sigmoid(xz + bz)
        r = sigmoid(xr + h Wh + br)
        n = tanh(tanh(xn) + (r * h) Wn + bn)
        h' = z * n + (1 - z) * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (3H,)`` zero.
    State and output: ``h (H,)``.

    ``z`` near one replaces the state by the candidate. There is no official code. The equations are from the
    paper, and torchrecurrent and the docstring of ``theanets.layers.recurrent.MUT1`` have the same. The code
    of theanets adds the bias of the candidate inside the inner tanh: ``tanh(xn + bn)``. The initial values
    are the same as for ``gru_reset_before``.
    """

    family = "gated"
    card = zoo.Card(
        title="An Empirical Exploration of Recurrent Network Architectures",
        authors="Rafal Jozefowicz, Wojciech Zaremba, Ilya Sutskever",
        year=2015,
        url="https://proceedings.mlr.press/v37/jozefowicz15.pdf",
        variant="This is MUT1 of the paper, with a matrix for the input in the candidate.",
        deviations="The candidate of the paper has tanh(x), and so needs I = H. Here it is tanh(x W) without "
        "a bias inside, where W is the last H columns of Wx. If W is the identity, the two are the same.",
        history="Jozefowicz, Zaremba and Sutskever evaluated more than ten thousand architectures in 2015, "
        "made from the LSTM and the GRU by mutations. MUT1, MUT2 and MUT3 are the three best cells that the "
        "search found. They found no cell that is better than both the LSTM and the GRU on all tasks, and "
        "that a forget bias of one brings the LSTM close to the GRU.",
        when_to_use="Use it to reproduce the paper. It has two blocks of recurrent weights where the gru has "
        "three, because the update gate does not read the state. In our short run on text it is a little "
        "worse than the gru, mut2 and mut3. For new work take the gru, which libraries support.",
        related={
            "mut2": "has an update gate that also reads the state.",
            "mut3": "has an update gate that also reads tanh of the state.",
            "gru": "has an update gate that also reads the state, and a reset gate that scales a product.",
            "gru_reset_before": "has an update gate that also reads the state.",
            "nas": "is the result of another search, with eight units in a tree.",
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
