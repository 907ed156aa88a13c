"""Leaky integrate-and-fire units with an adaptive threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any


def normal_fan_in(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal, with a standard deviation of one over the root of the number of rows."""
    return rng.normal(size=shape) / math.sqrt(shape[0])


class ALIF(zoo.Cell):
    """Adaptive threshold: leaky integrate-and-fire units whose threshold rises with each spike.

    The threshold falls slowly, so a unit remembers its own spikes. Networks of such units are called LSNN,
    long short-term memory spiking neural networks. The threshold is subtracted from the potential of a
    unit that has fired, at the next step, and the gradient flows through this reset.

    Equations, where V is ``Wh`` with a diagonal of zeros, and heaviside is one from zero on::

        V  = Wh * (1 - I)
        k  = exp(-1 / tau)
        d  = exp(-1 / tau_b)
        b' = d * b + (1 - d) * s
        c  = threshold + beta * b'
        v' = k * v + (1 - k) * (x Wx + s V) - s * c
        s' = heaviside((v - c) / c)

    The parameters ``Wx (I, H)`` and ``Wh (H, H)`` start normal with a standard deviation of ``1 / sqrt(I)``
    and ``1 / sqrt(H)``. The states are ``s (H,)``, the spikes and the output, ``v (H,)``, the membrane
    potentials, and ``b (H,)``, the adaptation.

    This is ``ALIF`` of https://github.com/IGITUGraz/LSNN-official (Clear BSD), the code of the paper, with
    its defaults: no refractory period, and a delay of one step. As there, a spike comes from the potential
    before its update, so an input acts on spikes one step later than in lif. The surrogate gradient is a
    triangle of ``(v - c) / c``, times 0.3. The official code fires only above the threshold, and this cell
    also at it.
    """

    name = "alif"
    family = "spiking"
    card = zoo.Card(
        title="Long short-term memory and learning-to-learn in networks of spiking neurons",
        authors="Guillaume Bellec, Darjan Salaj, Anand Subramoney, Robert Legenstein, Wolfgang Maass",
        year=2018,
        url="https://arxiv.org/abs/1803.09574",
        variant="All units adapt, all are connected to all others, and every connection has a delay of one "
        "step.",
        deviations="The paper combines adaptive and plain units, and the authors add a term for the firing "
        "rate to the loss and rewire connections. There are no refractory period and no noise.",
        history="Bellec and others showed in 2018 that recurrent spiking networks with such thresholds "
        "reach nearly the accuracy of LSTMs on sequential digits and on phonemes, and can learn to learn. "
        "The same neuron was later used to derive e-prop, an online learning rule.",
        when_to_use="Use it for spiking networks that must remember over hundreds of steps: choose tau_b as "
        "long as the memory that the task needs. Add the penalty firing_rate, because the paper keeps rates "
        "low by such a term.",
        trainability="Spikes do not depend on the input of the same step, so it predicts a symbol without "
        "the last one.",
        related={
            "lif": "has a fixed threshold.",
            "adlif": "adapts its potential instead of its threshold.",
            "se_adlif": "adapts its potential, and can oscillate.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal_fan_in, help="input to potentials")
    Wh = zoo.Param("H", "H", init=normal_fan_in, help="spikes to potentials of other units")
    s = zoo.State("H", help="spikes, and the output")
    v = zoo.State("H", help="membrane potentials")
    b = zoo.State("H", help="adaptation")
    tau = zoo.Option(20.0, low=1e-3, help="time constant of the potentials, in steps")
    tau_b = zoo.Option(200.0, low=1e-3, help="time constant of the adaptation, in steps")
    threshold = zoo.Option(0.01, low=1e-6, help="threshold of a unit that has not fired")
    beta = zoo.Option(1.6, low=0.0, help="threshold for each unit of adaptation")
    surrogate = zoo.Option("triangle", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(1.0, low=1e-6, help="slope of the surrogate")
    scale = zoo.Option(0.3, low=1e-6, help="factor of the surrogate")

    def step(self, x: Array, s: Array, v: Array, b: Array) -> tuple[Array, Array, Array]:
        k, d = math.exp(-1 / self.tau), math.exp(-1 / self.tau_b)
        V = self.Wh * (1 - zoo.eye(s.shape[-1]))
        b = d * b + (1 - d) * s
        c = self.threshold + self.beta * b
        above = (v - c) / c
        v = k * v + (1 - k) * (x @ self.Wx + s @ V) - s * c
        s = zoo.heaviside(above, self.surrogate, self.slope, self.scale)
        return s, v, b


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the cell with an adaptive threshold."""
    register(ALIF)
