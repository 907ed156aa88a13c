"""The almost-linear recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.classic.shallow_plrnn import diagonal

Array = Any
Shape = tuple[int, ...]


def last_units(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """One for the last units, and zero for the others."""
    return np.where(np.arange(shape[0]) >= shape[0] - cell.rectified, 1.0, 0.0)


def small(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, with a standard deviation of 0.01."""
    return 0.01 * rng.normal(size=shape)


class ALRNN(zoo.Cell):
    """Almost-linear RNN: a linear network in which only a few units are rectified.

    With P rectified units the state space has at most 2^P linear regions. The sequence of regions that a
    trajectory visits is a symbolic code of the dynamics.

    Equations, where ``last`` is one for the rectified units::

        z  = (1 - last) * h + last * relu(h)
        h' = A * h + z Wh + b + x Wx

    The parameter ``A (H,)`` starts as the diagonal of the matrix with which ``plrnn`` starts, ``Wh (H, H)``
    starts normal with a standard deviation of 0.01, ``b (H,)`` starts at zero and ``Wx (I, H)`` Glorot
    uniform. The buffer ``last (H,)`` marks the last units, which are rectified. The state ``h (H,)`` is the
    output.

    Equations and initial values come from https://github.com/DurstewitzLab/ALRNN-DSR (GPL-3.0), the code of
    the paper. It has no external input. The input weights come from the same group's
    https://github.com/DurstewitzLab/GTF-shPLRNN. The default of two rectified units is the choice of the
    tutorial.
    """

    name = "al_rnn"
    family = "classic"
    card = zoo.Card(
        title="Almost-Linear RNNs Yield Highly Interpretable Symbolic Codes in Dynamical Systems "
        "Reconstruction",
        authors="Manuel Brenner, Christoph Jürgen Hemmer, Zahra Monfared, Daniel Durstewitz",
        year=2024,
        url="https://arxiv.org/abs/2410.14240",
        variant="The last units are rectified, and external inputs are added.",
        deviations="The initial state is zero, and the authors compute it from the first observation.",
        history="Brenner, Hemmer, Monfared and Durstewitz published it in 2024, after the dendritic and the "
        "shallow PLRNN. They report that training finds the known representations of the Lorenz and Rössler "
        "systems with the smallest number of linear regions.",
        when_to_use="Use it to explain a dynamical system by few linear regions: lower rectified until the "
        "fit becomes worse. The paper trains it with teacher forcing. A step costs one product with an H × "
        "H matrix, like vanilla.",
        related={
            "plrnn": "has a rectifier for each unit.",
            "shallow_plrnn": "has a layer of rectified units.",
            "dendritic_plrnn": "has several rectifiers for each unit.",
        },
    )
    A = zoo.Param("H", init=diagonal, help="unit to itself")
    Wh = zoo.Param("H", "H", init=small, help="unit to unit")
    b = zoo.Param("H", help="bias of the units")
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to units")
    last = zoo.Buffer("H", init=last_units, help="one for the rectified units, zero for the others")
    h = zoo.State("H", help="units, and the output")
    rectified = zoo.Option(2, low=0, help="number of rectified units")

    def step(self, x: Array, h: Array) -> Array:
        z = (1 - self.last) * h + self.last * zoo.relu(h)
        return self.A * h + z @ self.Wh + self.b + x @ self.Wx


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the almost-linear network."""
    register(ALRNN)
