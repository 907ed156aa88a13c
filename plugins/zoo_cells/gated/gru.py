"""The gated recurrent unit whose reset gate acts after the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class GRU(zoo.Cell):
    """Gated recurrent unit: one gate blends state and candidate, another hides the state from the candidate.

    The reset gate scales ``h Wh + bn`` of the candidate after the matrix product, as in cuDNN and PyTorch's
    ``nn.GRU``, so one product serves all gates. The order of the gates in the weights is reset r, update z,
    candidate n.

    Equations::

        r, z, n = x Wx + b
        hr, hz, hn = h Wh
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = tanh(n + r * (hn + bn))
        h' = (1 - z) * n + z * h

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 3H)`` orthogonal for each gate, ``b (3H,)`` and
    ``bn (H,)`` zero. State and output: ``h (H,)``.

    ``z`` near one keeps the state, as in Cho et al. 2014. Chung et al. 2014 have the opposite convention. The
    first version of Cho et al. resets after the product, and the third version resets before it
    (``gru_reset_before``). PyTorch has a second, redundant bias for r and z.
    """

    family = "gated"
    card = zoo.Card(
        title="Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
        authors="Kyunghyun Cho, Bart van Merriënboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares, "
        "Holger Schwenk, Yoshua Bengio",
        year=2014,
        url="https://arxiv.org/abs/1406.1078v1",
        variant="The reset gate scales the state after the product, with a bias of its own inside the reset, "
        "as in cuDNN and PyTorch.",
        deviations="The paper writes no biases.",
        history="Cho et al. introduced the unit in 2014 for machine translation, as a simpler alternative to "
        "the LSTM: it has two gates and no separate memory cell. Chung et al. compared it with the LSTM "
        "under its present name in the same year, and found the two comparable on music and speech. Many "
        "cells of this family remove a gate or an input of a gate, and the minGRU of 2024 removes the state "
        "from its gates to run in parallel.",
        when_to_use="The GRU is a good first choice, and you can move its weights from and to PyTorch, Keras "
        "and Flax. It has three blocks of weights and one state vector, where an lstm has four blocks and "
        "two vectors. Its state is a weighted average, so it stays between -1 and 1 and cannot count without "
        "bound. Each step needs the output of the step before, so the steps of a sequence cannot run in "
        "parallel.",
        also=(
            zoo.Card(
                title="Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling",
                authors="Junyoung Chung, Caglar Gulcehre, KyungHyun Cho, Yoshua Bengio",
                year=2014,
                url="https://arxiv.org/abs/1412.3555",
            ),
        ),
        related={
            "para_gru": "has diagonal recurrent weights.",
            "gru_reset_before": "scales the state by the reset gate before the product.",
            "lstm": "has a memory cell in addition to the output, and an output gate.",
            "cifg_lstm": "has an output gate in place of the reset gate, and a memory cell.",
            "mgu": "has one gate that serves as both reset gate and update gate.",
            "ugrnn": "has no reset gate.",
            "ligru": "has no reset gate, and its candidate is rectified.",
            "atr": "has two gates that share the weights of the candidate.",
            "brc": "has gates and a candidate that read only the own state of a unit.",
            "nbrc": "has a candidate that reads only the own state of a unit, with a strength that a gate "
            "sets.",
            "t_gru": "has gates that read the input of the step before in place of the state.",
            "tau_gru": "adds feedback from a delayed state.",
            "min_gru": "has a gate and a candidate that read the input alone.",
            "mut1": "has an update gate that reads the input alone.",
            "gru_ode": "multiplies the change of the state by a time step of any length.",
            "vanilla": "has no gates.",
        },
    )
    # PyTorch's initial values, uniform within 1 / sqrt(H) of zero, are a little worse on text: 1.95 nats on
    # the last tenth of tiny-shakespeare after 1,000 steps of nn.GRU at H=128, where these reach 1.88 (one
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
