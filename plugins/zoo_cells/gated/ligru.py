"""The light gated recurrent unit, Li-GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class LiGRU(zoo.Cell):
    """Light GRU: a GRU without reset gate and with rectified candidates, made for speech recognition.

    A GRU without the reset gate, and with relu in place of tanh, so that states are not bounded. The weights
    stand in the order gate z, candidate n.

    Equations::

        z, n = x Wx + h Wh + b
        z = sigmoid(z)
        h' = z * h + (1 - z) * relu(n)

    Parameters: ``Wx (I, 2H)`` uniform within ``1 / sqrt(I)`` of zero, ``Wh (H, 2H)`` orthogonal part by part,
    ``b (2H,)`` zero. State and output: ``h (H,)``.

    The gate near one keeps the state. Equations and initialization are those of the class ``liGRU`` in the
    authors' https://github.com/mravanelli/pytorch-kaldi, with the settings of its experiments (relu,
    orthogonal recurrent weights). There, ``x Wx`` is normalised over batch and time before the state is
    added. The step of one row can't see the batch. Once trained, such a normalisation is a scale and a shift
    of each unit, which ``Wx`` and ``b`` can express; what is missing is its help while training, so keep the
    norm of the gradients clipped.
    """

    name = "ligru"
    family = "gated"
    card = zoo.Card(
        title="Light Gated Recurrent Units for Speech Recognition",
        authors="Mirco Ravanelli, Philemon Brakel, Maurizio Omologo, Yoshua Bengio",
        year=2018,
        url="https://arxiv.org/abs/1803.10225",
        variant="Li-GRU with relu, one direction.",
        deviations="No batch normalisation of x Wx, which needs the whole batch; biases stand for its shift. "
        "No recurrent dropout.",
        related={
            "gru": "has a reset gate, and tanh in place of the rectifier.",
            "mgu": "its one gate also scales the state that the candidate reads.",
            "ugrnn": "has tanh in place of the rectifier, and a constant added to the gate.",
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
