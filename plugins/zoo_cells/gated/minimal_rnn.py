"""The MinimalRNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MinimalRNN(zoo.Cell):
    """MinimalRNN: a gated average of encoded inputs.

    No weights lead from the state into what is written, so that a unit of the state means the same as that
    unit of the encoding. The bias stands in the order encoding z, gate u.

    Equations::

        bz, bu = b
        z = tanh(x Wx + bz)
        u = sigmoid(h Wh + z Wz + bu)
        h' = u * h + (1 - u) * z

    Parameters: ``Wx (I, H)`` and ``Wz (H, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    The gate near one keeps the state. Equations are those of the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/102 quotes them. No code of the author is
    known; weights start as in the other cells of this family.
    """

    family = "gated"
    card = zoo.Card(
        title="MinimalRNN: Toward More Interpretable and Trainable Recurrent Neural Networks",
        authors="Minmin Chen",
        year=2017,
        url="https://arxiv.org/abs/1711.06788",
        variant="The encoder is one layer with tanh; the paper allows any network there.",
        related={
            "ugrnn": "the candidate reads the state, too.",
            "min_gru": "the gate does not read the state.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to encoding z")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate u")
    Wz = zoo.Param("H", "H", init="glorot_uniform", help="encoding z to gate u")
    b = zoo.Param("2H", help="bias of z, u")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - u", forget_gate="u", update_gate="u", candidate="z")

    def step(self, x: Array, h: Array) -> Array:
        bz, bu = zoo.split(self.b, 2)
        z = zoo.tanh(x @ self.Wx + bz)
        u = zoo.sigmoid(h @ self.Wh + z @ self.Wz + bu)
        return u * h + (1 - u) * z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the MinimalRNN."""
    register(MinimalRNN)
