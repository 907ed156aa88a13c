"""The minion recurrent unit without gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MiRU2(zoo.Cell):
    """Minion recurrent unit 2: a GRU whose update and reset gates are constants.

    You choose the rate at which the state follows the candidate, and the fraction of the state that the
    candidate reads. The cell is then a leaky vanilla RNN.

    Equations::

        n = tanh(x Wx + (reset * h) Wh + b)
        h' = keep * h + (1 - keep) * n

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)`` zero. State and output:
    ``h (H,)``.

    The options ``keep`` and ``reset`` are the paper's lambda and beta. No official code was found. The
    equations and the default of one half for both options are from torchrecurrent (``MiRU2Cell``). The
    initial values are the same as for ``gru_reset_before``.
    """

    name = "miru2"
    family = "gated"
    card = zoo.Card(
        title="Minion Gated Recurrent Unit for Continual Learning",
        authors="Abdullah M. Zyarah, Dhireesha Kudithipudi",
        year=2025,
        url="https://arxiv.org/abs/2503.06175",
        variant="This is MiRU-2 as in torchrecurrent, with constants for both the reset and the update.",
        deviations="The best coefficients depend on the task. The defaults are torchrecurrent's.",
        history="Zyarah and Kudithipudi published the minion recurrent units in 2025 for continual learning "
        "on devices with little memory. Constants replace both gates of the GRU, which leaves a third of its "
        "parameters. They report results comparable with the GRU on image and text classification, and 2.9 "
        "times faster training. The equations are close to leaky integrator units, which are much older.",
        when_to_use="Use it as a leaky unit on small devices: it has the matrices of a vanilla network and "
        "one state vector. Set ``keep`` to the time scale of your data, since at one half a value fades "
        "within a few steps. In our short run on text it is worse than the vanilla cell. If each unit should "
        "learn its own rate, take mgu3.",
        related={
            "miru1": "has a reset gate in place of the constant.",
            "gru_reset_before": "has gates in place of both constants.",
            "mgu3": "has a trained rate for each unit.",
            "leaky_rnn": "has a candidate that reads the whole state.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to candidate")
    Wh = zoo.Param("H", "H", init="orthogonal", help="scaled hidden to candidate")
    b = zoo.Param("H", help="bias of the candidate")
    h = zoo.State("H", help="hidden units, and the output")
    keep = zoo.Option(0.5, low=0.0, below=1.0, help="share of the state that a step keeps")
    reset = zoo.Option(0.5, low=0.0, high=1.0, help="share of the state that the candidate reads")

    def step(self, x: Array, h: Array) -> Array:
        n = zoo.tanh(x @ self.Wx + (self.reset * h) @ self.Wh + self.b)
        return self.keep * h + (1 - self.keep) * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minion recurrent unit without gates."""
    register(MiRU2)
