"""The MinimalRNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MinimalRNN(zoo.Cell):
    """MinimalRNN: a gated average of encoded inputs.

    The candidate does not read the state, so a unit of the state has the same meaning as that unit of the
    encoding. The order in the bias is encoding z, gate u.

    Equations::

        bz, bu = b
        z = tanh(x Wx + bz)
        u = sigmoid(h Wh + z Wz + bu)
        h' = u * h + (1 - u) * z

    Parameters: ``Wx (I, H)`` and ``Wz (H, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    A gate near one keeps the state. The equations are from the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/102 quotes them. No code of the author is
    known. The initial values are the same as in zoo's other gated cells.
    """

    family = "gated"
    card = zoo.Card(
        title="MinimalRNN: Toward More Interpretable and Trainable Recurrent Neural Networks",
        authors="Minmin Chen",
        year=2017,
        url="https://arxiv.org/abs/1711.06788",
        variant="The encoder is one layer with tanh, where the paper allows any network.",
        history="Minmin Chen introduced the cell in 2017 as a network with minimal updates, which is easier "
        "to interpret and to train. An analysis of its Jacobians showed that it captures longer dependencies "
        "than the other cells of the study.",
        when_to_use="Use it if you want readable states at a small size: it has one block of recurrent "
        "weights and one from encoding to gate, where the gru has three recurrent ones. In our short run on "
        "text it comes close to the gru and is better than the lstm. The state is an average of encodings "
        "and cannot be transformed within a layer.",
        related={
            "ugrnn": "has a candidate that also reads the state.",
            "light_ru": "has a gate that reads the input itself in place of its encoding.",
            "min_gru": "has a gate that does not read the state.",
            "star": "has a gate that reads the input itself, and squashes the new state.",
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
