"""The chaos-free network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform_007(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within 0.07 of zero for every size."""
    return rng.uniform(-0.07, 0.07, shape)


def forward_in_time(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One for the forget gate and minus one for the input gate: the cell first keeps more than it writes."""
    return np.repeat([1.0, -1.0], shape[0] // 2)


class CFN(zoo.Cell):
    """Chaos-free network: gates scale squashed state and input, and without input the state decays to zero.

    Units influence each other only through the gates, and no gate amplifies. The value of a unit therefore
    comes from an input, and fades. States lie between -2 and 2. The order in the weights is forget gate t
    (theta in the paper), input gate e (eta), candidate n.

    Equations::

        xt, xe, xn = x Wx
        t, e = sigmoid((xt, xe) + h Wh + b)
        h' = t * tanh(h) + e * tanh(xn)

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 2H)`` uniform within 0.07 of zero, ``b (2H,)`` one for t and minus
    one for e. State and output: ``h (H,)``.

    In ``Wh`` the columns of t come before the columns of e. The equations and the initial values are from the
    paper (equations 1 and 2, and section 3). The candidate has no bias, since with a bias zero would not be a
    fixed point. torchrecurrent has such a bias.
    """

    family = "gated"
    card = zoo.Card(
        title="A recurrent neural network without chaos",
        authors="Thomas Laurent, James von Brecht",
        year=2016,
        url="https://arxiv.org/abs/1612.06212",
        variant="This is the basic model of the paper, equations (1) and (2), with its published initial "
        "values.",
        deviations="There is no dropout at the gates.",
        history="Laurent and von Brecht published the cell in 2016. They observed chaotic dynamics in the "
        "LSTM and the GRU, and built a network whose dynamics they can prove to be simple: without input, "
        "every state decays to zero. It performed comparably with the LSTM and the GRU on language models of "
        "words.",
        when_to_use="Use it where you have to predict the behaviour of the network, or study dynamics: "
        "without input it always returns to zero. It has two blocks of recurrent weights where the gru has "
        "three. It cannot hold a value without end or oscillate on its own. In our short run on text it is "
        "about as good as the lstm.",
        related={
            "ran": "has the same gates, and squashes neither candidate nor memory.",
        },
    )
    Wx = zoo.Param("I", "3H", init=uniform_007, help="input to gates t, e and candidate n")
    Wh = zoo.Param("H", "2H", init=uniform_007, help="hidden to gates t, e")
    b = zoo.Param("2H", init=forward_in_time, help="bias of gates t, e")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="e", forget_gate="t", candidate="tanh_xn")

    def step(self, x: Array, h: Array) -> Array:
        xt, xe, xn = zoo.split(x @ self.Wx, 3)
        ht, he = zoo.split(h @ self.Wh + self.b, 2)
        t, e = zoo.sigmoid(xt + ht), zoo.sigmoid(xe + he)
        return t * zoo.tanh(h) + e * zoo.tanh(xn)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the chaos-free network."""
    register(CFN)
