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
    """Imaginary parts of the poles, the same for every channel."""
    n = np.arange(shape[1])
    lin = math.pi * n
    inv = cell.order / math.pi * (cell.order / (2 * n + 1) - 1)
    return np.tile(inv if cell.start == "inv" else lin, (shape[0], 1))


def halves(rng: np.random.Generator, shape: Shape) -> Array:
    """Logarithms of 1/2, the rate at which every pole starts to fade."""
    return np.full(shape, math.log(0.5))


def unit_complex(rng: np.random.Generator, shape: Shape) -> Array:
    """Complex normal with variance one."""
    planes = rng.normal(size=(2, *shape)) / math.sqrt(2)
    return planes[0] + 1j * planes[1]


class S4D(zoo.Cell):
    """Diagonal state space model: each channel is filtered by ``order / 2`` damped oscillations.

    A linear differential equation per channel with a step of its own, made discrete by holding the input
    (zero-order hold). Linear in input and state; what is nonlinear, and what mixes channels, belongs to the
    layers around it.

    Equations, with A, s and C of shape ``(H, order / 2)``, one row per channel::

        u  = x Wx
        A  = -exp(log_rate) + i freq
        dt = exp(log_dt)[:, None]
        s' = exp(A dt) * s + (exp(A dt) - 1) / A * u[:, None]
        y  = 2 Re(sum(C * s', axis=1)) + D * u

    The conjugates of the poles are not held; the factor 2 counts them.

    Parameters: ``Wx (I, H)`` normal with variance ``1 / I``; ``log_rate (H, order / 2)`` at ``log 1/2``;
    ``freq (H, order / 2)``, for n from zero ``pi n`` with ``start="lin"`` and
    ``order / pi * (order / (2n + 1) - 1)`` with ``start="inv"``; ``log_dt (H,)`` uniform between the
    logarithms of ``dt_min`` and ``dt_max``; ``C (H, order / 2)`` complex normal with variance 1; ``D (H,)``
    normal with variance 1. State: ``s (H, order / 2)`` complex. The output ``y`` is real, of size H.

    Equations and initialization are those of ``models/s4/s4d.py`` in https://github.com/state-spaces/s4,
    there as one long convolution and with ``start="lin"``; "inv" is that of
    ``src/models/sequence/kernels/dplr.py``.
    """

    name = "s4d"
    family = "linear"
    card = zoo.Card(
        title="On the Parameterization and Initialization of Diagonal State Space Models",
        authors="Albert Gu, Ankit Gupta, Karan Goel, Christopher Ré",
        year=2022,
        url="https://arxiv.org/abs/2206.11893",
        variant="S4D-Lin, or S4D-Inv by option; zero-order hold, B fixed at one and left to C, real parts "
        "kept negative by an exponential, as in the authors' minimal code.",
        deviations="The input is projected to H channels, since it has another size; in the paper each "
        "feature is a channel. The cell alone: no GELU, dropout and gated linear layer after it.",
    )
    Wx = zoo.Param("I", "H", init="lecun_normal", help="input to channels")
    log_rate = zoo.Param("H", "order/2", init=halves, help="logarithm of how fast a pole fades")
    freq = zoo.Param("H", "order/2", init=frequencies, help="how fast a pole turns")
    log_dt = zoo.Param("H", init=log_uniform_steps, help="logarithm of a channel's step")
    C = zoo.Param("H", "order/2", init=unit_complex, complex=True, help="states to output, by channel")
    D = zoo.Param("H", init=lambda rng, shape: rng.normal(size=shape), help="past the states, by channel")
    s = zoo.State("H", "order/2", complex=True, help="oscillations of each channel")
    order = zoo.Option(64, low=2, high=1024, help="poles of a channel, in conjugate pairs; even")
    start = zoo.Option("lin", choices=("lin", "inv"), help="frequencies at the start")
    dt_min = zoo.Option(0.001, low=1e-6, high=10.0, help="shortest step at the start")
    dt_max = zoo.Option(0.1, low=1e-6, high=10.0, help="longest step at the start")

    def step(self, x: Array, s: Array) -> zoo.Output:
        u = x @ self.Wx
        keep, take = zero_order_hold(-np.exp(self.log_rate) + 1j * self.freq, np.exp(self.log_dt)[:, None])
        s = keep * s + take * u[:, None]
        return zoo.Output(2 * np.sum((self.C * s).real, axis=1) + self.D * u, s)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register S4D."""
    register(S4D)
