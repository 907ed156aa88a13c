"""The deep simple gated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class DSGU(zoo.Cell):
    """Deep simple gated unit: the simple gated unit with one more layer and a sigmoid in place of softplus.

    As in the ``sgu``, one gate multiplies input and state. Its result passes another matrix and a sigmoid, so
    that states cannot grow. The order in the input weights is gate g, update z.

    Equations::

        xg, xz = x Wx + b
        g = tanh((xg * h) Wg)
        o = sigmoid((g * h) Wo)
        z = clip(0.2 * (xz + h Wh) + 0.5, 0, 1)
        h' = (1 - z) * h + z * o

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wg (H, H)``, ``Wo (H, H)`` and ``Wh (H, H)`` orthogonal,
    ``b (2H,)`` zero. State and output: ``h (H,)``.

    The update gate is a hard sigmoid with a slope of 1/5, as in Theano, Chainer and Keras when the paper was
    written. PyTorch's hard sigmoid has a slope of 1/6. There is no official code. The equations are from the
    paper as https://github.com/MartinuzziFrancesco/torchrecurrent/issues/39 quotes them. The activations are
    from the cell ``DSGU`` proposed to Chainer (its pull request 1115). The initial values are the same as in
    zoo's other gated cells.
    """

    family = "gated"
    card = zoo.Card(
        title="Deep Gate Recurrent Neural Network",
        authors="Yuan Gao, Dorota Glowacka",
        year=2016,
        url="https://arxiv.org/abs/1604.02910",
        variant="This is the DSGU of the paper: a sigmoid is the last activation, and there are no biases "
        "after the multiplication.",
        deviations="The cell proposed to Chainer and torchrecurrent's have another bias after the product "
        "with Wg, and the cell proposed to Chainer has a third one after the product with Wo. torchrecurrent "
        "uses PyTorch's hard sigmoid.",
        history="Gao and Glowacka introduced the unit in 2016 together with the sgu. It adds one layer to "
        "the multiplicative gate and bounds the state by a sigmoid, which they found to be numerically more "
        "stable. They report fewer parameters and less computation than the LSTM and the GRU on tasks of "
        "sequence classification.",
        when_to_use="Use it where products of input and state matter, such as sequence classification in the "
        "paper. In our short run on text it is better than the sgu and a little better than the lstm, at two "
        "thirds of its size. States lie between zero and one, so there is no sign in the state. Each step "
        "has two matrix products in sequence.",
        related={
            "sgu": "has one layer less, and softplus in place of the sigmoid.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to gate g, update z")
    Wg = zoo.Param("H", "H", init="orthogonal", help="input times hidden to gate g")
    Wo = zoo.Param("H", "H", init="orthogonal", help="gated hidden to output o")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to update z")
    b = zoo.Param("2H", help="bias of g (before the product with the state) and z")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", update_gate="z", candidate="o")

    def step(self, x: Array, h: Array) -> Array:
        xg, xz = zoo.split(x @ self.Wx + self.b, 2)
        g = zoo.tanh((xg * h) @ self.Wg)
        o = zoo.sigmoid((g * h) @ self.Wo)
        z = np.clip(0.2 * (xz + h @ self.Wh) + 0.5, 0, 1)
        return (1 - z) * h + z * o


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the deep simple gated unit."""
    register(DSGU)
