"""The minimal gated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU(zoo.Cell):
    """Minimal gated unit: a GRU with one gate for both reset and update.

    The weights stand in the order gate f, candidate n.

    Equations::

        xf, xn = x Wx + b
        f = sigmoid(xf + h Wh)
        n = tanh(xn + (f * h) Wn)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    The gate is called forget gate; where it is near one, the candidate replaces the state (the paper's
    polarity; Flax's ``MGUCell`` has the opposite one, and resets after the product).
    """

    family = "gated"
    card = zoo.Card(
        title="Minimal Gated Unit for Recurrent Neural Networks",
        authors="Guo-Bing Zhou, Jianxin Wu, Chen-Lin Zhang, Zhi-Hua Zhou",
        year=2016,
        url="https://arxiv.org/abs/1603.09420",
        variant="MGU as published, before the simplifications MGU1, MGU2 and MGU3.",
        related={
            "gru_reset_before": "has two gates where this cell has one.",
            "mgu1": "the gate does not see the input.",
            "mgu2": "the gate sees the state alone, without a bias.",
            "mgu3": "the gate is a trained constant.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to f, n")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate f")
    Wn = zoo.Param("H", "H", init="orthogonal", help="gated hidden to candidate n")
    b = zoo.Param("2H", help="bias of f, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="f", forget_gate="1 - f", reset_gate="f", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xf, xn = zoo.split(x @ self.Wx + self.b, 2)
        f = zoo.sigmoid(xf + h @ self.Wh)
        n = zoo.tanh(xn + (f * h) @ self.Wn)
        return (1 - f) * h + f * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minimal gated unit."""
    register(MGU)
