"""The neuromodulated bistable recurrent cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.gated._initializers import glorot_gates

Array = Any


class NBRC(zoo.Cell):
    """Neuromodulated bistable recurrent cell: ``brc`` whose gates read all units.

    As in the ``brc`` a unit feeds its own state back with a strength ``a`` between zero and two, and has two
    stable states above one; here the whole layer sets a and c. The parts of the products stand in the order
    feedback a, update c, candidate n.

    Equations::

        xa, xc, xn = x Wx
        a, c = h Wh + b
        a = 1 + tanh(xa + a)
        c = sigmoid(xc + c)
        h' = c * h + (1 - c) * tanh(xn + a * h)

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 2H)`` Glorot uniform gate by gate, ``b (2H,)`` zero, for a and c.
    State and output: ``h (H,)``.

    Equations and initialization are those of the official code (https://github.com/nvecoven/BRC,
    ``cells/cells.py``), which calls a ``r`` and c ``z``. The candidate has no bias there, and none here.
    """

    family = "gated"
    card = zoo.Card(
        title="A bio-inspired bistable recurrent cell allows for long-lasting memory",
        authors="Nicolas Vecoven, Damien Ernst, Guillaume Drion",
        year=2021,
        url="https://doi.org/10.1371/journal.pone.0252676",
        variant="nBRC, whose two gates hear every unit, as in the official code.",
        deviations="The equations of the paper have no biases; the official code has one for a and one for "
        "c, and so has zoo.",
        related={
            "brc": "both gates read only the own state of a unit.",
        },
    )
    Wx = zoo.Param("I", "3H", init=glorot_gates(3), help="input to feedback a, update c, candidate n")
    Wh = zoo.Param("H", "2H", init=glorot_gates(2), help="hidden to a, c")
    b = zoo.Param("2H", help="bias of a, c")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - c", forget_gate="c", candidate="tanh_xn")

    def step(self, x: Array, h: Array) -> Array:
        xa, xc, xn = zoo.split(x @ self.Wx, 3)
        a, c = zoo.split(h @ self.Wh + self.b, 2)
        a = 1 + zoo.tanh(xa + a)
        c = zoo.sigmoid(xc + c)
        return c * h + (1 - c) * zoo.tanh(xn + a * h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the neuromodulated bistable recurrent cell."""
    register(NBRC)
