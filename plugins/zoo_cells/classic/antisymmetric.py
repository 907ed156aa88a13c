"""The antisymmetric recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.classic._initializers import normal

Array = Any


class Antisymmetric(zoo.Cell):
    """Antisymmetric RNN: Euler steps of a differential equation whose recurrent matrix is antisymmetric.

    A matrix that is its own negative transpose has imaginary eigenvalues; a little damping, ``gamma``, makes
    up for what a forward Euler step of size ``eps`` adds.

    Equations::

        h' = h + eps * tanh(x Wx + h (U - U^T - gamma I) + b)

    Parameters: ``Wx (I, H)`` and ``U (H, H)`` normal with variance ``1 / I`` and ``1 / H``, ``b (H,)`` zero.
    State and output: ``h (H,)``.

    ``U`` is the transpose of the paper's W, which multiplies from the left; of its H² entries, U - U^T keeps
    H (H - 1) / 2 free ones. The paper's second cell, ``gated_antisymmetric``, has a gate.
    """

    family = "classic"
    card = zoo.Card(
        title="AntisymmetricRNN: A Dynamical System View on Recurrent Neural Networks",
        authors="Bo Chang, Minmin Chen, Eldad Haber, Ed H. Chi",
        year=2019,
        url="https://arxiv.org/abs/1902.09689",
        variant="Without the gate; with the damping.",
        trainability="A step of 0.01 lets the state move too little from one symbol to the next.",
    )
    Wx = zoo.Param("I", "H", init=normal, help="input to hidden")
    U = zoo.Param("H", "H", init=normal, help="hidden to hidden, by its antisymmetric part")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    eps = zoo.Option(0.01, help="size of a step", low=0.0)
    gamma = zoo.Option(0.01, help="damping", low=0.0)

    def step(self, x: Array, h: Array) -> Array:
        W = self.U - self.U.T - self.gamma * zoo.eye(h.shape[-1])
        return h + self.eps * zoo.tanh(x @ self.Wx + h @ W + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the antisymmetric network."""
    register(Antisymmetric)
