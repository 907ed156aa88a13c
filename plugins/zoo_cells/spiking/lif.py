"""Leaky integrate-and-fire units, trained with a surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any


class LIF(zoo.Cell):
    """Leaky integrate-and-fire: spiking units, trained with a surrogate gradient.

    A unit that has fired loses the threshold at the next step (soft reset). Spikes are exactly zero or one.
    The backward pass takes a smooth surrogate for the derivative of the threshold, and none for the reset.

    Equations::

        v' = beta * v + x Wx + s Wh + b - threshold * s
        s' = 1 where v' >= threshold, else 0

    The parameters ``Wx (I, H)``, ``Wh (H, H)`` and ``b (H,)`` start as in PyTorch's ``nn.Linear``, uniform
    within ``1 / sqrt(I)`` of zero for Wx and ``1 / sqrt(H)`` for the others. The states are ``s (H,)``, the
    spikes and the output, and ``v (H,)``, the membrane potentials.

    This is ``RLeaky`` of snnTorch (https://github.com/jeshraghian/snntorch) with its defaults: a subtracting
    reset without a gradient and an arctan surrogate of slope 2. It fires only above the threshold and not at
    it, and it computes the reset from ``v`` again, which gives the same number as ``s``. Bellec and others
    2018 (https://arxiv.org/abs/1803.09574) use the triangle.
    """

    name = "lif"
    family = "spiking"
    card = zoo.Card(
        title="Training Spiking Neural Networks Using Lessons From Deep Learning",
        authors="Jason K. Eshraghian, Max Ward, Emre O. Neftci, Xinxin Wang, Gregor Lenz, Girish Dwivedi, "
        "Mohammed Bennamoun, Doo Seok Jeong, Wei D. Lu",
        year=2023,
        url="https://arxiv.org/abs/2109.12894",
        variant="The units are of first order, all are connected to all, the soft reset comes one step "
        "later, and decay and threshold are fixed.",
        deviations="One bias serves the input and the recurrent weights together.",
        history="The leaky integrate-and-fire neuron is a standard model of neuroscience. Surrogate "
        "gradients, which Neftci, Mostafa and Zenke described in 2019, made networks of it trainable by "
        "back-propagation through time. Eshraghian and others wrote the tutorial of 2021 (published in "
        "2023) and the library snnTorch, whose form this is.",
        when_to_use="Use it for models of spiking networks and for neuromorphic hardware. On a CPU it is no "
        "cheaper than vanilla, because spikes are multiplied like other numbers. Choose threshold such that "
        "units fire on your inputs: with the default and one-hot input they hardly do. Gradients are "
        "surrogates, so finite differences do not confirm them.",
        trainability="A symbol hardly moves a potential towards a threshold of one, so units rarely spike "
        "at first. With a lower threshold, such as threshold=0.1, it learns more.",
        also=(
            zoo.Card(
                title="Surrogate Gradient Learning in Spiking Neural Networks",
                authors="Emre O. Neftci, Hesham Mostafa, Friedemann Zenke",
                year=2019,
                url="https://arxiv.org/abs/1901.09948",
            ),
        ),
        related={
            "leaky_rnn": "has leaky units without spikes.",
            "synaptic": "has a synaptic current that decays, too.",
            "alif": "has a threshold that rises with each spike.",
            "adlif": "has a second variable that adapts the potential.",
            "alpha": "has a potential that rises and falls after an input.",
            "brf": "has units that oscillate.",
            "adex": "has an exponential threshold and adaptation.",
            "izhikevich": "has a quadratic equation and a recovery variable.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to potentials")
    Wh = zoo.Param("H", "H", init="fan_in_uniform", help="spikes to potentials")
    b = zoo.Param("H", init="hidden_uniform", help="bias of the potentials")
    s = zoo.State("H", help="spikes, and the output")
    v = zoo.State("H", help="membrane potentials")
    beta = zoo.Option(0.9, low=0.0, high=1.0, help="share of a potential that is kept at every step")
    threshold = zoo.Option(
        1.0, low=1e-6, help="potential at which a unit fires, and which it loses by firing"
    )
    surrogate = zoo.Option("arctan", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(2.0, low=1e-6, help="slope of the surrogate")

    def step(self, x: Array, s: Array, v: Array) -> tuple[Array, Array]:
        current = x @ self.Wx + s @ self.Wh + self.b
        v = self.beta * v + current - self.threshold * zoo.stop_gradient(s)
        return zoo.heaviside(v - self.threshold, self.surrogate, self.slope), v


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the leaky integrate-and-fire cell."""
    register(LIF)
