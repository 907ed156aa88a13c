"""The closed-form continuous-time cell, which is told how much time has passed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def glorot_heads(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Glorot uniform for each of the four matrices that stand side by side."""
    limit = math.sqrt(6 / (shape[0] + shape[1] / 4))
    return rng.uniform(-limit, limit, shape)


class CfC(zoo.Cell):
    """Closed-form continuous-time cell: a gate that depends on the time step blends two candidates.

    The solution of a liquid time-constant network's differential equation, approximated in closed form: no
    solver, and any time between two steps. A backbone layer feeds four heads, in the order first target f,
    second target g, slope a and offset d of the gate.

    Equations::

        v = 1.7159 tanh(0.666 (x Wx + h Wh + b))
        f, g, a, d = v Wv + bv
        t = sigmoid(a * dt + d)
        h' = (1 - t) * tanh(f) + t * tanh(g)

    Parameters: backbone ``Wx (I, units)``, ``Wh (H, units)`` and ``b (units,)``; heads ``Wv (units, 4H)``
    and ``bv (4H,)``; matrices Glorot uniform, biases zero. State and output: ``h (H,)``. Auxiliary input:
    ``dt``, the time since the step before, one number per row.

    The ``"default"`` mode of ``CfCCell`` in https://github.com/mlech26l/ncps, with its one backbone layer and
    LeCun's tanh; there slope and offset of the gate are ``time_a`` and ``time_b``.
    """

    name = "cfc"
    family = "continuous"
    card = zoo.Card(
        title="Closed-form continuous-time neural networks",
        authors="Ramin Hasani, Mathias Lechner, Alexander Amini, Lucas Liebenwein, Aaron Ray, "
        "Max Tschaikowski, Gerald Teschl, Daniela Rus",
        year=2022,
        url="https://doi.org/10.1038/s42256-022-00556-7",
        variant="Gated, one backbone layer, as in ncps; no sparse wiring, no LSTM memory.",
        deviations="Biases start at zero, in ncps uniformly; the backbone's two matrices start as two.",
    )
    Wx = zoo.Param("I", "units", init="glorot_uniform", help="input to backbone")
    Wh = zoo.Param("H", "units", init="glorot_uniform", help="hidden to backbone")
    b = zoo.Param("units", help="bias of the backbone")
    Wv = zoo.Param("units", "4H", init=glorot_heads, help="backbone to heads f, g, a, d")
    bv = zoo.Param("4H", help="bias of heads f, g, a, d")
    h = zoo.State("H", help="hidden units, and the output")
    dt = zoo.Input(default=1.0, help="time since the step before")
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
