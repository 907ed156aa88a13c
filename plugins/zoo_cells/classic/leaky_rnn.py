"""A simple recurrent network of leaky integrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class LeakyRNN(zoo.Cell):
    """Leaky RNN: a vanilla RNN whose state moves part of the way to its new value at every step.

    A small ``leak`` makes slow units. With ``leak = 1`` it is ``vanilla``.

    Equations::

        h' = (1 - leak) * h + leak * tanh(x Wx + h Wh + b)

    The parameters ``Wx (I, H)``, ``Wh (H, H)`` and ``b (H,)`` start uniform within ``1 / sqrt(H)`` of zero,
    as in ``vanilla``. The state ``h (H,)`` is the output.

    Echo state networks have the same units with fixed weights (``esn``). Here the weights are trained. The
    paper is cited for this equation, and reservoir libraries such as ReservoirPy
    (https://github.com/reservoirpy/reservoirpy) compute it, with one rate for the old and the new part.
    """

    name = "leaky_rnn"
    family = "classic"
    card = zoo.Card(
        title="Optimization and applications of echo state networks with leaky-integrator neurons",
        authors="Herbert Jaeger, Mantas Lukoševičius, Dan Popovici, Udo Siewert",
        year=2007,
        url="https://doi.org/10.1016/j.neunet.2007.04.016",
        variant="The units are leaky-integrator tanh units with one fixed leaking rate for all.",
        deviations="Every weight is trained, by back-propagation through time. The paper trains the readout "
        "and a few numbers for the whole network. There is no feedback from the output and no noise.",
        history="Leaky integrators are the usual model of firing rates in neuroscience. Jaeger, "
        "Lukoševičius, Popovici and Siewert investigated echo state networks of such units in 2007, to "
        "adapt a network to the speed of a signal. Rate networks in computational neuroscience are often "
        "built from such units.",
        when_to_use="Use it as a rate network in neuroscience, with leak = dt / tau for a time constant tau, "
        "and for signals that change slowly compared with the sampling rate. It has no gate, so it forgets "
        "at one fixed rate, and a gated cell is better where memory must last for a variable time. It costs "
        "the same as vanilla.",
        related={
            "vanilla": "is this cell with leak = 1.",
            "esn": "has fixed recurrent weights.",
            "ctrnn": "has a trained time constant for each unit and takes the time step as an input.",
            "fastrnn": "has two trained weights for the old and the new part.",
            "clockwork": "has slow groups that wait between updates.",
            "scrn": "has slow linear units in addition to fast ones.",
            "lif": "has leaky units with spikes.",
            "ei_rnn": "has excitatory and inhibitory units.",
            "stsp_rnn": "has synapses that change their strength.",
            "low_rank_rnn": "has a recurrent matrix of low rank.",
            "mgu3": "has a trained leak for each unit.",
            "miru2": "has a candidate that reads only a part of the state.",
        },
    )
    Wx = zoo.Param("I", "H", init="hidden_uniform", help="input to hidden")
    Wh = zoo.Param("H", "H", init="hidden_uniform", help="hidden to hidden")
    b = zoo.Param("H", init="hidden_uniform", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    leak = zoo.Option(0.3, low=0.0, high=1.0, help="share of the new value in a unit at every step")

    def step(self, x: Array, h: Array) -> Array:
        return (1 - self.leak) * h + self.leak * zoo.tanh(x @ self.Wx + h @ self.Wh + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the leaky network."""
    register(LeakyRNN)
