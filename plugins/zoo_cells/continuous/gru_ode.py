"""The GRU as a differential equation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def longest_step(options: Any) -> float:
    """Twice the number of Euler steps, since each is stable up to a length of two."""
    return 2.0 * float(options["steps"])


def glorot_gates(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Glorot uniform for each of the square matrices side by side."""
    limit = math.sqrt(3 / shape[0])
    return rng.uniform(-limit, limit, shape)


def slight(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """0.05, as in the authors' code."""
    return np.full(shape, 0.05)


class GRUODE(zoo.Cell):
    """GRU-ODE: a gated unit whose state moves towards its candidate, in proportion to the time step.

    The step of a GRU, read as a difference, becomes a velocity. The input stays the same while time passes.
    The parts of the input product are, in order, the reset gate r, the update gate z and the candidate n.

    Equations, ``steps`` times in each step::

        d = dt / steps
        xr, xz, xn = x Wx + b
        hr, hz = h Wh
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = tanh(xn + (r * h) Wn)
        h' = h + d * (1 - z) * (n - h)

    The parameter ``Wx (I, 3H)`` starts Glorot uniform, ``Wh (H, 2H)`` and ``Wn (H, H)`` Glorot uniform gate
    by gate, and ``b (3H,)`` at 0.05. The state ``h (H,)`` is the output. The auxiliary input ``dt`` is the
    time since the previous step, 1 by default.

    With ``dt = 1`` and one step it is ``gru_reset_before``. While ``dt / steps`` is at most one, a state
    within [-1, 1] stays there, like the solution of the equation. Longer steps may overshoot. Equations
    and initial values come from ``FullGRUODECell`` in https://github.com/edebrouwer/gru_ode_bayes, with
    ``solver="euler"``, where the caller chooses the step.

    Train it with uneven time steps::

        rng = np.random.default_rng(0)
        x = rng.normal(size=(20, 64, 1))  # (T, B, I)
        dt = rng.uniform(size=(20, 64))  # (T, B), the time since the previous step
        integral = np.cumsum(x * dt[..., None], axis=0)
        model = zoo.SequenceModel("gru_ode", input_size=1, output_size=1, loss="squared_error")
        model.fit(x, integral, aux={"dt": dt}, epochs=20, lr=0.01)
    """

    name = "gru_ode"
    family = "continuous"
    card = zoo.Card(
        title="GRU-ODE-Bayes: Continuous modeling of sporadically-observed time series",
        authors="Edward De Brouwer, Jaak Simm, Adam Arany, Yves Moreau",
        year=2019,
        url="https://arxiv.org/abs/1905.12374",
        variant="This is the full GRU-ODE with a reset gate, by Euler steps. The official code also has one "
        "without a reset gate.",
        deviations="The cell computes the flow alone, without the Bayesian update at an observation and "
        "without the network that predicts the input from the state. The input x comes from the layer below "
        "and stays the same over the step.",
        history="De Brouwer, Simm, Arany and Moreau published it in 2019, after neural ordinary differential "
        "equations (Chen and others, 2018). They made the GRU continuous in time to model patients and the "
        "climate, which are measured at irregular times. Their full method also updates the state at each "
        "observation.",
        when_to_use="Use it for measurements at uneven times where you would use a GRU at even ones. Raise "
        "the option steps if dt is larger than one, because an Euler step of more than one may overshoot. "
        "Each solver step costs the products of a GRU, so cfc is cheaper for long gaps. For values that are "
        "missing at some steps, the Bayesian update of the paper is not included.",
        related={
            "gru_reset_before": "is this cell with dt = 1 and one step.",
            "gru": "applies the reset gate after the product and has no time input.",
            "cfc": "needs no solver.",
            "ltc": "has conductance-based synapses in place of gates.",
            "ctrnn": "has trained time constants and no gates.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to gates r, z, n")
    Wh = zoo.Param("H", "2H", init=glorot_gates, help="hidden to gates r, z")
    Wn = zoo.Param("H", "H", init=glorot_gates, help="reset hidden to candidate n")
    b = zoo.Param("3H", init=slight, help="bias of gates r, z, n")
    h = zoo.State("H", help="hidden units, and the output")
    dt = zoo.Input(
        default=1.0, between_steps=True, limit=longest_step, low=0, help="time since the previous step"
    )
    steps = zoo.Option(1, low=1, high=64, help="Euler steps within dt")
    gates = zoo.Gates(reset_gate="r", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array, dt: Array) -> Array:
        xr, xz, xn = zoo.split(x @ self.Wx + self.b, 3)
        for _ in range(self.steps):
            hr, hz = zoo.split(h @ self.Wh, 2)
            r, z = zoo.sigmoid(xr + hr), zoo.sigmoid(xz + hz)
            n = zoo.tanh(xn + (r * h) @ self.Wn)
            h = h + dt / self.steps * (1 - z) * (n - h)
        return h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the GRU-ODE."""
    register(GRUODE)
