"""The light recurrent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class LightRU(zoo.Cell):
    """Light recurrent unit: one gate for input and state, and a candidate that reads the input alone.

    An ``mgu`` without the past in its candidate, so that states are averages of what single inputs say. The
    input weights stand in the order gate f, candidate n; the candidate has no bias.

    Equations::

        xf, xn = x Wx
        f = sigmoid(xf + h Wh + b)
        h' = (1 - f) * h + f * tanh(xn)

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)`` zero. State and output:
    ``h (H,)``.

    The authors call it LRU, which stands for another cell here (``lru``). Where the gate, called forget gate,
    is near one, the candidate replaces the state. Equations as the documentation of RecurrentLayers.jl and
    the code of https://github.com/lucidrains/light-recurrent-unit-pytorch give them after the paper, which
    agree; torchrecurrent has a bias in the candidate as well. No code of the authors is known; weights start
    as those of ``mgu``.
    """

    family = "gated"
    card = zoo.Card(
        title="Light Recurrent Unit: Towards an Interpretable Recurrent Neural Network for Modeling "
        "Long-Range Dependency",
        authors="Hong Ye, Yibing Zhang, Huizhou Liu, Xuannong Li, Jiaming Chang, Hui Zheng",
        year=2024,
        url="https://doi.org/10.3390/electronics13163204",
        variant="One unit with tanh in the candidate and a bias in the gate only.",
        deviations="The paper also has a stack recurrent cell (SRC), which changes the activation function; "
        "it is not here.",
        related={
            "mgu": "the candidate reads the state, too.",
            "ligru": "the candidate reads the state, and is rectified.",
            "min_gru": "the gate reads the input alone, as the candidate does.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to f, n")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate f")
    b = zoo.Param("H", help="bias of the gate f")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="f", forget_gate="1 - f", candidate="tanh_xn")

    def step(self, x: Array, h: Array) -> Array:
        xf, xn = zoo.split(x @ self.Wx, 2)
        f = zoo.sigmoid(xf + h @ self.Wh + self.b)
        return (1 - f) * h + f * zoo.tanh(xn)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the light recurrent unit."""
    register(LightRU)
