"""The gated recurrent unit whose reset gate acts before the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class GRUResetBefore(zoo.Cell):
    """Gated recurrent unit whose reset gate scales the state before the matrix product of the candidate.

    This is the version of the published papers, and of Keras with ``reset_after=False``. The order of the
    gates in the weights is reset r, update z, candidate n.

    Equations::

        xr, xz, xn = x Wx + b
        hr, hz = h Wh
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + (r * h) Wn)
        h' = (1 - z) * n + z * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 2H)`` and ``Wn (H, H)`` orthogonal for each gate,
    ``b (3H,)`` zero. State and output: ``h (H,)``.

    ``z`` near one keeps the state, as in Cho et al. 2014 and Keras. Chung et al. 2014 and Haiku have the
    opposite convention. The cell ``gru`` resets after the product.
    """

    family = "gated"
    card = zoo.Card(
        title="Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
        authors="Kyunghyun Cho, Bart van Merriënboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares, "
        "Holger Schwenk, Yoshua Bengio",
        year=2014,
        url="https://arxiv.org/abs/1406.1078v3",
        variant="The reset gate scales the state before the product, as in the third version of the paper "
        "and in Chung et al. 2014.",
        deviations="The paper writes no biases. Here every gate has one, as in Keras.",
        history="The first version of the paper by Cho et al. applied the reset gate after the product, and "
        "the third version applied it before. Keras used the later version at first, and Haiku still does. "
        "cuDNN and PyTorch have the earlier one, in which one matrix product serves all gates.",
        when_to_use="Use it to reproduce papers and models that reset before the product, for example from "
        "Keras with ``reset_after=False``. It has the same size and state as the gru, but the candidate has "
        "to wait for the reset gate, so each step has two matrix products in sequence. In our short run on "
        "text the two versions are equally good.",
        also=(
            zoo.Card(
                title="Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling",
                authors="Junyoung Chung, Caglar Gulcehre, KyungHyun Cho, Yoshua Bengio",
                year=2014,
                url="https://arxiv.org/abs/1412.3555",
            ),
        ),
        related={
            "gru": "scales the product of the candidate by the reset gate, after the product.",
            "mgu": "has one gate that serves as both reset gate and update gate.",
            "miru1": "has a constant in place of the update gate.",
            "miru2": "has constants in place of both gates.",
            "mut1": "has an update gate that reads the input alone.",
            "mut2": "exchanges the roles of z and 1 - z, and in its paper the reset gate adds the input "
            "itself.",
            "mut3": "has an update gate that reads tanh of the state, and exchanges the roles of z and 1 - "
            "z.",
            "gru_ode": "multiplies the change of the state by a time step of any length.",
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
