"""The simple gated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class SGU(zoo.Cell):
    """Simple gated unit: the candidate is computed from the product of projected input and state.

    One multiplicative gate reads the product of input and state, and scales the state by the result. States
    that began at zero are never negative. The parts of the products stand in the order gate g, update z.

    Equations::

        xg, xz = x Wx + b
        g = tanh((xg * h) Wg)
        o = softplus(g * h)
        z = clip(0.2 * (xz + h Wh) + 0.5, 0, 1)
        h' = (1 - z) * h + z * o

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wg (H, H)`` and ``Wh (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    The update gate is a hard sigmoid, that of Theano, Chainer and Keras when the paper was written, with a
    slope of 1/5; PyTorch's has 1/6. There is no official code; the equations are the paper's as
    https://github.com/MartinuzziFrancesco/torchrecurrent/issues/39 quotes them. The activations are those of
    the cell ``SGU`` proposed to Chainer (its pull request 1115). The initialization is that of zoo's other
    gated cells.
    """

    family = "gated"
    card = zoo.Card(
        title="Deep Gate Recurrent Neural Network",
        authors="Yuan Gao, Dorota Glowacka",
        year=2016,
        url="https://arxiv.org/abs/1604.02910",
        variant="SGU: softplus as the last activation, no bias after the multiplication.",
        deviations="The cell proposed to Chainer and torchrecurrent's have one bias more, after the product "
        "with Wg; torchrecurrent takes PyTorch's hard sigmoid.",
        related={
            "dsgu": "adds a layer, and a sigmoid in place of softplus.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to gate g, update z")
    Wg = zoo.Param("H", "H", init="orthogonal", help="input times hidden to gate g")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to update z")
    b = zoo.Param("2H", help="bias of g (before it meets the state) and z")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", update_gate="z", candidate="softplus_g")

    def step(self, x: Array, h: Array) -> Array:
        xg, xz = zoo.split(x @ self.Wx + self.b, 2)
        g = zoo.tanh((xg * h) @ self.Wg)
        z = np.clip(0.2 * (xz + h @ self.Wh) + 0.5, 0, 1)
        return (1 - z) * h + z * zoo.softplus(g * h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the simple gated unit."""
    register(SGU)
