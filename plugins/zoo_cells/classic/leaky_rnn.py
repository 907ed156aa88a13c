"""A simple recurrent network of leaky integrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class LeakyRNN(zoo.Cell):
    """Leaky RNN: a vanilla RNN whose state moves part of the way to its new value at every step.

    A small ``leak`` makes slow units. With all of it new, ``leak = 1``, this is ``vanilla``.

    Equations::

        h' = (1 - leak) * h + leak * tanh(x Wx + h Wh + b)

    Parameters: ``Wx (I, H)``, ``Wh (H, H)`` and ``b (H,)``, all uniform within ``1 / sqrt(H)`` of zero, as in
    ``vanilla``. State and output: ``h (H,)``.

    The units are those of echo state networks, whose weights are fixed (``esn``); here they are trained. The
    equation is the one by which the paper is cited and that reservoir libraries compute, as ReservoirPy
    (https://github.com/reservoirpy/reservoirpy), with one rate for what fades and what is new.
    """

    name = "leaky_rnn"
    family = "classic"
    card = zoo.Card(
        title="Optimization and applications of echo state networks with leaky-integrator neurons",
        authors="Herbert Jaeger, Mantas Lukoševičius, Dan Popovici, Udo Siewert",
        year=2007,
        url="https://doi.org/10.1016/j.neunet.2007.04.016",
        variant="Leaky-integrator tanh units with one fixed leaking rate for all.",
        deviations="Every weight is trained, by back-propagation through time; in the paper the readout is, "
        "and a few numbers for the whole network. No feedback from the output, and no noise.",
    )
    Wx = zoo.Param("I", "H", init="hidden_uniform", help="input to hidden")
    Wh = zoo.Param("H", "H", init="hidden_uniform", help="hidden to hidden")
    b = zoo.Param("H", init="hidden_uniform", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    leak = zoo.Option(0.3, low=0.0, high=1.0, help="share of a unit that is new at every step")

    def step(self, x: Array, h: Array) -> Array:
        return (1 - self.leak) * h + self.leak * zoo.tanh(x @ self.Wx + h @ self.Wh + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the leaky network."""
    register(LeakyRNN)
