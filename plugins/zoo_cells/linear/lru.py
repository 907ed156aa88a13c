"""The linear recurrent unit: a diagonal complex recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def ring(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Rows nu, theta and gamma, such that the poles lie uniformly in a ring of the complex plane.

    Uniform in area between the radii ``r_min`` and ``r_max``, and in phase between zero and ``max_phase``;
    gamma undoes the growth that a pole near the unit circle would cause.
    """
    # One minus: a draw may be zero, and its logarithm is asked for.
    area, phase = 1 - rng.uniform(size=(2, shape[1]))
    squared = cell.r_min**2 + area * (cell.r_max**2 - cell.r_min**2)
    squared = np.minimum(squared, 1 - 1e-9)
    return np.stack(
        [np.log(-0.5 * np.log(squared)), np.log(cell.max_phase * phase), 0.5 * np.log(1 - squared)]
    )


def readout(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Real and imaginary parts normal with variance ``1 / H``."""
    planes = rng.normal(size=(2, *shape)) / math.sqrt(shape[0])
    return planes[0] + 1j * planes[1]


class LRU(zoo.Cell):
    """Linear recurrent unit: a diagonal linear recurrence with complex eigenvalues.

    Linear in input and state; what is nonlinear belongs to the layers around it. Poles are exponentials of
    exponentials, so that they stay inside the unit circle whatever the parameters do.

    Equations::

        nu, theta, gamma = poles
        lambda = exp(-exp(nu) + i exp(theta))
        h' = lambda * h + exp(gamma) * (x B)
        y  = Re(h' C) + x D

    Parameters: ``poles (3, H)`` in rows nu, theta, gamma; ``B (I, H)`` and ``C (H, H)`` complex normal with
    variances ``1 / I`` and ``2 / H``; ``D (I, H)`` normal with variance ``1 / I``. State: ``h (H,)`` complex.
    The output ``y`` is real, of size H.

    The three vectors of the recurrence are rows of one parameter because they start together: gamma begins at
    ``log sqrt(1 - |lambda|²)`` of the poles drawn, and is trained on its own from there. Equations,
    initialization and defaults are those of https://github.com/NicolasZucchet/minimal-LRU.
    """

    name = "lru"
    family = "linear"
    card = zoo.Card(
        title="Resurrecting Recurrent Neural Networks for Long Sequences",
        authors="Antonio Orvieto, Samuel L. Smith, Albert Gu, Anushan Fernando, Caglar Gulcehre, "
        "Razvan Pascanu, Soham De",
        year=2023,
        url="https://arxiv.org/abs/2303.06349",
        variant="Stable exponential parameters, ring initialisation and trained normalisation gamma.",
        deviations="D is a matrix (I, H) where the paper's is a diagonal, which needs I = H; there are as "
        "many complex units as outputs. The cell alone: no normalisation, GLU or skip around it.",
    )
    poles = zoo.Param("3", "H", init=ring, help="rows nu (decay), theta (phase), gamma (input scale)")
    B = zoo.Param("I", "H", init="lecun_normal", complex=True, help="input to state")
    C = zoo.Param("H", "H", init=readout, complex=True, help="state to output")
    D = zoo.Param("I", "H", init="lecun_normal", help="input to output")
    h = zoo.State("H", complex=True, help="complex units")
    r_min = zoo.Option(0.0, low=0.0, below=1.0, help="inner radius of the ring in which poles start")
    r_max = zoo.Option(1.0, low=0.01, high=1.0, help="outer radius of the ring")
    max_phase = zoo.Option(6.28, low=0.001, high=6.2832, help="largest phase at the start, in radians")

    def step(self, x: Array, h: Array) -> zoo.Output:
        nu, theta, gamma = self.poles[0], self.poles[1], self.poles[2]
        poles = np.exp(-np.exp(nu) + 1j * np.exp(theta))
        h = poles * h + np.exp(gamma) * (x @ self.B)
        return zoo.Output((h @ self.C).real + x @ self.D, h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LRU."""
    register(LRU)
