"""The simple gated recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class SGRN(zoo.Cell):
    """Simple gated recurrent network: the projected input is both an operand of the gate and the candidate.

    The cell has the same matrices as a vanilla network. The state is squashed in every step, so it fades even
    when the gate keeps it.

    Equations::

        p = x Wx
        f = sigmoid(p + h Wh + b)
        h' = tanh((1 - f) * p + f * h)

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)``, which belongs to the gate,
    zero. State and output: ``h (H,)``.

    A gate near one keeps the state. The equations are from the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/109 quotes them. torchrecurrent 0.2.5
    also has a bias in p, which enters the state. Pull request 29 of LuxRecurrentLayers.jl removes this bias,
    since the paper does not have it. No code of the authors is known. The initial values are the same as in
    zoo's other gated cells.
    """

    family = "gated"
    card = zoo.Card(
        title="A simple gated recurrent network for detection of power quality disturbances",
        authors="Xiangrong Zu, Kai Wei",
        year=2020,
        url="https://doi.org/10.1049/gtd2.12056",
        variant="The cell has one gate, f for the past and 1 - f for the input, with a bias in the gate "
        "only.",
        history="Zu and Wei published the cell in 2020 to detect disturbances of the power quality in "
        "electrical grids. It belongs to a group of gated cells with the same number of matrices as a "
        "vanilla network, such as the ATR of 2018 and the FastGRNN of 2018.",
        when_to_use="Use it for short time series on small devices: it has one block of recurrent weights, a "
        "third of a gru. In our short run on text it is better than the vanilla cell of the same size. "
        "Because tanh is applied to the state in every step, it does not hold a value for many steps, so "
        "take a gru or an lstm for long dependencies.",
        related={
            "ran": "has separate gates for input and memory, and the memory is not squashed.",
            "atr": "has two gates, and the state is not squashed.",
            "vanilla": "has no gate.",
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
