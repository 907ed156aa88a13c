"""The light recurrent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class LightRU(zoo.Cell):
    """Light recurrent unit: one gate for input and state, and a candidate that reads the input alone.

    An ``mgu`` whose candidate does not read the state, so that states are averages of encoded inputs. The
    order in the input weights is gate f, candidate n. The candidate has no bias.

    Equations::

        xf, xn = x Wx
        f = sigmoid(xf + h Wh + b)
        h' = (1 - f) * h + f * tanh(xn)

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)`` zero. State and output:
    ``h (H,)``.

    The authors call the cell LRU, a name that another cell has here (``lru``). They call the gate forget
    gate, and a gate near one replaces the state by the candidate. The documentation of RecurrentLayers.jl and
    the code of https://github.com/lucidrains/light-recurrent-unit-pytorch quote the same equations from the
    paper. torchrecurrent also has a bias in the candidate. No code of the authors is known. The initial
    values are the same as for ``mgu``.
    """

    family = "gated"
    card = zoo.Card(
        title="Light Recurrent Unit: Towards an Interpretable Recurrent Neural Network for Modeling "
        "Long-Range Dependency",
        authors="Hong Ye, Yibing Zhang, Huizhou Liu, Xuannong Li, Jiaming Chang, Hui Zheng",
        year=2024,
        url="https://doi.org/10.3390/electronics13163204",
        variant="This is one unit of the paper, with tanh in the candidate and a bias in the gate only.",
        deviations="The paper also has a stack recurrent cell (SRC), which changes the activation function. "
        "It is left out here.",
        history="Ye et al. proposed the unit in 2024 as an interpretable network with few parameters. It is "
        "close to the MinimalRNN of 2017, which also keeps the state out of the candidate, and to the minGRU "
        "of the same year, whose gate does not read the state either.",
        when_to_use="Use it if you want readable states: each is an average of tanh of projected inputs. It "
        "has one block of recurrent weights where the gru has three. In our short run on text it is nearly "
        "as good as the mgu at two thirds of its size. The state cannot be transformed within a layer, so "
        "stack layers for tasks that compute with the state.",
        related={
            "mgu": "has a candidate that also reads the state.",
            "ligru": "has a rectified candidate that also reads the state.",
            "star": "squashes the new state again.",
            "minimal_rnn": "has a gate that reads the encoded input in place of the input.",
            "min_gru": "has a gate that also reads the input alone.",
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
