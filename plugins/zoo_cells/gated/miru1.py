"""The minion recurrent unit with a reset gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MiRU1(zoo.Cell):
    """Minion recurrent unit 1: a GRU whose update gate is a constant.

    The reset gate is learned as usual. You choose the rate at which the state follows the candidate, and it
    is the same for all units. The order in the weights is reset r, candidate n.

    Equations::

        xr, xn = x Wx + b
        r = sigmoid(xr + h Wh)
        n = tanh(xn + (r * h) Wn)
        h' = keep * h + (1 - keep) * n

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``.

    The option ``keep`` is the paper's lambda. No official code was found. The equations and the ``keep`` of
    one half are from torchrecurrent (``MiRU1Cell``). The initial values are the same as for
    ``gru_reset_before``.
    """

    name = "miru1"
    family = "gated"
    card = zoo.Card(
        title="Minion Gated Recurrent Unit for Continual Learning",
        authors="Abdullah M. Zyarah, Dhireesha Kudithipudi",
        year=2025,
        url="https://arxiv.org/abs/2503.06175",
        variant="This is MiRU-1 as in torchrecurrent, with a gate for the reset and a constant for the "
        "update.",
        deviations="The best coefficient depends on the task. The default is torchrecurrent's.",
        history="Zyarah and Kudithipudi published the minion recurrent units in 2025 for continual learning "
        "on devices with little memory. Constants replace gates of the GRU. They report results comparable "
        "with the GRU on image and text classification, up to 2.9 times faster training, and stable learning "
        "of several tasks in sequence. MiRU-1 keeps the reset gate, and MiRU-2 has no gate.",
        when_to_use="Use it for small devices, if all units may forget at the same rate. It has two blocks "
        "of weights where the gru has three. Set ``keep`` to the time scale of your data: at one half, the "
        "default, a value fades within a few steps, so long dependencies need a value near one. In our short "
        "run on text it is no better than the vanilla cell.",
        related={
            "miru2": "has a constant in place of the reset gate, too.",
            "gru_reset_before": "has an update gate in place of the constant.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to gate r, candidate n")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate r")
    Wn = zoo.Param("H", "H", init="orthogonal", help="reset hidden to candidate n")
    b = zoo.Param("2H", help="bias of r, n")
    h = zoo.State("H", help="hidden units, and the output")
    keep = zoo.Option(0.5, low=0.0, below=1.0, help="share of the state that a step keeps")
    gates = zoo.Gates(reset_gate="r", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        xr, xn = zoo.split(x @ self.Wx + self.b, 2)
        r = zoo.sigmoid(xr + h @ self.Wh)
        n = zoo.tanh(xn + (r * h) @ self.Wn)
        return self.keep * h + (1 - self.keep) * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minion recurrent unit with a reset gate."""
    register(MiRU1)
