"""The minimal gated unit whose gate is a bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU3(zoo.Cell):
    """MGU3: a minimal gated unit whose gate is a trained number for each unit, the same at every step.

    The third of three ways of having fewer parameters in the gate of an ``mgu``: nothing but the bias. What
    is left is a leaky unit that learns how leaky it is. The bias stands in the order gate f, candidate n.

    Equations::

        bf, bn = b
        f = sigmoid(bf)
        n = tanh(x Wx + (f * h) Wn + bn)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero. State and output:
    ``h (H,)``.

    Where the gate is near one, the candidate replaces the state. The equations of the three gates are those
    of the paper as https://github.com/MartinuzziFrancesco/LuxRecurrentLayers.jl/issues/11 quotes them; no
    code of the authors is known, and the weights start as those of ``mgu``.
    """

    family = "gated"
    card = zoo.Card(
        title="Simplified Minimal Gated Unit Variations for Recurrent Neural Networks",
        authors="Joel Heck, Fathi M. Salem",
        year=2017,
        url="https://arxiv.org/abs/1701.03452",
        variant="MGU3: the gate is a trained constant.",
        related={
            "mgu": "the gate sees input and state.",
            "mgu1": "the gate sees the state and a bias.",
            "mgu2": "the gate sees the state.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to candidate n")
    Wn = zoo.Param("H", "H", init="orthogonal", help="gated hidden to candidate n")
    b = zoo.Param("2H", help="bias of f, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="f", forget_gate="1 - f", reset_gate="f", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        bf, bn = zoo.split(self.b, 2)
        f = zoo.sigmoid(bf)
        n = zoo.tanh(x @ self.Wx + (f * h) @ self.Wn + bn)
        return (1 - f) * h + f * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MGU3."""
    register(MGU3)
