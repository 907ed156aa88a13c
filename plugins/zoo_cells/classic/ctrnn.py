"""The continuous-time recurrent network, in Euler steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def time_constants(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Such that the time constants lie evenly, on a logarithmic scale, above ``tau_min`` and by ten times."""
    tau = cell.tau_min * 10 ** rng.uniform(0.01, 1, shape)
    return np.log(np.expm1(tau - cell.tau_min))


class CTRNN(zoo.Cell):
    """Continuous-time RNN: units with a trained time constant each, for time steps of any length.

    The neuron's potential leaks, and is driven by the firing rates of the others; its rate is the output.

    Equations, for ``tau dh/dt = -h + sigmoid(h + b) Wh + x Wx`` by one Euler step::

        tau = tau_min + softplus(s)
        h'  = h + dt / tau * (sigmoid(h + b) Wh + x Wx - h)
        y   = sigmoid(h' + b)

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``b (H,)`` zero, ``s (H,)`` such that
    the time constants lie between ``tau_min`` and ten times that, evenly on a logarithmic scale. State:
    ``h (H,)``. The output ``y`` is of size H. Auxiliary input: ``dt``, the time since the last step, one
    unless told otherwise.

    The equation is Beer's, whose networks are evolved, not trained: it specifies no initialization. A step
    longer than twice the smallest time constant overshoots, and many of them diverge, as Euler's method does.
    """

    name = "ctrnn"
    family = "classic"
    card = zoo.Card(
        title="On the Dynamics of Small Continuous-Time Recurrent Neural Networks",
        authors="Randall D. Beer",
        year=1995,
        url="https://doi.org/10.1177/105971239500300405",
        variant="Additive model with logistic units, without gains; one forward Euler step of length dt.",
        deviations="The external input is a trained projection of x. Time constants stay above tau_min.",
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to potentials")
    Wh = zoo.Param("H", "H", init="orthogonal", help="firing rates to potentials")
    b = zoo.Param("H", help="added to a potential before the logistic function")
    s = zoo.Param("H", init=time_constants, help="time constants, before the softplus")
    h = zoo.State("H", help="potentials")
    dt = zoo.Input(default=1.0, help="time since the last step")
    tau_min = zoo.Option(1.0, low=1e-6, help="smallest time constant, in units of dt")

    def step(self, x: Array, h: Array, dt: Array) -> zoo.Output:
        tau = self.tau_min + zoo.softplus(self.s)
        h = h + dt / tau * (zoo.sigmoid(h + self.b) @ self.Wh + x @ self.Wx - h)
        return zoo.Output(zoo.sigmoid(h + self.b), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the continuous-time network."""
    register(CTRNN)
