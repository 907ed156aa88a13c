"""The simple gated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class SGU(zoo.Cell):
    """Simple gated unit: the candidate is computed from the product of projected input and state.

    One multiplicative gate reads the product of input and state, and the result scales the state. States that
    start at zero are never negative. The order in the input weights is gate g, update z.

    Equations::

        xg, xz = x Wx + b
        g = tanh((xg * h) Wg)
        o = softplus(g * h)
        z = clip(0.2 * (xz + h Wh) + 0.5, 0, 1)
        h' = (1 - z) * h + z * o

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wg (H, H)`` and ``Wh (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    The update gate is a hard sigmoid with a slope of 1/5, as in Theano, Chainer and Keras when the paper was
    written. PyTorch's hard sigmoid has a slope of 1/6. There is no official code. The equations are from the
    paper as https://github.com/MartinuzziFrancesco/torchrecurrent/issues/39 quotes them. The activations are
    from the cell ``SGU`` proposed to Chainer (its pull request 1115). The initial values are the same as in
    zoo's other gated cells.
    """

    family = "gated"
    card = zoo.Card(
        title="Deep Gate Recurrent Neural Network",
        authors="Yuan Gao, Dorota Glowacka",
        year=2016,
        url="https://arxiv.org/abs/1604.02910",
        variant="This is the SGU of the paper: softplus is the last activation, and there is no bias after "
        "the multiplication.",
        deviations="The cell proposed to Chainer and torchrecurrent's have another bias after the product "
        "with Wg. torchrecurrent uses PyTorch's hard sigmoid.",
        history="Gao and Glowacka introduced the unit in 2016, with one multiplicative gate in place of the "
        "several gates of the LSTM and the GRU. They report fewer parameters, less computation and faster "
        "learning on tasks of sequence classification with long dependencies. The same paper has the DSGU, "
        "which they found to be numerically more stable.",
        when_to_use="Use it to reproduce the paper. For other work take the dsgu, whose states are bounded. "
        "The states of this cell are not bounded. It has two blocks of recurrent weights where the gru has "
        "three, and in our short run on text it is about as good as the vanilla cell.",
        related={
            "dsgu": "adds a layer, and has a sigmoid in place of softplus.",
            "mi_rnn": "also multiplies projections of input and state, and has no gate.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to gate g, update z")
    Wg = zoo.Param("H", "H", init="orthogonal", help="input times hidden to gate g")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to update z")
    b = zoo.Param("2H", help="bias of g (before the product with the state) and z")
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
