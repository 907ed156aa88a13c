"""Second-order leaky integrate-and-fire units: synaptic current and membrane potential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any


class Synaptic(zoo.Cell):
    """Synaptic: spiking units whose input first charges a synaptic current that decays.

    An input therefore raises the potential over several steps. A unit that has fired loses the threshold at
    the next step (soft reset, without a gradient).

    Equations, where heaviside is one from zero on::

        i' = alpha * i + x Wx + s Wh + b
        v' = beta * v + i' - threshold * s
        s' = heaviside(v' - threshold)

    The parameters ``Wx (I, H)``, ``Wh (H, H)`` and ``b (H,)`` start as in PyTorch's ``nn.Linear``, uniform
    within ``1 / sqrt(I)`` of zero for Wx and ``1 / sqrt(H)`` for the others. The states are ``s (H,)``, the
    spikes and the output, ``i (H,)``, the synaptic currents, and ``v (H,)``, the membrane potentials.

    This is ``RSynaptic`` of snnTorch (https://github.com/jeshraghian/snntorch, version 1.0.0, MIT) with its
    subtracting reset and its arctan surrogate of slope 2. Its decays have no default there. ``alpha`` and
    ``beta`` come from its examples. It fires only above the threshold and not at it.
    """

    name = "synaptic"
    family = "spiking"
    card = zoo.Card(
        title="Training Spiking Neural Networks Using Lessons From Deep Learning",
        authors="Jason K. Eshraghian, Max Ward, Emre O. Neftci, Xinxin Wang, Gregor Lenz, Girish Dwivedi, "
        "Mohammed Bennamoun, Doo Seok Jeong, Wei D. Lu",
        year=2023,
        url="https://arxiv.org/abs/2109.12894",
        variant="The units are of second order, all are connected to all, the soft reset comes one step "
        "later, and decays and threshold are fixed.",
        deviations="One bias serves the input and the recurrent weights together.",
        history="Models of neurons with a synaptic current are older than their training. Eshraghian and "
        "others include this discrete form in the library snnTorch and describe it in the tutorial of 2021 "
        "(published in 2023).",
        when_to_use="Use it in place of lif where an input spike should act over several steps. It has one "
        "more state of size H. Choose threshold such that units fire on your inputs: the current "
        "accumulates, so they fire earlier than those of lif.",
        trainability="A symbol acts on the currents for about ten steps, so spikes represent several "
        "symbols together.",
        related={
            "lif": "has no synaptic current: an input acts at once.",
            "alpha": "has two currents, whose difference is the potential.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to currents")
    Wh = zoo.Param("H", "H", init="fan_in_uniform", help="spikes to currents")
    b = zoo.Param("H", init="hidden_uniform", help="bias of the currents")
    s = zoo.State("H", help="spikes, and the output")
    i = zoo.State("H", help="synaptic currents")
    v = zoo.State("H", help="membrane potentials")
    alpha = zoo.Option(0.9, low=0.0, high=1.0, help="share of a current that is kept at every step")
    beta = zoo.Option(0.8, low=0.0, high=1.0, help="share of a potential that is kept at every step")
    threshold = zoo.Option(
        1.0, low=1e-6, help="potential at which a unit fires, and which it loses by firing"
    )
    surrogate = zoo.Option("arctan", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(2.0, low=1e-6, help="slope of the surrogate")

    def step(self, x: Array, s: Array, i: Array, v: Array) -> tuple[Array, Array, Array]:
        i = self.alpha * i + x @ self.Wx + s @ self.Wh + self.b
        v = self.beta * v + i - self.threshold * zoo.stop_gradient(s)
        return zoo.heaviside(v - self.threshold, self.surrogate, self.slope), i, v


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the cell with synaptic currents."""
    register(Synaptic)
