"""The antisymmetric recurrent network with a gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.classic._initializers import normal

Array = Any


class GatedAntisymmetric(zoo.Cell):
    """Gated antisymmetric RNN: ``antisymmetric`` with a gate that sets the size of the step of each unit.

    The gate sees the state through the same matrix, so that the flow stays close to one that neither grows
    nor decays. The parts of the input product stand in the order gate z, drive a.

    Equations::

        xz, xa = x Wx + b
        r  = h (U - U^T - gamma I)
        h' = h + eps * sigmoid(xz + r) * tanh(xa + r)

    Parameters: ``Wx (I, 2H)`` and ``U (H, H)`` normal with variance ``1 / I`` and ``1 / H``, ``b (2H,)``
    zero. State and output: ``h (H,)``.

    ``U`` is the transpose of the paper's W, which multiplies from the left. Start and options are those of
    ``antisymmetric``: steps of 0.01 are for sequences of a thousand pixels, and too short to learn text.
    """

    family = "classic"
    card = zoo.Card(
        title="AntisymmetricRNN: A Dynamical System View on Recurrent Neural Networks",
        authors="Bo Chang, Minmin Chen, Eldad Haber, Ed H. Chi",
        year=2019,
        url="https://arxiv.org/abs/1902.09689",
        variant="With the gate, and with the damping.",
        trainability="A step of 0.01 lets the state move too little from one symbol to the next.",
    )
    Wx = zoo.Param("I", "2H", init=normal, help="input to gate z, drive a")
    U = zoo.Param("H", "H", init=normal, help="hidden to both, by its antisymmetric part")
    b = zoo.Param("2H", help="bias of gate z, drive a")
    h = zoo.State("H", help="hidden units, and the output")
    eps = zoo.Option(0.01, help="size of a step", low=0.0)
    gamma = zoo.Option(0.01, help="damping", low=0.0)
    gates = zoo.Gates(input_gate="sigmoid_xz", candidate="tanh_xa")

    def step(self, x: Array, h: Array) -> Array:
        xz, xa = zoo.split(x @ self.Wx + self.b, 2)
        r = h @ (self.U - self.U.T - self.gamma * zoo.eye(h.shape[-1]))
        return h + self.eps * zoo.sigmoid(xz + r) * zoo.tanh(xa + r)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the gated antisymmetric network."""
    register(GatedAntisymmetric)
