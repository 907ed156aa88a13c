"""The minion recurrent unit without gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MiRU2(zoo.Cell):
    """Minion recurrent unit 2: a GRU whose update and reset gates are constants.

    How fast the state follows the candidate, and how much of it the candidate hears, are chosen beforehand.
    What is left is a leaky vanilla RNN.

    Equations::

        n = tanh(x Wx + (hear * h) Wh + b)
        h' = keep * h + (1 - keep) * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)`` zero. State and output:
    ``h (H,)``. The options ``keep`` and ``hear`` are the paper's lambda and beta.

    No official code was found; the equations are torchrecurrent's (``MiRU2Cell``), and so are both options at
    one half. The initialization is that of zoo's ``gru_reset_before``.
    """

    name = "miru2"
    family = "gated"
    card = zoo.Card(
        title="Minion Gated Recurrent Unit for Continual Learning",
        authors="Abdullah M. Zyarah, Dhireesha Kudithipudi",
        year=2025,
        url="https://arxiv.org/abs/2503.06175",
        variant="MiRU-2 as in torchrecurrent: constants for both the reset and the update.",
        deviations="Which coefficients are best depends on the task; the defaults are torchrecurrent's.",
        related={
            "miru1": "has a reset gate in place of the constant.",
            "leaky_rnn": "has no constant in front of the state that the candidate reads.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to candidate")
    Wh = zoo.Param("H", "H", init="orthogonal", help="scaled hidden to candidate")
    b = zoo.Param("H", help="bias of the candidate")
    h = zoo.State("H", help="hidden units, and the output")
    keep = zoo.Option(0.5, low=0.0, below=1.0, help="share of the state that a step keeps")
    hear = zoo.Option(0.5, low=0.0, high=1.0, help="share of the state that the candidate hears")

    def step(self, x: Array, h: Array) -> Array:
        n = zoo.tanh(x @ self.Wx + (self.hear * h) @ self.Wh + self.b)
        return self.keep * h + (1 - self.keep) * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minion recurrent unit without gates."""
    register(MiRU2)
