"""The gated recurrent unit whose reset gate acts after the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class GRU(zoo.Cell):
    """Gated recurrent unit: one gate blends state and candidate, another hides the state from the candidate.

    Reset after the product, as in cuDNN and PyTorch's ``nn.GRU``: the reset gate scales ``h Wh + bn`` of the
    candidate, so one product serves all gates. The gates stand in the order reset r, update z, candidate n.

    Equations::

        r, z, n = x Wx + b
        hr, hz, hn = h Wh
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = tanh(n + r * (hn + bn))
        h' = (1 - z) * n + z * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 3H)`` orthogonal gate by gate, ``b (3H,)`` and
    ``bn (H,)`` zero. State and output: ``h (H,)``.

    ``z`` near one keeps the state, as in Cho et al. 2014; Chung et al. 2014 (https://arxiv.org/abs/1412.3555)
    have it the other way round. The first version of Cho et al. resets after the product, the third before it
    (``gru_reset_before``). PyTorch has a second bias for r and z, which adds nothing.
    """

    family = "gated"
    card = zoo.Card(
        title="Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
        authors="Kyunghyun Cho, Bart van Merriënboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares, "
        "Holger Schwenk, Yoshua Bengio",
        year=2014,
        url="https://arxiv.org/abs/1406.1078v1",
        variant="Reset after the product, with a bias of its own inside the reset, as in cuDNN and PyTorch.",
        deviations="The paper writes no biases.",
        related={
            "gru_reset_before": "the reset gate scales the state before the product.",
            "mgu": "one gate serves as both reset and update gate.",
            "ligru": "has no reset gate, and a rectified candidate.",
            "min_gru": "gate and candidate see the input alone.",
            "mut1": "the update gate sees the input alone.",
            "gru_ode": "the change of the state is multiplied by a time step of any length.",
        },
    )
    # PyTorch's start, uniform within 1 / sqrt(H) of zero, does a little worse on text: 1.95 nats on the last
    # tenth of tiny-shakespeare after 1,000 steps of nn.GRU at H=128, where this start reaches 1.88 (one
    # seed).
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates r, z, n")
    Wh = zoo.Param("H", "3H", init="orthogonal", help="hidden to gates r, z, n")
    b = zoo.Param("3H", help="bias of gates r, z, n")
    bn = zoo.Param("H", help="bias of the candidate inside the reset")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - z", forget_gate="z", reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        r, z, n = zoo.split(x @ self.Wx + self.b, 3)
        hr, hz, hn = zoo.split(h @ self.Wh, 3)
        r, z = zoo.sigmoid(r + hr), zoo.sigmoid(z + hz)
        n = zoo.tanh(n + r * (hn + self.bn))
        return (1 - z) * n + z * h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the gated recurrent unit."""
    register(GRU)
