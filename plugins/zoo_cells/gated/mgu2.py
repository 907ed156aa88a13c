"""The minimal gated unit whose gate sees the state only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU2(zoo.Cell):
    """MGU2: a minimal gated unit whose gate reads the state alone.

    The second of three ways of having fewer parameters in the gate of an ``mgu``: without input and bias. The
    rest is as in ``mgu``. A state of zero opens the gate half.

    Equations::

        f = sigmoid(h Wh)
        n = tanh(x Wx + (f * h) Wn + b)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (H,)``, which
    belongs to the candidate, zero. State and output: ``h (H,)``.

    Where the gate is near one, the candidate replaces the state. Of the three, this is the one that the
    authors found better than ``mgu`` itself. The equations of the three gates are those of the paper as
    https://github.com/MartinuzziFrancesco/LuxRecurrentLayers.jl/issues/11 quotes them; no code of the authors
    is known, and the weights start as those of ``mgu``.
    """

    family = "gated"
    card = zoo.Card(
        title="Simplified Minimal Gated Unit Variations for Recurrent Neural Networks",
        authors="Joel Heck, Fathi M. Salem",
        year=2017,
        url="https://arxiv.org/abs/1701.03452",
        variant="MGU2: the gate sees the state only.",
        related={
            "mgu": "the gate sees the input and a bias, too.",
            "mgu1": "the gate has a bias.",
            "mgu3": "the gate is a trained constant.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to candidate n")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate f")
    Wn = zoo.Param("H", "H", init="orthogonal", help="gated hidden to candidate n")
    b = zoo.Param("H", help="bias of the candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="f", forget_gate="1 - f", reset_gate="f", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        f = zoo.sigmoid(h @ self.Wh)
        n = zoo.tanh(x @ self.Wx + (f * h) @ self.Wn + self.b)
        return (1 - f) * h + f * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MGU2."""
    register(MGU2)
