"""MUT2, the second of three cells found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MUT2(zoo.Cell):
    """MUT2: a GRU variant found by search, whose reset gate adds the input without a matrix.

    The reset gate of the paper adds the input itself, which needs an input as wide as the state. For any
    other width the input needs a matrix on its way to the gate. The cell is then the GRU that resets before
    the product, with the opposite convention for the update gate. The order in the weights is update z, reset
    r, candidate n.

    Equations::

        xz, xr, xn = x Wx + b
        hz, hr = h Wh
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        n = tanh(xn + (r * h) Wn)
        h' = z * n + (1 - z) * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 2H)`` and ``Wn (H, H)`` orthogonal for each gate,
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    ``z`` near one replaces the state by the candidate. There is no official code. The equations are from the
    paper as RecurrentLayers.jl documents them (``MUT2Cell``), with the matrix that its code and
    torchrecurrent put before the reset gate. The initial values are the same as for ``gru_reset_before``.
    """

    family = "gated"
    card = zoo.Card(
        title="An Empirical Exploration of Recurrent Network Architectures",
        authors="Rafal Jozefowicz, Wojciech Zaremba, Ilya Sutskever",
        year=2015,
        url="https://proceedings.mlr.press/v37/jozefowicz15.pdf",
        variant="This is MUT2 of the paper, with a matrix for the input in the reset gate.",
        deviations="The reset gate of the paper adds x itself, and so needs I = H. Here it adds x W, where W "
        "is the middle H columns of Wx. If W is the identity, the two are the same. With a trained W the "
        "cell is a GRU.",
        history="Jozefowicz, Zaremba and Sutskever evaluated more than ten thousand architectures in 2015, "
        "made from the LSTM and the GRU by mutations. MUT1, MUT2 and MUT3 are the three best cells that the "
        "search found. They found no cell that is better than both the LSTM and the GRU on all tasks, and "
        "that a forget bias of one brings the LSTM close to the GRU.",
        when_to_use="Use it to reproduce the paper. With a trained matrix before its reset gate it computes "
        "the same functions as gru_reset_before, at the same cost, so there is no other reason to choose it. "
        "In our short run on text the two are equally good.",
        related={
            "mut1": "has an update gate that does not read the state.",
            "mut3": "has an update gate that reads tanh of the state.",
            "gru_reset_before": "exchanges the roles of z and 1 - z.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates z, r and candidate n")
    Wh = zoo.Param("H", "2H", init="orthogonal", help="hidden to gates z, r")
    Wn = zoo.Param("H", "H", init="orthogonal", help="reset hidden to candidate n")
    b = zoo.Param("3H", help="bias of z, r, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xz, xr, xn = zoo.split(x @ self.Wx + self.b, 3)
        hz, hr = zoo.split(h @ self.Wh, 2)
        z, r = zoo.sigmoid(xz + hz), zoo.sigmoid(xr + hr)
        n = zoo.tanh(xn + (r * h) @ self.Wn)
        return z * n + (1 - z) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MUT2."""
    register(MUT2)
