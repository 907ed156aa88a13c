"""The bistable recurrent cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.gated._initializers import glorot_gates

Array = Any


class BRC(zoo.Cell):
    """Bistable recurrent cell: each unit has two stable states and reads no other unit.

    A unit feeds its own state back with a strength ``a`` between zero and two. Above one the unit has two
    stable states and stays in one of them, and below one it forgets. The order in the weights is feedback a,
    update c, candidate n.

    Equations::

        xa, xc, xn = x Wx
        ba, bc = b
        a = 1 + tanh(xa + w[0] * h + ba)
        c = sigmoid(xc + w[1] * h + bc)
        h' = c * h + (1 - c) * tanh(xn + a * h)

    Parameters: ``Wx (I, 3H)`` Glorot uniform for each gate, ``w (2, H)`` one, ``b (2H,)`` zero, for a and c.
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
        variant="This is the BRC, whose recurrent weights are vectors, as in the official code.",
        deviations="The equations of the paper have no biases. The official code has one for a and one for "
        "c, and zoo has them, too.",
        history="Vecoven, Ernst and Drion published the cell in 2021, inspired by neurons that hold a value "
        "through bistability. Memory is then a property of a single unit, and not of the weights of the "
        "whole network. Their benchmarks are copying the first input, denoising, and sequential MNIST. The "
        "neuromodulated version, nbrc, connects the cell to the GRU.",
        when_to_use="Use it for tasks with very long memory and for models of bistable neurons. It has no "
        "recurrent matrix, so the recurrent weights grow linearly with H. Units exchange information only in "
        "the next layer, so use two or more layers. In our short run on text with one layer it is worse than "
        "the vanilla cell.",
        related={
            "nbrc": "has gates that read all units through matrices.",
            "gru": "has gates and a candidate that read the state through matrices.",
            "indy_lstm": "also has recurrent weights within units only, and a memory cell.",
            "indrnn": "also has recurrent weights within units only, and no gates.",
        },
    )
    Wx = zoo.Param("I", "3H", init=glorot_gates(3), help="input to feedback a, update c, candidate n")
    w = zoo.Param(2, "H", init="ones", help="each unit to its own a (row 0) and c (row 1)")
    b = zoo.Param("2H", help="bias of a, c")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - c", forget_gate="c", candidate="tanh_xn")

    def step(self, x: Array, h: Array) -> Array:
        xa, xc, xn = zoo.split(x @ self.Wx, 3)
        ba, bc = zoo.split(self.b, 2)
        a = 1 + zoo.tanh(xa + self.w[0] * h + ba)
        c = zoo.sigmoid(xc + self.w[1] * h + bc)
        return c * h + (1 - c) * zoo.tanh(xn + a * h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the bistable recurrent cell."""
    register(BRC)
