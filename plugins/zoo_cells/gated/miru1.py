"""The minion recurrent unit with a reset gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MiRU1(zoo.Cell):
    """Minion recurrent unit 1: a GRU whose update gate is a constant.

    The reset gate is learned as usual; how fast the state follows the candidate is chosen beforehand, the
    same for all units. The parts of the products stand in the order reset r, candidate n.

    Equations::

        xr, xn = x Wx + b
        r = sigmoid(xr + h Wh)
        n = tanh(xn + (r * h) Wn)
        h' = keep * h + (1 - keep) * n

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``Wh (H, H)`` and ``Wn (H, H)`` orthogonal, ``b (2H,)`` zero.
    State and output: ``h (H,)``. The option ``keep`` is the paper's lambda.

    No official code was found; the equations are torchrecurrent's (``MiRU1Cell``), and so is ``keep`` at one
    half. The initialization is that of zoo's ``gru_reset_before``.
    """

    name = "miru1"
    family = "gated"
    card = zoo.Card(
        title="Minion Gated Recurrent Unit for Continual Learning",
        authors="Abdullah M. Zyarah, Dhireesha Kudithipudi",
        year=2025,
        url="https://arxiv.org/abs/2503.06175",
        variant="MiRU-1 as in torchrecurrent: a gate for the reset, a constant for the update.",
        deviations="Which coefficient is best depends on the task; the default is torchrecurrent's.",
        related={
            "miru2": "the reset gate is a constant, too.",
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
