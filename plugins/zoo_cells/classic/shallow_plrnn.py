"""The shallow piecewise-linear recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.classic.plrnn import dominated

Array = Any
Shape = tuple[int, ...]


def diagonal(rng: np.random.Generator, shape: Shape) -> Array:
    """The diagonal of the matrix with which ``plrnn`` starts."""
    return np.diag(dominated(rng, shape * 2))


def thresholds(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Zero, or uniform within one over the root of their number for the clipped form."""
    return rng.uniform(-1, 1, shape) / np.sqrt(shape[0]) if cell.clipped else np.zeros(shape)


class ShallowPLRNN(zoo.Cell):
    """Shallow PLRNN: linear units, and a layer of rectified units between two matrices.

    The rectified layer may be larger than the state. A state as small as the observed system can therefore
    follow complex dynamics, and fixed points and cycles can be computed region by region. With
    ``clipped=True`` the orbits stay bounded where all ``|A|`` are below one.

    Equations, where the clipped form subtracts ``relu(h W2)`` from the rectified layer::

        z  = relu(h W2 + h2)
        h' = A * h + z W1 + h1 + x Wx

    The parameter ``A (H,)`` starts as the diagonal of the matrix with which ``plrnn`` starts.
    ``W2 (H, units)`` and ``W1 (units, H)`` start uniform within one over the root of their first size of
    zero. ``h1 (H,)`` and ``h2 (units,)`` start at zero, in the clipped form h2 within one over the root of
    its size. ``Wx (I, H)`` starts Glorot uniform. The state ``h (H,)`` is the output.

    Equations, initial values and the default of 100 rectified units come from
    https://github.com/DurstewitzLab/GTF-shPLRNN (GPL-3.0), the code of the paper, which is in Julia.
    """

    name = "shallow_plrnn"
    family = "classic"
    card = zoo.Card(
        title="Generalized Teacher Forcing for Learning Chaotic Dynamics",
        authors="Florian Hess, Zahra Monfared, Manuel Brenner, Daniel Durstewitz",
        year=2023,
        url="https://proceedings.mlr.press/v202/hess23a.html",
        variant="The plain form is the default, with external inputs, and an option chooses the clipped "
        "form.",
        deviations="The clipped form is the default of the official code. Initial values come from this "
        "code, and not from the authors' tutorial in PyTorch, which draws A from 0.5 to 0.9, and h2 and "
        "Wx uniform within one over the root of their first size. The initial state is zero, and the authors "
        "compute it from the first observation. The modifier teacher_forcing trains it by generalised "
        "teacher forcing.",
        history="Hess, Monfared, Brenner and Durstewitz published it in 2023 together with generalised "
        "teacher forcing, a training method that keeps gradients bounded on chaotic systems. It replaces "
        "the square matrix of plrnn and the bases of dendritic_plrnn by a hidden layer.",
        when_to_use="Use it to reconstruct a dynamical system from a time series, with as many units as the "
        "system has variables, and a larger rectified layer. The paper trains it with teacher forcing on "
        "chaotic data. Analyse it with zoo.analysis.fixed_points.",
        related={
            "plrnn": "has one rectifier for each unit.",
            "dendritic_plrnn": "has several thresholds for each unit.",
            "al_rnn": "has few rectified units.",
        },
    )
    A = zoo.Param("H", init=diagonal, help="unit to itself")
    W2 = zoo.Param("H", "units", init="fan_in_uniform", help="units to the rectified layer")
    h2 = zoo.Param("units", init=thresholds, help="thresholds of the rectified layer")
    W1 = zoo.Param("units", "H", init="fan_in_uniform", help="rectified layer to units")
    h1 = zoo.Param("H", help="bias of the units")
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to units")
    h = zoo.State("H", help="units, and the output")
    units = zoo.Option(100, low=1, help="units of the rectified layer")
    clipped = zoo.Option(False, help="whether orbits are bounded")

    def step(self, x: Array, h: Array) -> Array:
        a = h @ self.W2
        z = zoo.relu(a + self.h2)
        if self.clipped:
            z = z - zoo.relu(a)
        return self.A * h + z @ self.W1 + self.h1 + x @ self.Wx


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the shallow piecewise-linear network."""
    register(ShallowPLRNN)
