"""Balanced resonate-and-fire units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any
Shape = tuple[int, ...]


def joint_glorot(rng: np.random.Generator, shape: Shape) -> Array:
    """Glorot uniform, for the first I rows of a matrix ``(I + H, H)``."""
    limit = math.sqrt(6 / (shape[0] + 2 * shape[1]))
    return rng.uniform(-limit, limit, shape)


def uniform(low: float, high: float) -> Callable[[np.random.Generator, Shape], Array]:
    """Uniform between two limits."""
    return lambda rng, shape: rng.uniform(low, high, shape)


class BRF(zoo.Cell):
    """Balanced resonate-and-fire: spiking units that oscillate, and fire if the input has their frequency.

    A unit is a damped oscillator with a trained frequency. After a spike, its threshold and its damping rise
    and then fade (refractory period). The damping keeps the Euler steps from diverging at every frequency.

    Equations, where heaviside is one from zero on::

        f  = abs(omega)
        d  = (sqrt(1 - (dt * f)^2) - 1) / dt - abs(damping) - q
        u' = u + dt * (d * u - f * v + x Wx + s Wh)
        v' = v + dt * (f * u + d * v)
        s' = heaviside(u' - 1 - q)
        q' = 0.9 * q + s'

    The parameter ``Wx (I, H)`` starts Glorot uniform as the first I rows of a matrix with I + H rows, and
    ``Wh (H, H)`` starts Glorot uniform. ``omega (H,)`` starts uniform between 5 and 10, and ``damping (H,)``
    between 0 and 1. The states are ``s (H,)``, the spikes and the output, ``u (H,)`` and ``v (H,)``, the
    real and the imaginary part of the potential, and ``q (H,)``, the refractory state. A unit with
    ``dt * f > 1`` is NaN.

    This is ``BRFCell`` of https://github.com/AdaptiveAILab/brf-neurons (MIT), the code of the paper, with the
    initial values of its recurrent network ``SimpleResRNN``. Its surrogate gradient is the double Gaussian
    with deviations 0.5 and 3, times one half. It fires only above the threshold and not at it.
    """

    name = "brf"
    family = "spiking"
    card = zoo.Card(
        title="Balanced Resonate-and-Fire Neurons",
        authors="Saya Higuchi, Sebastian Kairat, Sander M. Bohte, Sebastian Otte",
        year=2024,
        url="https://arxiv.org/abs/2402.14603",
        variant="The network is recurrent, and frequencies and damping are trained.",
        deviations="The official code holds Wx and Wh in one matrix. Here Wh is drawn without knowing I, as "
        "if I were zero. The official code computes the first term of the damping with dt = 0.01, whatever "
        "dt is.",
        history="The resonate-and-fire neuron is two decades older. Higuchi, Kairat, Bohte and Otte "
        "balanced it in 2024 by the refractory period, the smooth reset and the boundary of divergence, and "
        "report fewer spikes, fewer parameters and faster training than with adaptive neurons.",
        when_to_use="Use it for signals with frequencies, such as audio and electrocardiograms. Set dt such "
        "that the frequencies of the signal are between 5 and 10 radians per unit of time. It has four "
        "states of size H.",
        trainability="The time step multiplies each input by 0.01, so no unit spikes on one-hot input at "
        "first.",
        related={
            "se_adlif": "has units that can oscillate through their adaptation.",
            "lif": "has units without oscillations.",
            "cornn": "has oscillators without spikes.",
        },
    )
    Wx = zoo.Param("I", "H", init=joint_glorot, help="input to potentials")
    Wh = zoo.Param("H", "H", init="glorot_uniform", help="spikes to potentials")
    omega = zoo.Param("H", init=uniform(5, 10), help="angular frequencies")
    damping = zoo.Param("H", init=uniform(0, 1), help="damping beyond the boundary of divergence")
    s = zoo.State("H", help="spikes, and the output")
    u = zoo.State("H", help="real part of the potentials")
    v = zoo.State("H", help="imaginary part of the potentials")
    q = zoo.State("H", help="refractory state")
    dt = zoo.Option(0.01, low=1e-6, help="length of a time step")
    surrogate = zoo.Option("double_gaussian", choices=SURROGATES, help="derivative of the threshold")
    slope = zoo.Option(2.0, low=1e-6, help="slope of the surrogate")
    scale = zoo.Option(0.5, low=1e-6, help="factor of the surrogate")

    def step(self, x: Array, s: Array, u: Array, v: Array, q: Array) -> tuple[Array, Array, Array, Array]:
        dt, f = self.dt, np.abs(self.omega)
        d = (np.sqrt(1 - (dt * f) * (dt * f)) - 1) / dt - np.abs(self.damping) - q
        current = x @ self.Wx + s @ self.Wh
        u, v = u + dt * (d * u - f * v + current), v + dt * (f * u + d * v)
        s = zoo.heaviside(u - 1 - q, self.surrogate, self.slope, self.scale)
        return s, u, v, 0.9 * q + s


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the balanced resonate-and-fire cell."""
    register(BRF)
