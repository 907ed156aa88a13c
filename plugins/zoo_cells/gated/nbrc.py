"""The neuromodulated bistable recurrent cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.gated._initializers import glorot_gates

Array = Any


class NBRC(zoo.Cell):
    """Neuromodulated bistable recurrent cell: a ``brc`` whose gates read all units.

    A unit feeds its own state back with a strength ``a`` between zero and two, and has two stable states
    above one. The whole layer sets a and c, where in a ``brc`` each unit sets its own. The order in the
    weights is feedback a, update c, candidate n.

    Equations::

        xa, xc, xn = x Wx
        a, c = h Wh + b
        a = 1 + tanh(xa + a)
        c = sigmoid(xc + c)
        h' = c * h + (1 - c) * tanh(xn + a * h)

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 2H)`` Glorot uniform for each gate, ``b (2H,)`` zero, for a and c.
    State and output: ``h (H,)``.

    The equations and the initial values are from the official code (https://github.com/nvecoven/BRC,
    ``cells/cells.py``), which calls a ``r`` and c ``z``. The candidate has no bias there or here.
    """

    family = "gated"
    card = zoo.Card(
        title="A bio-inspired bistable recurrent cell allows for long-lasting memory",
        authors="Nicolas Vecoven, Damien Ernst, Guillaume Drion",
        year=2021,
        url="https://doi.org/10.1371/journal.pone.0252676",
        variant="This is the nBRC, whose two gates read all units, as in the official code.",
        deviations="The equations of the paper have no biases. The official code has one for a and one for "
        "c, and zoo has them, too.",
        history="Vecoven, Ernst and Drion published the cell in 2021 together with the brc. In biology, "
        "neuromodulation changes the properties of a neuron through signals of others. Here the other units "
        "set the strength of the feedback of each unit. Its equations are close to a GRU whose candidate "
        "reads only the own state of the unit.",
        when_to_use="Use it for tasks that need both long memory and interaction between units. It has two "
        "blocks of recurrent weights where the gru has three, and one state vector. In our short run on text "
        "it is better than the brc and about as good as the lstm, but worse than the gru.",
        related={
            "brc": "has gates that read only the own state of a unit.",
            "gru": "has a candidate that reads all units, and a reset gate between zero and one.",
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
