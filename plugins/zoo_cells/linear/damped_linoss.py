"""D-LinOSS: harmonic oscillators with a trained damping."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear.linoss import uniform_complex

Array = Any
Shape = tuple[int, ...]


def oscillators(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Rows s (normal), and stiffness and damping of poles in a ring in the upper half plane."""
    units = shape[1]
    s = rng.normal(0, 0.5, units)
    dt = 1 / (1 + np.exp(-s))
    radius = np.sqrt(rng.uniform(cell.r_min**2, cell.r_max**2, units))
    angle = rng.uniform(0, cell.max_phase, units)
    damping = (1 / radius**2 - 1) / dt
    stiffness = (1 + 1 / radius**2 - 2 * np.cos(angle) / radius) / dt**2
    return np.stack([s, stiffness, damping])


class DampedLinOSS(zoo.Cell):
    """D-LinOSS: ``linoss`` whose oscillators lose energy at trained rates.

    Every unit is a damped oscillator ``y'' = -A y - G y' + x B``. In LinOSS the loss of energy follows from
    the time step, and here it is trained on its own. The stiffness A is kept between the two bounds at which
    the oscillator stops to oscillate, so that the poles are complex and stable. The state z is the velocity
    and y the position.

    Equations::

        s, a, g = oscillators
        dt = sigmoid(s)
        G  = relu(g)
        w  = sqrt(1 + dt * G)
        low, high = (w - 1)**2 / dt², (w + 1)**2 / dt²
        A  = low + relu(a - low) - relu(a - high)
        z' = (z + dt * (x B - A * y)) / (1 + dt * G)
        y' = y + dt * z'
        output = Re(y' C) + x D

    The parameter ``oscillators (3, H)`` starts such that s is normal with a standard deviation of 1/2, and
    that the poles are uniform in the part of a ring with radii from ``r_min`` to ``r_max`` and angles from 0
    to ``max_phase``. ``B (I, H)`` and ``C (H, H)`` are complex and start with both parts uniform within one
    over the root of their first size. ``D (I, H)`` starts normal with variance ``1 / I``. The states
    ``z (H,)`` and ``y (H,)`` are complex. The output is real and has size H.

    Equations and initial values come from ``DampedIMEX1Layer`` in
    https://github.com/jaredbmit/damped-linoss and its example of an experiment. Like there, dt² below the
    fraction is at least 1e-6.
    """

    name = "damped_linoss"
    family = "linear"
    card = zoo.Card(
        title="Learning to Dissipate Energy in Oscillatory State-Space Models",
        authors="Jared Boyer, T. Konstantin Rusch, Daniela Rus",
        year=2025,
        url="https://arxiv.org/abs/2505.12171",
        variant="This is the implicit-explicit scheme with implicit damping (DampedIMEX1), with poles that "
        "start in a ring.",
        deviations="D is a matrix (I, H), where the official code has a diagonal, which needs I = H. There "
        "are as many oscillators as outputs. The normalisation, GELU, GLU and skip connection around the "
        "recurrence belong to the block glu, where the official code has a batch norm without trained "
        "scale and shift. Expected outputs in the tests come from a statement of ours. From a state of "
        "zero they agree with the official layer to 1e-14.",
        history="Boyer, Rusch and Rus published it in 2025. In LinOSS (linoss, 2024) forgetting is tied to "
        "the time step. D-LinOSS trains the two separately, and the paper reports better results on long "
        "sequences and fewer settings to search.",
        when_to_use="Use it in place of linoss: it can keep one frequency for long and drop another one "
        "quickly. Use it in stacks with nonlinear layers between, because one layer is a linear filter. The "
        "input cannot choose what to remember.",
        block="glu",
        related={
            "linoss": "has no damping of its own.",
            "lru": "has trained poles in a ring in place of oscillators.",
        },
    )
    oscillators = zoo.Param("3", "H", init=oscillators, help="rows s (time step), stiffness, damping")
    B = zoo.Param("I", "H", init=uniform_complex, complex=True, help="input to force")
    C = zoo.Param("H", "H", init=uniform_complex, complex=True, help="position to output")
    D = zoo.Param("I", "H", init="lecun_normal", help="input to output")
    z = zoo.State("H", complex=True, help="velocities of the oscillators")
    y = zoo.State("H", complex=True, help="positions of the oscillators")
    r_min = zoo.Option(0.9, low=0.01, below=1.0, help="inner radius of the ring of initial poles")
    r_max = zoo.Option(1.0, low=0.01, high=1.0, help="outer radius of the ring of initial poles")
    max_phase = zoo.Option(math.pi, low=0.001, high=math.pi, help="largest initial phase, in radians")

    def step(self, x: Array, z: Array, y: Array) -> zoo.Output:
        dt, damping = zoo.sigmoid(self.oscillators[0]), zoo.relu(self.oscillators[2])
        root = np.sqrt(1 + dt * damping)
        area = np.maximum(dt * dt, 1e-6)
        low, high = (root - 1) ** 2 / area, (root + 1) ** 2 / area
        free = self.oscillators[1]
        stiffness = low + zoo.relu(free - low) - zoo.relu(free - high)
        z = (z + dt * (x @ self.B - stiffness * y)) / (1 + dt * damping)
        y = y + dt * z
        return zoo.Output((y @ self.C).real + x @ self.D, z, y)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register D-LinOSS."""
    register(DampedLinOSS)
