"""The closed-form continuous-time cell, which takes the time step as an input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def glorot_heads(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Glorot uniform for each of the four matrices side by side."""
    limit = math.sqrt(6 / (shape[0] + shape[1] / 4))
    return rng.uniform(-limit, limit, shape)


class CfC(zoo.Cell):
    """Closed-form continuous-time cell: a gate that depends on the time step blends two candidates.

    It approximates the solution of the differential equation of a liquid time-constant network in closed
    form. It needs no solver, and the time between two steps may have any length. A backbone layer feeds four
    heads: in order, the first target f, the second target g, and slope a and offset d of the gate.

    Equations::

        v = 1.7159 tanh(0.666 (x Wx + h Wh + b))
        f, g, a, d = v Wv + bv
        t = sigmoid(a * dt + d)
        h' = (1 - t) * tanh(f) + t * tanh(g)

    The backbone has the parameters ``Wx (I, units)``, ``Wh (H, units)`` and ``b (units,)``, and the heads
    have ``Wv (units, 4H)`` and ``bv (4H,)``. Matrices start Glorot uniform and biases at zero. The state
    ``h (H,)`` is the output. The auxiliary input ``dt`` is the time since the previous step, 1 by default.

    This is the ``"default"`` mode of ``CfCCell`` in https://github.com/mlech26l/ncps, with its one backbone
    layer and LeCun's tanh. There, slope and offset of the gate are ``time_a`` and ``time_b``.

    Train it with uneven time steps::

        rng = np.random.default_rng(0)
        x = rng.normal(size=(20, 64, 1))  # (T, B, I)
        dt = rng.uniform(size=(20, 64))  # (T, B), the time since the previous step
        integral = np.cumsum(x * dt[..., None], axis=0)
        model = zoo.SequenceModel("cfc", input_size=1, output_size=1, loss="squared_error")
        model.fit(x, integral, aux={"dt": dt}, epochs=40, lr=0.003)
    """

    name = "cfc"
    family = "continuous"
    card = zoo.Card(
        title="Closed-form continuous-time neural networks",
        authors="Ramin Hasani, Mathias Lechner, Alexander Amini, Lucas Liebenwein, Aaron Ray, Max "
        "Tschaikowski, Gerald Teschl, Daniela Rus",
        year=2022,
        url="https://doi.org/10.1038/s42256-022-00556-7",
        variant="This is the gated form with one backbone layer, as in ncps. It has no sparse wiring and no "
        "LSTM memory.",
        deviations="Biases start at zero, where ncps draws them uniformly. The two matrices of the backbone "
        "have separate initial values.",
        history="Hasani, Lechner and others published it in 2022 (the preprint is of 2021). It replaces the "
        "solver of liquid time-constant networks (ltc) with an approximation of the solution. The paper "
        "reports training and inference that are between one and five orders of magnitude faster than models "
        "with solvers.",
        when_to_use="Use it for measurements at uneven times: pass the time since the previous step as dt. "
        "With even steps it is a gated cell with one hidden layer inside its step. The option units sets the "
        "size of that layer, 128 whatever H is, so choose it with H when you compare cells by parameters. "
        "Use ltc where you want to read the time constants of the neurons.",
        related={
            "ltc": "solves the differential equation step by step.",
            "gru_ode": "takes Euler steps, and its gates read the state.",
            "ctrnn": "has trained time constants and no gates.",
        },
    )
    Wx = zoo.Param("I", "units", init="glorot_uniform", help="input to backbone")
    Wh = zoo.Param("H", "units", init="glorot_uniform", help="hidden to backbone")
    b = zoo.Param("units", help="bias of the backbone")
    Wv = zoo.Param("units", "4H", init=glorot_heads, help="backbone to heads f, g, a, d")
    bv = zoo.Param("4H", help="bias of heads f, g, a, d")
    h = zoo.State("H", help="hidden units, and the output")
    dt = zoo.Input(default=1.0, between_steps=True, low=0, help="time since the previous step")
    units = zoo.Option(128, low=1, help="units of the backbone")

    def step(self, x: Array, h: Array, dt: Array) -> Array:
        v = 1.7159 * zoo.tanh(0.666 * (x @ self.Wx + h @ self.Wh + self.b))
        f, g, a, d = zoo.split(v @ self.Wv + self.bv, 4)
        t = zoo.sigmoid(a * dt + d)
        return (1 - t) * zoo.tanh(f) + t * zoo.tanh(g)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the CfC."""
    register(CfC)
