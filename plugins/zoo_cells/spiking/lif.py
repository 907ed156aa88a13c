"""Leaky integrate-and-fire units, trained through a surrogate of their threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any
SURROGATES = ("arctan", "fast_sigmoid", "sigmoid", "straight_through", "triangle")


class LIF(zoo.Cell):
    """Leaky integrate-and-fire: spiking units, trained with a surrogate gradient.

    A unit that has fired loses the threshold at the next step (soft reset). Spikes are exactly zero or one;
    the backward pass takes a smooth surrogate for the derivative of the threshold, and none for the reset.

    Equations::

        v' = beta * v + x Wx + s Wh + b - threshold * s
        s' = 1 where v' >= threshold, else 0

    Parameters: ``Wx (I, H)``, ``Wh (H, H)`` and ``b (H,)`` as PyTorch's ``nn.Linear`` starts, uniform within
    ``1 / sqrt(I)`` and ``1 / sqrt(H)``. States: ``s (H,)``, the spikes and the output, and ``v (H,)``, the
    membrane potentials.

    ``RLeaky`` of snnTorch (https://github.com/jeshraghian/snntorch) with its defaults: subtracting reset
    whose gradient is cut, arctan surrogate of slope 2. It fires above the threshold only, not at it; and it
    finds the reset from ``v`` again, which is the same number as ``s``. Bellec et al. 2018
    (https://arxiv.org/abs/1803.09574) use the triangle.
    """

    name = "lif"
    family = "spiking"
    card = zoo.Card(
        title="Training Spiking Neural Networks Using Lessons From Deep Learning",
        authors="Jason K. Eshraghian, Max Ward, Emre O. Neftci, Xinxin Wang, Gregor Lenz, Girish Dwivedi, "
        "Mohammed Bennamoun, Doo Seok Jeong, Wei D. Lu",
        year=2023,
        url="https://arxiv.org/abs/2109.12894",
        variant="First order, recurrent from all to all, soft reset a step later, fixed decay and threshold.",
        deviations="One bias for input and recurrent weights together.",
        trainability="A symbol hardly moves a potential towards a threshold of one: at first a unit spikes "
        "twice in a thousand steps. With threshold=0.1 it comes to 2.190 nats.",
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to potentials")
    Wh = zoo.Param("H", "H", init="fan_in_uniform", help="spikes to potentials")
    b = zoo.Param("H", init="hidden_uniform", help="bias of the potentials")
    s = zoo.State("H", help="spikes, and the output")
    v = zoo.State("H", help="membrane potentials")
    beta = zoo.Option(0.9, low=0.0, high=1.0, help="what is left of a potential after a step")
    threshold = zoo.Option(1.0, low=1e-6, help="potential at which a unit fires, and what firing costs")
    surrogate = zoo.Option("arctan", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(2.0, low=1e-6, help="how sharp the surrogate is")

    def step(self, x: Array, s: Array, v: Array) -> tuple[Array, Array]:
        current = x @ self.Wx + s @ self.Wh + self.b
        v = self.beta * v + current - self.threshold * zoo.stop_gradient(s)
        return zoo.heaviside(v - self.threshold, self.surrogate, self.slope), v


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the leaky integrate-and-fire cell."""
    register(LIF)
