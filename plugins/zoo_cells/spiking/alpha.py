"""Spiking units whose potential follows an alpha function after an input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any


class Alpha(zoo.Cell):
    """Alpha: spiking units whose potential rises and falls after an input, as the difference of two decays.

    A unit that has fired starts again from zero at the next step (hard reset, without a gradient).

    Equations, where heaviside is one from zero on::

        tau = log(alpha) / (log(beta) - log(alpha)) + 1
        u   = x Wx + s Wh + b
        e'  = (1 - s) * (alpha * e + u)
        n'  = (1 - s) * (beta * n - u)
        v'  = tau * (e' + n')
        s'  = heaviside(v' - threshold)

    The parameters ``Wx (I, H)``, ``Wh (H, H)`` and ``b (H,)`` start as in PyTorch's ``nn.Linear``, uniform
    within ``1 / sqrt(I)`` of zero for Wx and ``1 / sqrt(H)`` for the others. The states are ``s (H,)``, the
    spikes and the output, ``e (H,)`` and ``n (H,)``, the excitatory and the inhibitory currents. ``alpha``
    must be larger than ``beta``.

    This is ``Alpha`` of snnTorch (https://github.com/jeshraghian/snntorch, version 1.0.0, MIT) with its reset
    to zero and its arctan surrogate of slope 2. ``alpha`` and ``beta`` come from its examples. The
    potential needs no state, because it is computed from the currents. snnTorch fires only above the
    threshold and not at it.
    """

    name = "alpha"
    family = "spiking"
    card = zoo.Card(
        title="Training Spiking Neural Networks Using Lessons From Deep Learning",
        authors="Jason K. Eshraghian, Max Ward, Emre O. Neftci, Xinxin Wang, Gregor Lenz, Girish Dwivedi, "
        "Mohammed Bennamoun, Doo Seok Jeong, Wei D. Lu",
        year=2023,
        url="https://arxiv.org/abs/2109.12894",
        variant="The units have an alpha function as the response to an input, the hard reset comes one "
        "step later, and decays and threshold are fixed.",
        deviations="Spikes feed back through trained weights, as in snnTorch's RLeaky and RSynaptic. "
        "snnTorch has no recurrent form of this neuron.",
        history="The alpha function is a standard model of the response of a synapse. Eshraghian and others "
        "include this discrete form in the library snnTorch and describe it in the tutorial of 2021 "
        "(published in 2023).",
        when_to_use="Use it where the time between an input and a spike matters: the potential reaches its "
        "largest value some steps after an input. The first response to an input is zero, so information "
        "needs two steps to pass a layer.",
        trainability="Spikes do not depend on the input of the same step, so it predicts a symbol without "
        "the last one.",
        related={
            "synaptic": "has a current that charges a potential.",
            "lif": "has a potential alone.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to currents")
    Wh = zoo.Param("H", "H", init="fan_in_uniform", help="spikes to currents")
    b = zoo.Param("H", init="hidden_uniform", help="bias of the currents")
    s = zoo.State("H", help="spikes, and the output")
    e = zoo.State("H", help="excitatory currents")
    n = zoo.State("H", help="inhibitory currents")
    alpha = zoo.Option(0.9, low=1e-6, below=1.0, help="share of an excitatory current that is kept")
    beta = zoo.Option(0.8, low=1e-6, below=1.0, help="share of an inhibitory current that is kept")
    threshold = zoo.Option(1.0, low=1e-6, help="potential at which a unit fires")
    surrogate = zoo.Option("arctan", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(2.0, low=1e-6, help="slope of the surrogate")

    def step(self, x: Array, s: Array, e: Array, n: Array) -> tuple[Array, Array, Array]:
        if self.alpha <= self.beta:
            raise zoo.UsageError(f"cell alpha: alpha={self.alpha} is not larger than beta={self.beta}.")
        tau = math.log(self.alpha) / (math.log(self.beta) - math.log(self.alpha)) + 1
        u, keep = x @ self.Wx + s @ self.Wh + self.b, 1 - zoo.stop_gradient(s)
        e, n = keep * (self.alpha * e + u), keep * (self.beta * n - u)
        return zoo.heaviside(tau * (e + n) - self.threshold, self.surrogate, self.slope), e, n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the cell with alpha functions."""
    register(Alpha)
