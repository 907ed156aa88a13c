"""The antisymmetric recurrent network with a gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.classic._initializers import normal

Array = Any


class GatedAntisymmetric(zoo.Cell):
    """Gated antisymmetric RNN: ``antisymmetric`` with a gate that sets the size of the step of each unit.

    The gate reads the state through the same matrix, so that the differential equation stays close to one
    that neither grows nor decays. The parts of the input product are, in order, the gate z and the drive a.

    Equations::

        xz, xa = x Wx + b
        r  = h (U - U^T - gamma I)
        h' = h + eps * sigmoid(xz + r) * tanh(xa + r)

    The parameters ``Wx (I, 2H)`` and ``U (H, H)`` start normal with variance ``1 / I`` and ``1 / H``, and
    ``b (2H,)`` starts at zero. The state ``h (H,)`` is the output.

    ``U`` is the transpose of W in the paper, which multiplies from the left. Initial values and options are
    the same as in ``antisymmetric``. Steps of 0.01 are made for sequences of a thousand pixels and are too
    short to learn text.
    """

    family = "classic"
    card = zoo.Card(
        title="AntisymmetricRNN: A Dynamical System View on Recurrent Neural Networks",
        authors="Bo Chang, Minmin Chen, Eldad Haber, Ed H. Chi",
        year=2019,
        url="https://arxiv.org/abs/1902.09689",
        variant="This is the cell with a gate and with damping.",
        history="It is the second cell in the paper of Chang, Chen, Haber and Chi (2019), which derives "
        "recurrent networks from stable differential equations. It adds the multiplicative control of gated "
        "cells to the antisymmetric RNN without a second recurrent matrix.",
        when_to_use="Use it in place of antisymmetric where the input should decide how far each unit moves. "
        "It needs I × H weights and H biases more than antisymmetric, and the same recurrent product. For "
        "text and other symbols, set a larger eps.",
        trainability="A step of 0.01 lets the state move too little from one symbol to the next.",
        related={
            "antisymmetric": "has no gate.",
            "lipschitz": "has no gate, mixes a symmetric and an antisymmetric matrix and adds a linear term.",
        },
    )
    Wx = zoo.Param("I", "2H", init=normal, help="input to gate z, drive a")
    U = zoo.Param("H", "H", init=normal, help="hidden to gate and drive. Only its antisymmetric part counts")
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
