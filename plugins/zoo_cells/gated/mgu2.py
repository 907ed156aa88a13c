"""The minimal gated unit whose gate reads the state only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU2(zoo.Cell):
    """MGU2: a minimal gated unit whose gate reads the state alone.

    The second of three cells with fewer parameters in the gate of an ``mgu``: the gate has neither input
    weights nor a bias. Everything else equals ``mgu``. For a state of zero, the gate is one half.

    Equations::

        f = sigmoid(h Wh)
        n = tanh(x Wx + (f * h) Wn + b)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (H,)``, which
    belongs to the candidate, zero. State and output: ``h (H,)``.

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
        variant="This is MGU2 of the paper, whose gate reads the state only.",
        history="Heck and Salem derived three smaller gates from the minimal gated unit in 2017, and named "
        "the cells MGU1, MGU2 and MGU3. This one leaves the input and the bias out of the gate. They tested "
        "them on sequences made from MNIST digits and on Reuters news, where all three had an accuracy "
        "similar to the mgu, and MGU2 was better than the mgu.",
        when_to_use="Use it in place of mgu1: it has H fewer parameters, and its authors found it to be the "
        "best of the three. The gate cannot react to the current input, and without a bias you cannot start "
        "it at a long memory. In our short run on text it is about as good as mgu1 and a little worse than "
        "the mgu.",
        also=(
            zoo.Card(
                title="Minimal Gated Unit for Recurrent Neural Networks",
                authors="Guo-Bing Zhou, Jianxin Wu, Chen-Lin Zhang, Zhi-Hua Zhou",
                year=2016,
                url="https://arxiv.org/abs/1603.09420",
            ),
        ),
        related={
            "mgu": "has a gate that also reads the input, and a bias.",
            "mgu1": "has a gate with a bias.",
            "mgu3": "has a trained constant as gate.",
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
