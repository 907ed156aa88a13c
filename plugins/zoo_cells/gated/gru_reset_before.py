"""The gated recurrent unit whose reset gate acts before the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class GRUResetBefore(zoo.Cell):
    """Gated recurrent unit whose reset gate scales the state before the matrix product of the candidate.

    Reset before the product, as in the published papers and Keras with ``reset_after=False``. The gates stand
    in the order reset r, update z, candidate n.

    Equations::

        xr, xz, xn = x Wx + b
        hr, hz = h Wh
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + (r * h) Wn)
        h' = (1 - z) * n + z * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 2H)`` and ``Wn (H, H)`` orthogonal gate by gate,
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    ``z`` near one keeps the state, as in Cho et al. 2014 and Keras; Chung et al. 2014
    (https://arxiv.org/abs/1412.3555) and Haiku have it the other way round. ``gru`` is the variant that
    resets after the product.
    """

    family = "gated"
    card = zoo.Card(
        title="Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
        authors="Kyunghyun Cho, Bart van Merriënboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares, "
        "Holger Schwenk, Yoshua Bengio",
        year=2014,
        url="https://arxiv.org/abs/1406.1078v3",
        variant="Reset before the product, as in the third version of the paper and in Chung et al. 2014.",
        deviations="The paper writes no biases; here every gate has one, as in Keras.",
        related={
            "gru": "the reset gate scales the product of the candidate, after the product.",
            "mut2": "z and 1 - z are exchanged. In the paper, the reset gate adds the input itself.",
            "mgu": "one gate serves as both reset and update gate.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates r, z, n")
    Wh = zoo.Param("H", "2H", init="orthogonal", help="hidden to gates r, z")
    Wn = zoo.Param("H", "H", init="orthogonal", help="reset hidden to candidate n")
    b = zoo.Param("3H", help="bias of gates r, z, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - z", forget_gate="z", reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xr, xz, xn = zoo.split(x @ self.Wx + self.b, 3)
        hr, hz = zoo.split(h @ self.Wh, 2)
        r, z = zoo.sigmoid(xr + hr), zoo.sigmoid(xz + hz)
        n = zoo.tanh(xn + (r * h) @ self.Wn)
        return (1 - z) * n + z * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the gated recurrent unit that resets before the product."""
    register(GRUResetBefore)
