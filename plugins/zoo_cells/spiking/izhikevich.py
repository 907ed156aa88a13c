"""Izhikevich's model of spiking neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.spiking._surrogates import SURROGATES
from zoo_cells.spiking.adex import normal_by_hidden

Array = Any


class Izhikevich(zoo.Cell):
    """Izhikevich: spiking units with a quadratic equation, which imitate many kinds of neurons.

    Four numbers select the kind, for example tonic or bursting. Potentials are in millivolts above a rest of
    -70, so a unit fires at 100, which is 30 mV. It then jumps to ``reset``, and the gradient flows through
    this jump.

    Equations, where V is ``Wh`` with a diagonal of zeros, and heaviside is one from zero on::

        V  = Wh * (1 - I)
        e  = v + dt * (0.04 * v^2 - 0.6 * v - w + 70 * b - 14 + x Wx + s V)
        s' = heaviside(e - 100)
        v' = (1 - s') * e + s' * (reset + 70)
        w' = w + dt * a * (b * v - w) + s' * d

    The parameters ``Wx (I, H)`` and ``Wh (H, H)`` start normal with a variance of ``2 / H``. The diagonal of
    ``Wh`` has no effect, and starts at zero in Norse. The states are
    ``s (H,)``, the spikes and the output, ``v (H,)``, the potentials above rest, and ``w (H,)``, the recovery
    variables above their value at rest.

    This is ``izhikevich_recurrent_step`` of Norse (https://github.com/norse/norse, version 1.1.0, LGPL-3.0)
    with its tonic neuron and its step of 0.25 ms. The surrogate gradient is ``1 / (1 + |x|)²`` of the
    potential in millivolts, because the slope of Norse has no effect. It fires only above the threshold and
    not at it.
    """

    name = "izhikevich"
    family = "spiking"
    card = zoo.Card(
        title="Simple model of spiking neurons",
        authors="Eugene M. Izhikevich",
        year=2003,
        url="https://doi.org/10.1109/TNN.2003.820440",
        variant="All units are of one kind, spikes feed back through trained weights, and one Euler step of "
        "0.25 ms is taken.",
        deviations="The paper simulates networks without training. Network and surrogate gradient come from "
        "Norse.",
        history="Izhikevich published it in 2003 as a compromise between the detail of Hodgkin-Huxley "
        "models and the cost of integrate-and-fire units. It is part of many simulators and courses.",
        when_to_use="Use it to train networks of a neuron model that neuroscientists know. A unit fires for "
        "currents of several units, so scale inputs, for example by ten or more.",
        trainability="No unit spikes on one-hot input, so a model learns the frequencies of symbols only.",
        related={
            "adex": "has an exponential in place of the square.",
            "lif": "has a linear equation without recovery.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal_by_hidden, help="input to currents")
    Wh = zoo.Param("H", "H", init=normal_by_hidden, help="spikes to currents of other units")
    s = zoo.State("H", help="spikes, and the output")
    v = zoo.State("H", help="potentials above rest, in millivolts")
    w = zoo.State("H", help="recovery variables above their value at rest")
    dt = zoo.Option(0.25, low=1e-6, help="milliseconds of a time step")
    a = zoo.Option(0.02, help="rate of the recovery, for each millisecond")
    b = zoo.Option(0.2, help="potential to recovery")
    reset = zoo.Option(-65.0, help="potential after a spike, in millivolts")
    d = zoo.Option(6.0, help="spikes to recovery")
    surrogate = zoo.Option("fast_sigmoid", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(1.0, low=1e-6, help="slope of the surrogate")

    def step(self, x: Array, s: Array, v: Array, w: Array) -> tuple[Array, Array, Array]:
        V = self.Wh * (1 - zoo.eye(s.shape[-1]))
        current = x @ self.Wx + s @ V
        e = v + self.dt * (0.04 * v * v - 0.6 * v - w + (70 * self.b - 14) + current)
        w = w + self.dt * self.a * (self.b * v - w)
        s = zoo.heaviside(e - 100, self.surrogate, self.slope)
        return s, (1 - s) * e + s * (self.reset + 70), w + s * self.d


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Izhikevich's model."""
    register(Izhikevich)
