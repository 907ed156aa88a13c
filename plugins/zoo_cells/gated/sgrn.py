"""The simple gated recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class SGRN(zoo.Cell):
    """Simple gated recurrent network: the projected input is both an operand of the gate and the candidate.

    As few matrices as a vanilla network has; the state is squashed once in every step, and fades by that even
    when the gate keeps it.

    Equations::

        p = x Wx
        f = sigmoid(p + h Wh + b)
        h' = tanh((1 - f) * p + f * h)

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)``, which belongs to the gate,
    zero. State and output: ``h (H,)``.

    The gate near one keeps the state. Equations are those of the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/109 quotes them. torchrecurrent 0.2.5 has
    a bias in p as well, which then enters the state; pull request 29 of LuxRecurrentLayers.jl removes it
    there as not in the paper. No code of the authors is known; weights start as in the other cells of this
    family.
    """

    family = "gated"
    card = zoo.Card(
        title="A simple gated recurrent network for detection of power quality disturbances",
        authors="Xiangrong Zu, Kai Wei",
        year=2020,
        url="https://doi.org/10.1049/gtd2.12056",
        variant="One gate, f for the past and 1 - f for the input; a bias in the gate only.",
        related={
            "ran": "has separate gates for input and memory, and a memory besides the state.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to gate f and state")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate f")
    b = zoo.Param("H", help="bias of the gate f")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="p")

    def step(self, x: Array, h: Array) -> Array:
        p = x @ self.Wx
        f = zoo.sigmoid(p + h @ self.Wh + self.b)
        return zoo.tanh((1 - f) * p + f * h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the simple gated recurrent network."""
    register(SGRN)
