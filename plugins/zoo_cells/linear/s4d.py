"""The diagonal state space model S4D."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._discretisation import log_uniform_steps, zero_order_hold

Array = Any
Shape = tuple[int, ...]


def frequencies(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Imaginary parts of the poles by ``start``, the same for every channel."""
    n = np.arange(shape[1])
    lin = math.pi * n
    inv = cell.order / math.pi * (cell.order / (2 * n + 1) - 1)
    return np.tile(inv if cell.start == "inv" else lin, (shape[0], 1))


def halves(rng: np.random.Generator, shape: Shape) -> Array:
    """The logarithm of 1/2, the initial decay rate of every pole."""
    return np.full(shape, math.log(0.5))


def unit_complex(rng: np.random.Generator, shape: Shape) -> Array:
    """Complex normal with variance one."""
    planes = rng.normal(size=(2, *shape)) / math.sqrt(2)
    return planes[0] + 1j * planes[1]


class S4D(zoo.Cell):
    """Diagonal state space model: each channel is filtered by ``order / 2`` damped oscillations.

    Each channel has a linear differential equation with a step of its own. Holding the input over the step
    makes it discrete (zero-order hold). The cell is linear in input and state. Nonlinear functions, and
    products that mix channels, belong to the layers around it.

    Equations, with A, s and C of shape ``(H, order / 2)``, one row per channel::

        u  = x Wx
        A  = -exp(log_rate) + i freq
        dt = exp(log_dt)[:, None]
        s' = exp(A dt) * s + (exp(A dt) - 1) / A * u[:, None]
        y  = 2 Re(sum(C * s', axis=1)) + D * u

    The conjugates of the poles are not stored. The factor 2 accounts for them.

    The parameter ``Wx (I, H)`` starts normal with variance ``1 / I``, and ``log_rate (H, order / 2)`` at
    ``log 1/2``. ``freq (H, order / 2)`` starts, for n from zero, at ``pi n`` with ``start="lin"`` and at
    ``order / pi * (order / (2n + 1) - 1)`` with ``start="inv"``. ``log_dt (H,)`` starts uniform between the
    logarithms of ``dt_min`` and ``dt_max``, ``C (H, order / 2)`` complex normal with variance 1, and
    ``D (H,)`` normal with variance 1. The state ``s (H, order / 2)`` is complex. The output ``y`` is real and
    has size H.

    Equations and initial values come from ``models/s4/s4d.py`` in https://github.com/state-spaces/s4, which
    computes one long convolution and has ``start="lin"``. The start "inv" comes from
    ``src/models/sequence/kernels/dplr.py``.
    """

    name = "s4d"
    family = "linear"
    card = zoo.Card(
        title="On the Parameterization and Initialization of Diagonal State Space Models",
        authors="Albert Gu, Ankit Gupta, Karan Goel, Christopher Ré",
        year=2022,
        url="https://arxiv.org/abs/2206.11893",
        variant="This is S4D-Lin, or S4D-Inv as an option, with zero-order hold. B is fixed at one, since C "
        "can take its place, and an exponential keeps real parts negative, as in the authors' minimal code.",
        deviations="The input is projected to H channels, since it may have another size. In the paper each "
        "feature is a channel. The GELU, dropout and gated linear layer after the recurrence are left out.",
        history="Gu, Gupta, Goel and Ré published it in 2022. S4 (2021) introduced structured state spaces "
        "with a matrix for long memory (HiPPO) that is diagonal plus low rank. DSS (2022) showed that a "
        "diagonal matrix does as well, and S4D explains why and simplifies the parameters. S5 (s5) shares "
        "the poles among channels, and Mamba (mamba) makes the step depend on the input.",
        when_to_use="Use it for long real signals, such as audio and medical time series, in stacks with "
        "nonlinear layers between: one S4D is a linear filter for each channel, and a stack of bare S4Ds is "
        "still linear. The paper reports results close to S4 and 85 % on average in the Long Range Arena, "
        "with whole blocks. The state has H * order elements, 64 H by default. zoo computes it step by "
        "step, and the paper by a long convolution.",
        block="glu",
        related={
            "s5": "shares its poles among all channels.",
            "lru": "has one pole for each unit, without a continuous time step.",
            "mamba": "has a step, input and output that depend on the input.",
            "lmu": "has a fixed system for a sliding window, in a nonlinear cell.",
        },
    )
    Wx = zoo.Param("I", "H", init="lecun_normal", help="input to channels")
    log_rate = zoo.Param("H", "order/2", init=halves, help="logarithm of the decay rate of a pole")
    freq = zoo.Param("H", "order/2", init=frequencies, help="imaginary part of a pole, its frequency")
    log_dt = zoo.Param("H", init=log_uniform_steps, help="logarithm of a channel's step")
    C = zoo.Param("H", "order/2", init=unit_complex, complex=True, help="states to output, by channel")
    D = zoo.Param(
        "H",
        init=lambda rng, shape: rng.normal(size=shape),
        help="input to output past the states, by channel",
    )
    s = zoo.State("H", "order/2", complex=True, help="oscillations of each channel")
    order = zoo.Option(64, low=2, high=1024, help="poles of a channel, in conjugate pairs. An even number")
    start = zoo.Option("lin", choices=("lin", "inv"), help="initial frequencies")
    dt_min = zoo.Option(0.001, low=1e-6, high=10.0, help="shortest initial step")
    dt_max = zoo.Option(0.1, low=1e-6, high=10.0, help="longest initial step")

    def step(self, x: Array, s: Array) -> zoo.Output:
        u = x @ self.Wx
        keep, take = zero_order_hold(-np.exp(self.log_rate) + 1j * self.freq, np.exp(self.log_dt)[:, None])
        s = keep * s + take * u[:, None]
        return zoo.Output(2 * np.sum((self.C * s).real, axis=1) + self.D * u, s)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register S4D."""
    register(S4D)
