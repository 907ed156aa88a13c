"""MUT3, the third of three cells found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MUT3(zoo.Cell):
    """MUT3: a GRU variant found by search, whose update gate reads the squashed state.

    It is the GRU that resets before the product, but for the tanh around what the update gate reads, and the
    update gate being the other way round. The parts of the products stand in the order update z, reset r,
    candidate n.

    Equations::

        xz, xr, xn = x Wx + b
        z = sigmoid(xz + tanh(h) Wz)
        r = sigmoid(xr + h Wh)
        n = tanh(xn + (r * h) Wn)
        h' = z * n + (1 - z) * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform; ``Wz (H, H)``, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal;
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    There is no official code; the equations are the paper's as torchrecurrent has them, the start is that of
    zoo's ``gru_reset_before``.
    """

    family = "gated"
    card = zoo.Card(
        title="An Empirical Exploration of Recurrent Network Architectures",
        authors="Rafal Jozefowicz, Wojciech Zaremba, Ilya Sutskever",
        year=2015,
        url="https://proceedings.mlr.press/v37/jozefowicz15.pdf",
        variant="MUT3.",
        related={
            "mut1": "the update gate does not see the state.",
            "mut2": "the update gate sees the state itself.",
            "gru_reset_before": "the update gate sees the state itself, and z and 1 - z are exchanged.",
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
