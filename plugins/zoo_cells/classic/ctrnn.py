"""The continuous-time recurrent network, in Euler steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def longest_step(options: Any) -> float:
    """Twice the smallest time constant, above which an Euler step overshoots more each time."""
    return 2.0 * float(options["tau_min"])


def time_constants(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Such that time constants are uniform on a logarithmic scale, from ``tau_min`` to ten times that."""
    tau = cell.tau_min * 10 ** rng.uniform(0.01, 1, shape)
    return np.log(np.expm1(tau - cell.tau_min))


class CTRNN(zoo.Cell):
    """Continuous-time RNN: units with a trained time constant each, for time steps of any length.

    The potential of a neuron leaks, and the firing rates of the other neurons drive it. The firing rate is
    the output.

    Equations, one Euler step of ``tau dh/dt = -h + sigmoid(h + b) Wh + x Wx``::

        tau = tau_min + softplus(s)
        h'  = h + dt / tau * (sigmoid(h + b) Wh + x Wx - h)
        y   = sigmoid(h' + b)

    The parameter ``Wx (I, H)`` starts Glorot uniform, ``Wh (H, H)`` starts orthogonal and ``b (H,)`` starts
    at zero. ``s (H,)`` starts such that the time constants are between ``tau_min`` and ten times that,
    uniform on a logarithmic scale. The state is ``h (H,)``, and the output ``y`` has size H. The auxiliary
    input ``dt`` is the time since the previous step, 1 by default.

    The equation is Beer's, whose networks are evolved instead of trained, so the paper has no initial values.
    A step that is longer than twice the smallest time constant overshoots, and many such steps diverge, as
    with Euler's method in general.

    Train it with uneven time steps::

        rng = np.random.default_rng(0)
        x = rng.normal(size=(20, 64, 1))  # (T, B, I)
        dt = rng.uniform(size=(20, 64))  # (T, B), the time since the previous step
        integral = np.cumsum(x * dt[..., None], axis=0)
        model = zoo.SequenceModel("ctrnn", input_size=1, output_size=1, loss="squared_error")
        model.fit(x, integral, aux={"dt": dt}, epochs=20, lr=0.01)
    """

    name = "ctrnn"
    family = "classic"
    card = zoo.Card(
        title="On the Dynamics of Small Continuous-Time Recurrent Neural Networks",
        authors="Randall D. Beer",
        year=1995,
        url="https://doi.org/10.1177/105971239500300405",
        variant="This is the additive model with logistic units and without gains. It takes one forward "
        "Euler step of length dt.",
        deviations="The external input is a trained projection of x. Time constants stay above tau_min.",
        history="Additive networks of this kind are older than the paper. Funahashi and Nakamura proved in "
        "1993 that they approximate any trajectory of a dynamical system over a finite time. Beer analysed "
        "small networks in 1995 and showed that one or two neurons already have rich dynamics. Liquid "
        "time-constant networks (ltc, 2020) make the time constants depend on the input.",
        when_to_use="Use it as a rate network in neuroscience, and for measurements at uneven times. Keep dt "
        "below twice tau_min, because the Euler step overshoots beyond that. The outputs are firing rates "
        "between 0 and 1. A step costs one product with an H × H matrix, like vanilla.",
        related={
            "leaky_rnn": "has one fixed rate for all units and no time input.",
            "ltc": "has time constants that depend on the input and the state.",
            "cfc": "needs no solver, so its steps may have any length.",
            "gru_ode": "has gates and takes the time step as an input, too.",
            "ei_rnn": "has excitatory and inhibitory units.",
            "plrnn": "is piecewise linear, so that its fixed points can be computed exactly.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to potentials")
    Wh = zoo.Param("H", "H", init="orthogonal", help="firing rates to potentials")
    b = zoo.Param("H", help="added to a potential before the logistic function")
    s = zoo.Param("H", init=time_constants, help="time constants, before the softplus")
    h = zoo.State("H", help="potentials")
    dt = zoo.Input(
        default=1.0, between_steps=True, limit=longest_step, low=0, help="time since the previous step"
    )
    tau_min = zoo.Option(1.0, low=1e-6, help="smallest time constant, in units of dt")

    def step(self, x: Array, h: Array, dt: Array) -> zoo.Output:
        tau = self.tau_min + zoo.softplus(self.s)
        h = h + dt / tau * (zoo.sigmoid(h + self.b) @ self.Wh + x @ self.Wx - h)
        return zoo.Output(zoo.sigmoid(h + self.b), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the continuous-time network."""
    register(CTRNN)
