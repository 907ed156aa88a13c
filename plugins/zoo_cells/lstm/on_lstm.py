"""The LSTM with ordered neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def hidden_uniform(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Uniform within ``1 / sqrt(H)`` of zero."""
    return rng.uniform(-1, 1, shape) / np.sqrt(shape[0] / (4 + 2 / cell.chunk))


class ONLSTM(zoo.Cell):
    """Ordered neurons: an LSTM whose units are ordered from fast to slow ones.

    Two master gates are cumulative sums of a softmax, so they rise or fall from the first unit to the last.
    When a unit is erased, all units before it are erased, too. Slow units can thus hold long phrases, and
    fast units short ones.

    Equations, where each element of p and q counts for ``chunk`` units::

        p, q, o, g, i, f = x Wx + h Wh + b
        p, q = 1 - cumax(p), cumax(q)
        w = p * q
        k = sigmoid(f) * w + (q - w)
        j = sigmoid(i) * w + (p - w)
        c' = k * c + j * tanh(g)
        h' = sigmoid(o) * tanh(c')

    The parameters ``Wx (I, 4H + 2H/chunk)``, ``Wh (H, 4H + 2H/chunk)`` and ``b (4H + 2H/chunk,)`` start as in
    PyTorch's ``nn.Linear``, uniform within ``1 / sqrt(I)`` of zero for Wx and ``1 / sqrt(H)`` for the others.
    The states are ``h (H,)``, which is the output, and ``c (H,)``.

    This is ``ONLSTMCell`` of https://github.com/yikangshen/Ordered-Neurons (BSD-3-Clause), the code of the
    paper, without its dropout of weights. ``chunk`` has to divide H.
    """

    name = "on_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Ordered Neurons: Integrating Tree Structures into Recurrent Neural Networks",
        authors="Yikang Shen, Shawn Tan, Alessandro Sordoni, Aaron Courville",
        year=2019,
        url="https://arxiv.org/abs/1810.09536",
        variant="The gates have no layer norm, and there is no dropout of weights.",
        deviations="Each gate has one bias, and the official code adds two. The default chunk is 1, so that "
        "every H is possible. The authors use 10.",
        history="Shen, Tan, Sordoni and Courville published a preprint in 2018 and presented it at ICLR in "
        "2019. They read trees of sentences from the master forget gate of a language model, without "
        "training on trees.",
        when_to_use="Use it for language and for other nested sequences, for example brackets. The master "
        "gates show at which level a phrase ends: trace q. It costs up to half more than an LSTM with chunk "
        "= 1, and little more with a larger chunk.",
        related={
            "lstm": "has no order of its units.",
            "clockwork": "has groups of units with fixed periods.",
        },
    )
    Wx = zoo.Param("I", "4H + 2H/chunk", init="fan_in_uniform", help="input to p, q, o, g, i, f")
    Wh = zoo.Param("H", "4H + 2H/chunk", init="fan_in_uniform", help="hidden to p, q, o, g, i, f")
    b = zoo.Param("4H + 2H/chunk", init=hidden_uniform, help="bias of p, q, o, g, i, f")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    chunk = zoo.Option(1, low=1, help="units for each element of the master gates")
    gates = zoo.Gates(input_gate="j", forget_gate="k", output_gate="sigmoid_o", candidate="tanh_g")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        a = x @ self.Wx + h @ self.Wh + self.b
        masters = 2 * (h.shape[-1] // self.chunk)
        p, q = zoo.split(a[:masters], 2)
        o, g, i, f = zoo.split(a[masters:], 4)
        p, q = zoo.cumax(p), zoo.cumax(q)
        p, q = (
            1 - p / p[-1:],
            q / q[-1:],
        )  # the last element is one, but for rounding, and no gate exceeds one
        p, q = np.repeat(p, self.chunk), np.repeat(q, self.chunk)
        w = p * q
        k = zoo.sigmoid(f) * w + (q - w)
        j = zoo.sigmoid(i) * w + (p - w)
        c = k * c + j * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with ordered neurons."""
    register(ONLSTM)
