"""The GRU as a differential equation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def glorot_gates(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Glorot uniform for each of the square matrices that stand side by side."""
    limit = math.sqrt(3 / shape[0])
    return rng.uniform(-limit, limit, shape)


def slight(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All 0.05, as in the authors' code."""
    return np.full(shape, 0.05)


class GRUODE(zoo.Cell):
    """GRU-ODE: a gated unit whose state moves towards its candidate, in proportion to the time step.

    A GRU's step, read as a difference, becomes a velocity; the input is held while time passes. The gates
    stand in the order reset r, update z, candidate n.

    Equations, ``steps`` times, each with ``d = dt / steps``::

        xr, xz, xn = x Wx + b
        hr, hz = h Wh
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + (r * h) Wn)
        h' = h + d * (1 - z) * (n - h)

    Parameters: ``Wx (I, 3H)`` Glorot uniform, ``Wh (H, 2H)`` and ``Wn (H, H)`` Glorot uniform gate by gate,
    ``b (3H,)`` 0.05. State and output: ``h (H,)``. Auxiliary input: ``dt``, the time since the step before,
    one number per row.

    With ``dt = 1`` in one step it is ``gru_reset_before``. While ``dt / steps`` is at most one, a state
    within [-1, 1] stays there, as the solution of the equation does; longer steps may overshoot.

    Equations and initialization are those of ``FullGRUODECell`` in
    https://github.com/edebrouwer/gru_ode_bayes, solved as there by ``solver="euler"``, whose step the caller
    chooses.
    """

    name = "gru_ode"
    family = "continuous"
    card = zoo.Card(
        title="GRU-ODE-Bayes: Continuous modeling of sporadically-observed time series",
        authors="Edward De Brouwer, Jaak Simm, Adam Arany, Yves Moreau",
        year=2019,
        url="https://arxiv.org/abs/1905.12374",
        variant="The full GRU-ODE, with a reset gate, by Euler steps; the code has one without, too.",
        deviations="The flow alone: no Bayesian update at an observation, no network that predicts the input "
        "from the state. x is whatever the layer below gives, held over the step.",
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates r, z, n")
    Wh = zoo.Param("H", "2H", init=glorot_gates, help="hidden to gates r, z")
    Wn = zoo.Param("H", "H", init=glorot_gates, help="reset hidden to candidate n")
    b = zoo.Param("3H", init=slight, help="bias of gates r, z, n")
    h = zoo.State("H", help="hidden units, and the output")
    dt = zoo.Input(default=1.0, help="time since the step before")
    steps = zoo.Option(1, low=1, high=64, help="Euler steps within dt")
    gates = zoo.Gates(reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array, dt: Array) -> Array:
        xr, xz, xn = zoo.split(x @ self.Wx + self.b, 3)
        for _ in range(self.steps):
            hr, hz = zoo.split(h @ self.Wh, 2)
            r, z = zoo.sigmoid(xr + hr), zoo.sigmoid(xz + hz)
            n = zoo.tanh(xn + (r * h) @ self.Wn)
            h = h + dt / self.steps * (1 - z) * (n - h)
        return h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the GRU-ODE."""
    register(GRUODE)
