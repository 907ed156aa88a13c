"""The minimal gated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU(zoo.Cell):
    """Minimal gated unit: a GRU with one gate for both reset and update.

    The order in the weights is gate f, candidate n.

    Equations::

        xf, xn = x Wx + b
        f = sigmoid(xf + h Wh)
        n = tanh(xn + (f * h) Wn)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    The paper calls the gate forget gate. A gate near one replaces the state by the candidate, as in the
    paper. Flax's ``MGUCell`` has the opposite convention, and resets after the product.
    """

    family = "gated"
    card = zoo.Card(
        title="Minimal Gated Unit for Recurrent Neural Networks",
        authors="Guo-Bing Zhou, Jianxin Wu, Chen-Lin Zhang, Zhi-Hua Zhou",
        year=2016,
        url="https://arxiv.org/abs/1603.09420",
        variant="This is the MGU as published, before the simplifications MGU1, MGU2 and MGU3.",
        history="Zhou, Wu, Zhang and Zhou proposed the unit in 2016, guided by published evaluations of the "
        "LSTM and the GRU. It has a single gate, the minimum for a gated unit. Their experiments found an "
        "accuracy comparable with the GRU. Heck and Salem reduced the gate further in 2017, to mgu1, mgu2 "
        "and mgu3.",
        when_to_use="Use it where a gru is too large: it has two blocks of weights where the gru has three, "
        "and the same state. The same gate hides the state from the candidate and overwrites it, so the two "
        "cannot be set separately. In our short run on text it is a little worse than the gru.",
        related={
            "gru": "has separate gates for reset and update, and resets after the product.",
            "gru_reset_before": "has two gates where this cell has one.",
            "ligru": "has a rectified candidate that reads the whole state.",
            "light_ru": "has a candidate that reads the input alone.",
            "mgu1": "has a gate that does not read the input.",
            "mgu2": "has a gate that reads the state alone, without a bias.",
            "mgu3": "has a trained constant as gate.",
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
