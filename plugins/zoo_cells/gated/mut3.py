"""MUT3, the third of three cells found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MUT3(zoo.Cell):
    """MUT3: a GRU variant found by search, whose update gate reads the squashed state.

    The cell is the GRU that resets before the product, with two changes: the update gate reads tanh of the
    state, and its convention is the opposite one. The order in the weights is update z, reset r, candidate n.

    Equations::

        xz, xr, xn = x Wx + b
        z = sigmoid(xz + tanh(h) Wz)
        r = sigmoid(xr + h Wh)
        n = tanh(xn + (r * h) Wn)
        h' = z * n + (1 - z) * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wz (H, H)``, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal,
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    ``z`` near one replaces the state by the candidate. There is no official code. The equations are from the
    paper as in torchrecurrent. The initial values are the same as for ``gru_reset_before``.
    """

    family = "gated"
    card = zoo.Card(
        title="An Empirical Exploration of Recurrent Network Architectures",
        authors="Rafal Jozefowicz, Wojciech Zaremba, Ilya Sutskever",
        year=2015,
        url="https://proceedings.mlr.press/v37/jozefowicz15.pdf",
        variant="This is MUT3 of the paper.",
        history="Jozefowicz, Zaremba and Sutskever evaluated more than ten thousand architectures in 2015, "
        "made from the LSTM and the GRU by mutations. MUT1, MUT2 and MUT3 are the three best cells that the "
        "search found. They found no cell that is better than both the LSTM and the GRU on all tasks, and "
        "that a forget bias of one brings the LSTM close to the GRU.",
        when_to_use="Use it to reproduce the paper. It differs from gru_reset_before by one tanh, has the "
        "same size and state, and in our short run on text the two are equally good. For new work take the "
        "gru, which libraries support.",
        related={
            "mut1": "has an update gate that does not read the state.",
            "mut2": "has an update gate that reads the state itself.",
            "gru_reset_before": "has an update gate that reads the state itself, and exchanges the roles of "
            "z and 1 - z.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates z, r and candidate n")
    Wz = zoo.Param("H", "H", init="orthogonal", help="squashed hidden to gate z")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate r")
    Wn = zoo.Param("H", "H", init="orthogonal", help="reset hidden to candidate n")
    b = zoo.Param("3H", help="bias of z, r, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xz, xr, xn = zoo.split(x @ self.Wx + self.b, 3)
        z = zoo.sigmoid(xz + zoo.tanh(h) @ self.Wz)
        r = zoo.sigmoid(xr + h @ self.Wh)
        n = zoo.tanh(xn + (r * h) @ self.Wn)
        return z * n + (1 - z) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MUT3."""
    register(MUT3)
