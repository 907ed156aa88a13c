"""The minimal gated unit whose gate does not see the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU1(zoo.Cell):
    """MGU1: a minimal gated unit whose gate reads the state and a bias, not the input.

    The first of three ways of having fewer parameters in the gate of an ``mgu``: without the input. The rest
    is as in ``mgu``. The bias stands in the order gate f, candidate n.

    Equations::

        bf, bn = b
        f = sigmoid(h Wh + bf)
        n = tanh(x Wx + (f * h) Wn + bn)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

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
        variant="MGU1: the gate sees the state and a bias.",
        related={
            "mgu": "the gate sees the input, too.",
            "mgu2": "the gate has no bias.",
            "mgu3": "the gate sees its bias alone.",
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
