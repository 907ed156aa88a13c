"""LinOSS: forced harmonic oscillators as a linear state space model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def uniform_complex(rng: np.random.Generator, shape: Shape) -> Array:
    """Both parts uniform within one over the root of the first size."""
    limit = 1 / math.sqrt(shape[0])
    return rng.uniform(-limit, limit, shape) + 1j * rng.uniform(-limit, limit, shape)


def up_to_one(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform from zero to one."""
    return rng.uniform(size=shape)


class LinOSS(zoo.Cell):
    """LinOSS: uncoupled linear oscillators, driven by the input.

    Every unit is a harmonic oscillator ``y'' = -A y + x B`` with a trained stiffness ``A >= 0`` and a trained
    time step, whose solution is computed by an implicit (im) or an implicit-explicit (imex) scheme. The
    implicit scheme loses energy and so forgets. The other one keeps it, as long as ``dt² A < 4``. The state z
    is the velocity and y the position.

    Equations, with ``scale = 1 / (1 + dt² * relu(A))`` in the scheme im and 1 in imex::

        dt = sigmoid(s)
        z' = scale * (z + dt * (x B - relu(A) * y))
        y' = y + dt * z'
        output = Re(y' C) + x D

    The parameters ``A (H,)`` and ``s (H,)`` start uniform from zero to one. ``B (I, H)`` and ``C (H, H)`` are
    complex and start with both parts uniform within one over the root of their first size. ``D (I, H)``
    starts normal with variance ``1 / I``. The states ``z (H,)`` and ``y (H,)`` are complex. The output is
    real and has size H.

    Equations and initial values come from ``LinOSSLayer`` in https://github.com/tk-rusch/linoss.
    """

    name = "linoss"
    family = "linear"
    card = zoo.Card(
        title="Oscillatory State-Space Models",
        authors="T. Konstantin Rusch, Daniela Rus",
        year=2024,
        url="https://arxiv.org/abs/2410.03943",
        variant="Both schemes of the paper, LinOSS-IM and LinOSS-IMEX, are options. The official im scheme "
        "is written with a matrix, and this form of it is shorter and equal.",
        deviations="D is a matrix (I, H), where the official code has a diagonal, which needs I = H. There "
        "are as many oscillators as outputs. The normalisation, GELU, GLU and skip connection around the "
        "recurrence belong to the block glu, where the official code has a batch norm without trained "
        "scale and shift. Expected outputs in the tests come from a statement of ours. From a state of "
        "zero, and without D, they agree with the official functions to 1e-14.",
        history="Rusch and Rus published it in 2024. The coupled oscillatory network (cornn, 2020) and "
        "UnICORNN (unicornn, 2021) are nonlinear oscillators. LinOSS is linear, so that it can be trained "
        "in parallel over time, and the paper reports good results on sequences of up to 50,000 steps.",
        when_to_use="Use it for long sequences of real signals, in stacks with nonlinear layers between: "
        "one layer is a linear filter. Use im where the past should fade, and imex where energy should be "
        "kept. The input cannot choose what to remember. A step has no recurrent matrix product, but the "
        "output needs a complex product with an H × H matrix.",
        block="glu",
        related={
            "damped_linoss": "has a trained damping.",
            "lru": "has poles in place of oscillators.",
            "unicornn": "has nonlinear oscillators.",
        },
    )
    A = zoo.Param("H", init=up_to_one, help="stiffness of the oscillators, before a relu")
    s = zoo.Param("H", init=up_to_one, help="time steps, before a sigmoid")
    B = zoo.Param("I", "H", init=uniform_complex, complex=True, help="input to force")
    C = zoo.Param("H", "H", init=uniform_complex, complex=True, help="position to output")
    D = zoo.Param("I", "H", init="lecun_normal", help="input to output")
    z = zoo.State("H", complex=True, help="velocities of the oscillators")
    y = zoo.State("H", complex=True, help="positions of the oscillators")
    scheme = zoo.Option("im", choices=("im", "imex"), help="implicit (im), or imex, which keeps energy")

    def step(self, x: Array, z: Array, y: Array) -> zoo.Output:
        dt, stiffness = zoo.sigmoid(self.s), zoo.relu(self.A)
        z = z + dt * (x @ self.B - stiffness * y)
        if self.scheme == "im":
            z = z / (1 + dt * dt * stiffness)
        y = y + dt * z
        return zoo.Output((y @ self.C).real + x @ self.D, z, y)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register LinOSS."""
    register(LinOSS)
