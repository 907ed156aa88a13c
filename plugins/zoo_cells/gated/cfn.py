"""The chaos-free network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform_007(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within 0.07 of zero, whatever the size."""
    return rng.uniform(-0.07, 0.07, shape)


def forward_in_time(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One for the forget gate and minus one for the input gate: at first, more is kept than is written."""
    return np.repeat([1.0, -1.0], shape[0] // 2)


class CFN(zoo.Cell):
    """Chaos-free network: gates scale squashed state and input, and without input the state decays to zero.

    No unit hears another but through the gates, and no gate amplifies. So what a unit shows was put there by
    an input, and fades. States lie between -2 and 2. The parts of the products stand in the order forget gate
    t (theta in the paper), input gate e (eta), candidate n.

    Equations::

        xt, xe, xn = x Wx
        t, e = sigmoid((xt, xe) + h Wh + b)
        h' = t * tanh(h) + e * tanh(xn)

    Parameters: ``Wx (I, 3H)`` and ``Wh (H, 2H)``, the columns of t before those of e, uniform within 0.07 of
    zero; ``b (2H,)`` one for t and minus one for e. State and output: ``h (H,)``.

    Equations and initialization are those of the paper (its 1 and 2, and section 3). The candidate has no
    bias: with one, zero would not be at rest. torchrecurrent has it.
    """

    family = "gated"
    card = zoo.Card(
        title="A recurrent neural network without chaos",
        authors="Thomas Laurent, James von Brecht",
        year=2016,
        url="https://arxiv.org/abs/1612.06212",
        variant="The basic model, equations (1) and (2), with its published start.",
        deviations="No dropout at the gates.",
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
