"""The light gated recurrent unit, Li-GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class LiGRU(zoo.Cell):
    """Light GRU: a GRU without reset gate and with rectified candidates, designed for speech recognition.

    The candidate passes through relu in place of tanh, so states are not bounded. The order in the weights is
    gate z, candidate n.

    Equations::

        z, n = x Wx + h Wh + b
        z = sigmoid(z)
        h' = z * h + (1 - z) * relu(n)

    Parameters: ``Wx (I, 2H)`` uniform within ``1 / sqrt(I)`` of zero, ``Wh (H, 2H)`` orthogonal for each
    part, ``b (2H,)`` zero. State and output: ``h (H,)``.

    A gate near one keeps the state. The equations and the initial values are from the class ``liGRU`` in the
    authors' https://github.com/mravanelli/pytorch-kaldi, with the settings of its experiments (relu,
    orthogonal recurrent weights). There, ``x Wx`` is normalised over batch and time before the state is
    added. The step of one sequence cannot read the batch. After training, such a normalisation is a scale and
    a shift of each unit, which ``Wx`` and ``b`` can express. Its help during training is missing, so clip the
    norm of the gradients.
    """

    name = "ligru"
    family = "gated"
    card = zoo.Card(
        title="Light Gated Recurrent Units for Speech Recognition",
        authors="Mirco Ravanelli, Philemon Brakel, Maurizio Omologo, Yoshua Bengio",
        year=2018,
        url="https://arxiv.org/abs/1803.10225",
        variant="This is the Li-GRU with relu, in one direction.",
        deviations="The batch normalisation of x Wx is left out, since it needs the whole batch, and biases "
        "replace its shift. There is no recurrent dropout.",
        history="Ravanelli, Brakel, Omologo and Bengio revised the GRU in 2018 for speech recognition. They "
        "found the reset gate redundant with the update gate and removed it, and used relu, which combines "
        "well with batch normalisation. Training took more than 30 % less time per epoch, with better "
        "recognition. In 2023 Moumen and Parcollet showed that the unbounded relu makes gradients explode, "
        "and proposed the SLi-GRU.",
        when_to_use="Use it for speech features in deep stacks, with clipped gradients and a small learning "
        "rate. It has two blocks of weights where the gru has three. The state is not bounded, and the batch "
        "normalisation of the paper is missing here, so training can diverge. In our short run on text it is "
        "among the weakest gated cells, so take the ugrnn there, which has the same gate and tanh.",
        also=(
            zoo.Card(
                title="Improving Speech Recognition by Revising Gated Recurrent Units",
                authors="Mirco Ravanelli, Philemon Brakel, Maurizio Omologo, Yoshua Bengio",
                year=2017,
                url="https://arxiv.org/abs/1710.00641",
            ),
        ),
        related={
            "gru": "has a reset gate, and tanh in place of the rectifier.",
            "mgu": "has one gate that also scales the state that the candidate reads.",
            "ugrnn": "has tanh in place of the rectifier, and a constant added to the gate.",
            "light_ru": "has a tanh candidate that reads the input alone.",
            "irnn": "has rectified units without a gate.",
        },
    )
    Wx = zoo.Param("I", "2H", init="fan_in_uniform", help="input to z, n")
    Wh = zoo.Param("H", "2H", init="orthogonal", help="hidden to z, n")
    b = zoo.Param("2H", help="bias of z, n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="1 - z", forget_gate="z", update_gate="z", candidate="relu_n")

    def step(self, x: Array, h: Array) -> Array:
        z, n = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 2)
        z = zoo.sigmoid(z)
        return z * h + (1 - z) * zoo.relu(n)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the light gated recurrent unit."""
    register(LiGRU)
