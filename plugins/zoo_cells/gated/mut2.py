"""MUT2, the second of three cells found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MUT2(zoo.Cell):
    """MUT2: a GRU variant found by search, whose reset gate adds the input without a matrix.

    In the paper, that is, where x is as wide as the state. For any other width the input needs a matrix on
    its way to the gate, and then the cell is the GRU that resets before the product, with the update gate
    the other way round. The parts of the products stand in the order update z, reset r, candidate n.

    Equations::

        xz, xr, xn = x Wx + b
        hz, hr = h Wh
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        n = tanh(xn + (r * h) Wn)
        h' = z * n + (1 - z) * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 2H)`` and ``Wn (H, H)`` orthogonal gate by gate,
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    There is no official code; the equations are the paper's as RecurrentLayers.jl documents them
    (``MUT2Cell``), with the matrix that its code and torchrecurrent put before the reset gate. The
    initialization is that of zoo's ``gru_reset_before``.
    """

    family = "gated"
    card = zoo.Card(
        title="An Empirical Exploration of Recurrent Network Architectures",
        authors="Rafal Jozefowicz, Wojciech Zaremba, Ilya Sutskever",
        year=2015,
        url="https://proceedings.mlr.press/v37/jozefowicz15.pdf",
        variant="MUT2.",
        deviations="The paper's reset gate adds x itself, and so needs I = H; here it adds x W, W the middle "
        "H columns of Wx. If W is the identity, the two are the same; trained, the cell is a GRU.",
        related={
            "mut1": "the update gate does not see the state.",
            "mut3": "the update gate sees tanh of the state.",
            "gru_reset_before": "z and 1 - z are exchanged.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates z, r and candidate n")
    Wh = zoo.Param("H", "2H", init="orthogonal", help="hidden to gates z, r")
    Wn = zoo.Param("H", "H", init="orthogonal", help="reset hidden to candidate n")
    b = zoo.Param("3H", help="bias of z, r, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xz, xr, xn = zoo.split(x @ self.Wx + self.b, 3)
        hz, hr = zoo.split(h @ self.Wh, 2)
        z, r = zoo.sigmoid(xz + hz), zoo.sigmoid(xr + hr)
        n = zoo.tanh(xn + (r * h) @ self.Wn)
        return z * n + (1 - z) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MUT2."""
    register(MUT2)
