"""The addition-subtraction twin-gated recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class ATR(zoo.Cell):
    """Addition-subtraction twin-gated network: sum and difference of projected input and state are its gates.

    As few matrices as a vanilla network has. Nothing is squashed, so that a state is a weighted sum of all
    projected inputs, and not bounded. The biases stand in the order input p, history q.

    Equations::

        bp, bq = b
        p = x Wx + bp
        q = h Wh + bq
        i, f = sigmoid(p + q), sigmoid(p - q)
        h' = i * p + f * h

    Parameters: ``Wx (I, H)`` and ``Wh (H, H)`` Glorot uniform, ``b (2H,)`` zero. State and output:
    ``h (H,)``.

    It is ``p - q``, and the order matters: so the state can shut the gate that keeps it. The paper prints it
    wrongly, as its authors say at https://github.com/bzhangGo/ATR. Of their two language models there, the
    one in TensorFlow has no biases; the one in PyTorch has both. Both models draw all parameters within 0.08
    of zero; here the biases start at zero, and the weights as TensorFlow draws them if not told otherwise.
    """

    family = "gated"
    card = zoo.Card(
        title="Simplifying Neural Machine Translation with Addition-Subtraction Twin-Gated Recurrent "
        "Networks",
        authors="Biao Zhang, Deyi Xiong, Jinsong Su, Qian Lin, Huiji Zhang",
        year=2018,
        url="https://arxiv.org/abs/1810.12546",
        variant="Twin gates as in the authors' code, no nonlinearity on the state.",
        deviations="The forget gate is sigmoid(p - q), as the authors correct their paper. The paper writes "
        "no biases; here p and q have one each, as in the authors' PyTorch code.",
        related={
            "gru": "computes its gates from matrices of their own.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to p")
    Wh = zoo.Param("H", "H", init="glorot_uniform", help="hidden to q")
    b = zoo.Param("2H", help="bias of p, q")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="sigmoid_p", forget_gate="sigmoid_p_2", candidate="p")

    def step(self, x: Array, h: Array) -> Array:
        bp, bq = zoo.split(self.b, 2)
        p = x @ self.Wx + bp
        q = h @ self.Wh + bq
        return zoo.sigmoid(p + q) * p + zoo.sigmoid(p - q) * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the addition-subtraction twin-gated network."""
    register(ATR)
