"""The addition-subtraction twin-gated recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class ATR(zoo.Cell):
    """Addition-subtraction twin-gated network: sum and difference of projected input and state are its gates.

    The cell has the same matrices as a vanilla network. The state is not squashed: it is a weighted sum of
    all projected inputs, and it is not bounded. The order in the biases is input p, history q.

    Equations::

        bp, bq = b
        p = x Wx + bp
        q = h Wh + bq
        i, f = sigmoid(p + q), sigmoid(p - q)
        h' = i * p + f * h

    Parameters: ``Wx (I, H)`` and ``Wh (H, H)`` Glorot uniform, ``b (2H,)`` zero. State and output:
    ``h (H,)``.

    The forget gate reads ``p - q``, and the sign matters: the state can then close the gate that keeps it.
    The paper prints the difference with the wrong sign, as its authors explain at
    https://github.com/bzhangGo/ATR. The authors publish two language models there: the one in TensorFlow has
    no biases, and the one in PyTorch has both. Both start all parameters within 0.08 of zero. Here the biases
    start at zero, and the weights at TensorFlow's default.
    """

    family = "gated"
    card = zoo.Card(
        title="Simplifying Neural Machine Translation with Addition-Subtraction Twin-Gated Recurrent "
        "Networks",
        authors="Biao Zhang, Deyi Xiong, Jinsong Su, Qian Lin, Huiji Zhang",
        year=2018,
        url="https://arxiv.org/abs/1810.12546",
        variant="The twin gates are as in the authors' code, and the state has no nonlinearity.",
        deviations="The forget gate is sigmoid(p - q), as the authors correct their paper. The paper writes "
        "no biases. Here p and q have one each, as in the authors' PyTorch code.",
        history="Zhang et al. published the cell in 2018 to simplify networks for machine translation. Both "
        "gates come from one projection of the input and one of the state, the smallest number of matrices "
        "among the gated networks of their time. They report competitive translation quality on WMT14 "
        "English-German and English-French. Its first author continued with the LRN of 2019, whose "
        "recurrence needs no matrix product.",
        when_to_use="Use it where a gru is too large: it has one block of recurrent weights, a third of a "
        "gru, and in our short run on text it is better than the vanilla cell of the same size. The state is "
        "not bounded. Gates and content share their weights, so they cannot be set separately.",
        related={
            "gru": "has gates with matrices of their own.",
            "ran": "has gates with matrices of their own, and a content that is also linear in the input.",
            "sgrn": "has one gate, and squashes the state.",
            "fastgrnn": "also shares the matrices between gate and candidate.",
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
