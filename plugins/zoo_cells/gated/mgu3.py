"""The minimal gated unit whose gate is a bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MGU3(zoo.Cell):
    """MGU3: a minimal gated unit whose gate is a trained number for each unit, the same at every step.

    The third of three cells with fewer parameters in the gate of an ``mgu``: the gate is only a bias. The
    cell is then a leaky unit that learns its leak. The order in the bias is gate f, candidate n.

    Equations::

        bf, bn = b
        f = sigmoid(bf)
        n = tanh(x Wx + (f * h) Wn + bn)
        h' = (1 - f) * h + f * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero. State and output:
    ``h (H,)``.

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
        variant="This is MGU3 of the paper, whose gate is a trained constant.",
        history="Heck and Salem derived three smaller gates from the minimal gated unit in 2017, and named "
        "the cells MGU1, MGU2 and MGU3. This one keeps only the bias of the gate. They tested them on "
        "sequences made from MNIST digits and on Reuters news, where all three had an accuracy similar to "
        "the mgu, and MGU2 was better than the mgu.",
        when_to_use="Use it as a small cell with a time scale for each unit, or as a baseline for the value "
        "of a gate: it has one block of recurrent weights, like a vanilla network. The gate cannot react to "
        "anything, so the cell forgets at the same rate at every step. In our short run on text it is "
        "clearly worse than the mgu, and also worse than the vanilla cell.",
        also=(
            zoo.Card(
                title="Minimal Gated Unit for Recurrent Neural Networks",
                authors="Guo-Bing Zhou, Jianxin Wu, Chen-Lin Zhang, Zhi-Hua Zhou",
                year=2016,
                url="https://arxiv.org/abs/1603.09420",
            ),
        ),
        related={
            "mgu": "has a gate that reads input and state.",
            "mgu1": "has a gate that reads the state and a bias.",
            "mgu2": "has a gate that reads the state.",
            "miru2": "has a constant leak that you choose.",
            "leaky_rnn": "has a constant leak that you choose, and a candidate that reads the whole state.",
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
