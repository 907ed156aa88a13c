"""The minimal gated unit whose gate does not read the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU1(zoo.Cell):
    """MGU1: a minimal gated unit whose gate reads the state and a bias, not the input.

    The first of three cells with fewer parameters in the gate of an ``mgu``. Everything else equals ``mgu``.
    The order in the bias is gate f, candidate n.

    Equations::

        bf, bn = b
        f = sigmoid(h Wh + bf)
        n = tanh(x Wx + (f * h) Wn + bn)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    A gate near one replaces the state by the candidate. The equations are from the paper as
    https://github.com/MartinuzziFrancesco/LuxRecurrentLayers.jl/issues/11 quotes them. No code of the authors
    is known. The initial values are the same as for ``mgu``.
    """

    family = "gated"
    card = zoo.Card(
        title="Simplified Minimal Gated Unit Variations for Recurrent Neural Networks",
        authors="Joel Heck, Fathi M. Salem",
        year=2017,
        url="https://arxiv.org/abs/1701.03452",
        variant="This is MGU1 of the paper, whose gate reads the state and a bias.",
        history="Heck and Salem derived three smaller gates from the minimal gated unit in 2017, and named "
        "the cells MGU1, MGU2 and MGU3. This one leaves the input out of the gate. They tested them on "
        "sequences made from MNIST digits and on Reuters news, where all three had an accuracy similar to "
        "the mgu, and MGU2 was better than the mgu.",
        when_to_use="Use it where the input is wide and parameters are scarce: the gate has no input "
        "weights, so a layer saves I times H weights compared with the mgu. The gate cannot react to the "
        "current input. On tokens, whose product with the input weights is a lookup, a step costs the same "
        "as with the mgu.",
        also=(
            zoo.Card(
                title="Minimal Gated Unit for Recurrent Neural Networks",
                authors="Guo-Bing Zhou, Jianxin Wu, Chen-Lin Zhang, Zhi-Hua Zhou",
                year=2016,
                url="https://arxiv.org/abs/1603.09420",
            ),
        ),
        related={
            "mgu": "has a gate that also reads the input.",
            "mgu2": "has a gate without a bias.",
            "mgu3": "has a gate that is only a bias.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to candidate n")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate f")
    Wn = zoo.Param("H", "H", init="orthogonal", help="gated hidden to candidate n")
    b = zoo.Param("2H", help="bias of f, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="f", forget_gate="1 - f", reset_gate="f", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        bf, bn = zoo.split(self.b, 2)
        f = zoo.sigmoid(h @ self.Wh + bf)
        n = zoo.tanh(x @ self.Wx + (f * h) @ self.Wn + bn)
        return (1 - f) * h + f * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MGU1."""
    register(MGU1)
