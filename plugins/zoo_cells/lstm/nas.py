"""The recurrent cell found by neural architecture search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class NAS(zoo.Cell):
    """NAS cell: a cell found by neural architecture search, for language models of words.

    Eight units of three kinds read the same input. They are combined in pairs like a tree, and the memory
    enters one branch. The order in the weights is n0, ..., n7.

    Equations::

        x0, ..., x7 = x Wx
        h0, ..., h7 = h Wh + b
        nk = xk + hk, but for n3 = x3 * h3
        p  = tanh(sigmoid(n0) * relu(n1))
        q  = tanh(sigmoid(n2) + relu(n3))
        r  = tanh(tanh(n4) * sigmoid(n5))
        s  = sigmoid(tanh(n6) + sigmoid(n7))
        c' = tanh(p + c) * q
        h' = tanh(c' * tanh(r + s))

    Parameters: ``Wx (I, 8H)`` and ``Wh (H, 8H)`` Glorot uniform, ``b (8H,)`` zero. States: ``h (H,)``, which
    is the output, and ``c (H,)``.

    The equations are from TensorFlow's ``NASCell``, in ``tensorflow/contrib/rnn/python/ops/rnn_cell.py`` and
    in TensorFlow Addons. The paper gives its cell as a picture. In n3 the two terms are multiplied, while
    torchrecurrent adds them.
    """

    family = "lstm"
    card = zoo.Card(
        title="Neural Architecture Search with Reinforcement Learning",
        authors="Barret Zoph, Quoc V. Le",
        year=2016,
        url="https://arxiv.org/abs/1611.01578",
        variant="This is the NASCell of TensorFlow, without its projection.",
        deviations="TensorFlow's cell has a bias only as an option. Here it always has one, added to the "
        "product with h as in TensorFlow, so that it is multiplied by x3 in n3.",
        history="Zoph and Le trained a recurrent network by reinforcement learning in 2016 to write "
        "descriptions of architectures. On the Penn Treebank the search found this cell, with a perplexity "
        "of 62.4, which was 3.6 better than the best model before it. Melis, Dyer and Blunsom later found "
        "that well tuned LSTMs outperform it.",
        when_to_use="Use it to reproduce the paper, or as an example of a cell without a simple idea behind "
        "it. It has eight blocks of weights, so it costs twice as much as an lstm with the same number of "
        "units. Compare it with an lstm that has the same number of parameters before you choose it.",
        related={
            "lstm": "has four gates, where the NAS cell combines eight units.",
            "mut1": "is the result of another search, among variants of the GRU.",
        },
    )
    Wx = zoo.Param("I", "8H", init="glorot_uniform", help="input to n0, ..., n7")
    Wh = zoo.Param("H", "8H", init="glorot_uniform", help="hidden to n0, ..., n7")
    b = zoo.Param("8H", help="bias of the product with the hidden units")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        x0, x1, x2, x3, x4, x5, x6, x7 = zoo.split(x @ self.Wx, 8)
        h0, h1, h2, h3, h4, h5, h6, h7 = zoo.split(h @ self.Wh + self.b, 8)
        p = zoo.tanh(zoo.sigmoid(x0 + h0) * zoo.relu(x1 + h1))
        q = zoo.tanh(zoo.sigmoid(x2 + h2) + zoo.relu(x3 * h3))
        r = zoo.tanh(zoo.tanh(x4 + h4) * zoo.sigmoid(x5 + h5))
        s = zoo.sigmoid(zoo.tanh(x6 + h6) + zoo.sigmoid(x7 + h7))
        c = zoo.tanh(p + c) * q
        return zoo.tanh(c * zoo.tanh(r + s)), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the NAS cell."""
    register(NAS)
