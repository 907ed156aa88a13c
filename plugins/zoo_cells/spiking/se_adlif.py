"""Adaptive leaky integrate-and-fire units in symplectic Euler steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any
Shape = tuple[int, ...]


def uniform(low: float, high: float) -> Callable[[np.random.Generator, Shape], Array]:
    """Uniform between two limits."""
    return lambda rng, shape: rng.uniform(low, high, shape)


class SEAdLIF(zoo.Cell):
    """SE-adLIF: adaptive leaky integrate-and-fire units in symplectic Euler steps.

    The adaptation reads the new potential and the new spikes. The paper shows that this order of the updates
    is stable for more parameters than Euler's method, and keeps the frequency of oscillations nearly
    independent of their decay. A unit that fires starts again from zero in the same step.

    Equations, where heaviside is one from zero on::

        c  = exp(-1 / (tau_u_min + clip(t, 0, 1) * (tau_u_max - tau_u_min)))
        d  = exp(-1 / (tau_w_min + clip(r, 0, 1) * (tau_w_max - tau_w_min)))
        v  = c * u + (1 - c) * (x Wx + s Wh + bias - w)
        s' = heaviside(v - threshold)
        u' = v * (1 - s')
        w' = d * w + (1 - d) * q * (clip(a, 0, 1) * u' + clip(b, 0, 2) * s')

    The parameter ``Wx (I, H)`` starts uniform within ``1 / sqrt(I)`` of zero, ``Wh (H, H)`` starts orthogonal
    and ``bias (H,)`` starts at zero. ``t (H,)``, ``r (H,)`` and ``a (H,)`` start uniform between 0 and 1, and
    ``b (H,)`` starts uniform between 0 and 2. The states are ``s (H,)``,
    the spikes and the output, ``u (H,)``, the membrane potentials, and ``w (H,)``, the adaptation. The reset
    has no gradient.

    This is ``SEAdLIF`` of https://github.com/IGITUGraz/SE-adlif (CC BY-SA 4.0), the code of the paper, with
    the time constants, ``q`` and ``scale`` of its experiment on spoken digits. Its surrogate gradient is
    ``scale * slope / 2 * exp(-slope |v - threshold|)``. It fires only above the threshold and not at it.
    """

    name = "se_adlif"
    family = "spiking"
    card = zoo.Card(
        title="Advancing spatio-temporal processing through adaptation in spiking neural networks",
        authors="Maximilian Baronig, Romain Ferrand, Silvester Sabathiel, Robert Legenstein",
        year=2025,
        url="https://doi.org/10.1038/s41467-025-60878-z",
        variant="The units have trained time constants and recurrent weights, and the reset precedes the "
        "update of the adaptation.",
        deviations="The official code clips t, r, a and b after every update of the optimizer. Here the "
        "equations clip them, so one beyond its range has no gradient.",
        history="Baronig, Ferrand, Sabathiel and Legenstein analysed adaptive units such as those of adlif, "
        "and published this form as a preprint in 2024 and in Nature Communications in 2025. They report "
        "better results than with Euler's method on events, speech and oscillations, without normalisation.",
        when_to_use="Use it for spiking networks on signals with rhythms, such as audio or "
        "electrocardiograms. It needs no normalisation of the input. Time constants are in steps, so set "
        "their ranges to the sampling rate of your data.",
        trainability="No unit spikes on one-hot input at first. It comes close to the bigram model in 3,000 "
        "steps.",
        related={
            "adlif": "updates the adaptation from the old potential.",
            "brf": "has units that oscillate with a trained frequency.",
            "alif": "adapts its threshold instead of its potential.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to potentials")
    Wh = zoo.Param("H", "H", init="orthogonal", help="spikes to potentials")
    bias = zoo.Param("H", help="bias of the potentials")
    t = zoo.Param("H", init=uniform(0, 1), help="time constants of the potentials, within their range")
    r = zoo.Param("H", init=uniform(0, 1), help="time constants of the adaptation, within their range")
    a = zoo.Param("H", init=uniform(0, 1), help="potential to adaptation")
    b = zoo.Param("H", init=uniform(0, 2), help="spikes to adaptation")
    s = zoo.State("H", help="spikes, and the output")
    u = zoo.State("H", help="membrane potentials")
    w = zoo.State("H", help="adaptation")
    tau_u_min = zoo.Option(5.0, low=1e-3, help="shortest time constant of a potential, in steps")
    tau_u_max = zoo.Option(25.0, low=1e-3, help="longest time constant of a potential, in steps")
    tau_w_min = zoo.Option(60.0, low=1e-3, help="shortest time constant of an adaptation, in steps")
    tau_w_max = zoo.Option(300.0, low=1e-3, help="longest time constant of an adaptation, in steps")
    q = zoo.Option(120.0, low=0.0, help="factor of the adaptation")
    threshold = zoo.Option(1.0, low=1e-6, help="potential at which a unit fires")
    surrogate = zoo.Option("exponential", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(5.0, low=1e-6, help="slope of the surrogate")
    scale = zoo.Option(0.4, low=1e-6, help="factor of the surrogate")

    def step(self, x: Array, s: Array, u: Array, w: Array) -> tuple[Array, Array, Array]:
        c = zoo.exp(-1 / (self.tau_u_min + np.clip(self.t, 0.0, 1.0) * (self.tau_u_max - self.tau_u_min)))
        d = zoo.exp(-1 / (self.tau_w_min + np.clip(self.r, 0.0, 1.0) * (self.tau_w_max - self.tau_w_min)))
        v = c * u + (1 - c) * (x @ self.Wx + s @ self.Wh + self.bias - w)
        s = zoo.heaviside(v - self.threshold, self.surrogate, self.slope, self.scale)
        u = v * (1 - zoo.stop_gradient(s))
        w = d * w + (1 - d) * self.q * (np.clip(self.a, 0.0, 1.0) * u + np.clip(self.b, 0.0, 2.0) * s)
        return s, u, w


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the cell in symplectic Euler steps."""
    register(SEAdLIF)
