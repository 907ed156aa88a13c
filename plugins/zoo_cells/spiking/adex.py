"""Adaptive exponential integrate-and-fire units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any
Shape = tuple[int, ...]


def normal_by_hidden(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, with a variance of two over H."""
    return rng.normal(size=shape) * math.sqrt(2 / shape[1])


class AdEx(zoo.Cell):
    """AdEx: adaptive exponential integrate-and-fire units, a model of cortical neurons.

    Near the threshold the potential rises exponentially, as in the upstroke of a spike. An adaptation current
    follows the potential and jumps with each spike. A unit that fires starts again from zero, and the
    gradient flows through this reset.

    Equations, where V is ``Wh`` with a diagonal of zeros, and heaviside is one from zero on::

        V  = Wh * (1 - I)
        j  = i + x Wx + s V
        u  = v + dt / tau_mem * (sharpness * exp((v - threshold) / sharpness) - v + j - a)
        s' = heaviside(u - threshold)
        v' = (1 - s') * u
        i' = j - dt / tau_syn * j
        a' = a + dt / tau_ada * (coupling * v - a) + jump * s'

    The parameters ``Wx (I, H)`` and ``Wh (H, H)`` start normal with a variance of ``2 / H``. The diagonal of
    ``Wh`` has no effect, and starts at zero in Norse. The states are
    ``s (H,)``, the spikes and the output, ``v (H,)``, the membrane potentials, ``i (H,)``, the synaptic
    currents, and ``a (H,)``, the adaptation currents. Times are in seconds.

    This is ``LIFAdExRecurrentCell`` of Norse (https://github.com/norse/norse, version 1.1.0, LGPL-3.0) with
    its defaults. The surrogate gradient is ``1 / (1 + |x|)²``, because the slope of Norse has no effect. It
    fires only above the threshold and not at it.
    """

    name = "adex"
    family = "spiking"
    card = zoo.Card(
        title="Adaptive exponential integrate-and-fire model as an effective description of neuronal "
        "activity",
        authors="Romain Brette, Wulfram Gerstner",
        year=2005,
        url="https://doi.org/10.1152/jn.00686.2005",
        variant="Potentials are scaled such that rest and reset are zero, synapses have currents that "
        "decay, and spikes feed back through trained weights.",
        deviations="The paper has a model of one neuron in volts. Scales, synapses and network come from "
        "Norse. There is no refractory period.",
        history="Brette and Gerstner combined an exponential threshold with an adaptation current in 2005. "
        "Few parameters of the model give many firing patterns of neurons, and simulators such as NEST, "
        "Brian and Norse include it.",
        when_to_use="Use it to train networks of a neuron model that experiments and simulators use. Inputs "
        "must be large enough to drive units to the threshold within a few steps of dt. The plain lif has "
        "two states less.",
        trainability="No unit spikes on one-hot input at first, because a symbol moves a potential little.",
        related={
            "lif": "has no adaptation and no exponential threshold.",
            "adlif": "has a trained linear adaptation.",
            "izhikevich": "has a quadratic equation of the potential.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal_by_hidden, help="input to currents")
    Wh = zoo.Param("H", "H", init=normal_by_hidden, help="spikes to currents of other units")
    s = zoo.State("H", help="spikes, and the output")
    v = zoo.State("H", help="membrane potentials")
    i = zoo.State("H", help="synaptic currents")
    a = zoo.State("H", help="adaptation currents")
    dt = zoo.Option(0.001, low=1e-6, help="seconds of a time step")
    tau_mem = zoo.Option(0.01, low=1e-6, help="time constant of the potentials, in seconds")
    tau_syn = zoo.Option(0.005, low=1e-6, help="time constant of the currents, in seconds")
    tau_ada = zoo.Option(0.5, low=1e-6, help="time constant of the adaptation, in seconds")
    sharpness = zoo.Option(0.5, low=1e-6, help="width of the exponential rise")
    threshold = zoo.Option(1.0, low=1e-6, help="potential at which a unit fires")
    coupling = zoo.Option(4.0, help="potential to adaptation")
    jump = zoo.Option(0.02, help="spikes to adaptation")
    surrogate = zoo.Option("fast_sigmoid", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(1.0, low=1e-6, help="slope of the surrogate")

    def step(self, x: Array, s: Array, v: Array, i: Array, a: Array) -> tuple[Array, Array, Array, Array]:
        V = self.Wh * (1 - zoo.eye(s.shape[-1]))
        j = i + x @ self.Wx + s @ V
        rise = self.sharpness * zoo.exp((v - self.threshold) / self.sharpness)
        u = v + self.dt / self.tau_mem * (rise - v + j - a)
        s = zoo.heaviside(u - self.threshold, self.surrogate, self.slope)
        a = a + self.dt / self.tau_ada * (self.coupling * v - a) + self.jump * s
        return s, (1 - s) * u, j - self.dt / self.tau_syn * j, a


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the adaptive exponential integrate-and-fire cell."""
    register(AdEx)
