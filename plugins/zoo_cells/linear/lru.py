"""The linear recurrent unit: a diagonal complex recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def ring(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Rows nu, theta and gamma, such that the poles are uniform in a ring of the complex plane.

    They are uniform in area between the radii ``r_min`` and ``r_max``, and in phase between zero and
    ``max_phase``. gamma compensates for the growth that a pole near the unit circle would cause.
    """
    # One minus the draw, which may be zero and then has no logarithm.
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

    The cell is linear in input and state, and nonlinear functions belong to the layers around it. The poles
    are exponentials of exponentials, so that they stay inside the unit circle for all values of the
    parameters.

    Equations::

        nu, theta, gamma = poles
        lambda = exp(-exp(nu) + i exp(theta))
        h' = lambda * h + exp(gamma) * (x B)
        y  = Re(h' C) + x D

    The parameter ``poles (3, H)`` has the rows nu, theta and gamma. ``B (I, H)`` and ``C (H, H)`` start
    complex normal with variances ``1 / I`` and ``2 / H``, and ``D (I, H)`` starts normal with variance
    ``1 / I``. The state ``h (H,)`` is complex. The output ``y`` is real and has size H.

    The three vectors of the recurrence are rows of one parameter because their initial values depend on each
    other: gamma starts at ``log sqrt(1 - |lambda|²)`` of the drawn poles and is then trained independently.
    Equations, initial values and defaults come from https://github.com/NicolasZucchet/minimal-LRU.
    """

    name = "lru"
    family = "linear"
    card = zoo.Card(
        title="Resurrecting Recurrent Neural Networks for Long Sequences",
        authors="Antonio Orvieto, Samuel L. Smith, Albert Gu, Anushan Fernando, Caglar Gulcehre, Razvan "
        "Pascanu, Soham De",
        year=2023,
        url="https://arxiv.org/abs/2303.06349",
        variant="The poles have stable exponential parameters, start in a ring and have a trained "
        "normalisation gamma.",
        deviations="D is a matrix (I, H), where the paper has a diagonal, which needs I = H. There are as "
        "many complex units as outputs. The normalisation, GLU and skip connection around the recurrence "
        "are left out.",
        history="Orvieto and others published it in 2023 to explain why state space models such as S4 do "
        "well on long sequences. They started from a simple recurrent network, made it linear and diagonal, "
        "and changed its parameters and normalisation until it matched those models on the Long Range "
        "Arena. The RG-LRU (rg_lru) added gates.",
        when_to_use="Use it for long sequences of real signals, in stacks with nonlinear layers between: "
        "one LRU is a linear filter, and a stack of bare LRUs still is one. The paper's block has a norm, a "
        "GLU and a skip connection around it. The poles do not depend on the input, so it cannot select "
        "what to remember. A step has no recurrent matrix product, but the output needs a complex product "
        "with an H × H matrix.",
        block="glu",
        related={
            "rtu": "is written in real numbers, with an input for each part of a state.",
            "linoss": "has oscillators in place of poles.",
            "damped_linoss": "has damped oscillators in place of poles.",
            "s4d": "has a bank of poles for each channel and a learned time step.",
            "s5": "has one learned time step for each pole.",
            "rg_lru": "has real poles that depend on the input.",
            "indrnn": "has a diagonal recurrence with a nonlinearity.",
            "urnn": "has eigenvalues on the unit circle and a nonlinearity.",
        },
    )
    poles = zoo.Param("3", "H", init=ring, help="rows nu (decay), theta (phase), gamma (input scale)")
    B = zoo.Param("I", "H", init="lecun_normal", complex=True, help="input to state")
    C = zoo.Param("H", "H", init=readout, complex=True, help="state to output")
    D = zoo.Param("I", "H", init="lecun_normal", help="input to output")
    h = zoo.State("H", complex=True, help="complex units")
    r_min = zoo.Option(0.0, low=0.0, below=1.0, help="inner radius of the ring of initial poles")
    r_max = zoo.Option(1.0, low=0.01, high=1.0, help="outer radius of the ring of initial poles")
    max_phase = zoo.Option(6.28, low=0.001, high=6.2832, help="largest initial phase, in radians")

    def step(self, x: Array, h: Array) -> zoo.Output:
        nu, theta, gamma = self.poles[0], self.poles[1], self.poles[2]
        poles = np.exp(-np.exp(nu) + 1j * np.exp(theta))
        h = poles * h + np.exp(gamma) * (x @ self.B)
        return zoo.Output((h @ self.C).real + x @ self.D, h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LRU."""
    register(LRU)
