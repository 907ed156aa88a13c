"""Long expressive memory: two states, updated one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells._initializers import uniform_gates

Array = Any


class LEM(zoo.Cell):
    """Long expressive memory: two states that drive each other, with trained time scales.

    The cell takes implicit-explicit Euler steps in a system of ordinary differential equations with two time
    scales. Input and state determine the length of each step. The slow state ``y`` reads the new value of the
    memory ``z``. The parts of the input product are, in order, the time step of y, the time step of z, the
    drive of y and the drive of z.

    Equations::

        s, t, u, v = x Wx + b
        hs, ht, hv = y Wy
        s, t = dt * sigmoid(s + hs), dt * sigmoid(t + ht)
        z' = (1 - t) * z + t * tanh(v + hv)
        y' = (1 - s) * y + s * tanh(u + z' Wz)

    The parameters ``Wx (I, 4H)``, ``Wy (H, 3H)``, ``Wz (H, H)`` and ``b (4H,)`` start uniform within
    ``1 / sqrt(H)`` of zero, as in the official code. The states are ``y (H,)``, which is the output, and
    ``z (H,)``.

    These are equations 3 of the paper, with the order and the initial values of
    https://github.com/tk-rusch/LEM. In another published port, ``y'`` reads the old ``z``, which makes a
    different cell.
    """

    name = "lem"
    family = "classic"
    card = zoo.Card(
        title="Long Expressive Memory for Sequence Modeling",
        authors="T. Konstantin Rusch, Siddhartha Mishra, N. Benjamin Erichson, Michael W. Mahoney",
        year=2021,
        url="https://arxiv.org/abs/2110.04744",
        variant="The update of the output reads the new memory, as in the paper and the official code.",
        deviations="Each of the four parts has one bias. The official code has a second one, which adds "
        "nothing to the first.",
        history="Rusch, Mishra, Erichson and Mahoney published it in 2021, after the oscillators of coRNN "
        "(cornn) and UnICORNN (unicornn). They derive a cell with gates from differential equations with "
        "several time scales, bound its gradients and prove that it approximates a large class of dynamical "
        "systems.",
        when_to_use="Use it in place of an LSTM where memory must last long: it has as many weights as an "
        "LSTM and two states of size H. The paper reports better results than LSTM and GRU on images, time "
        "series, keyword spotting and language modelling. The product with the new memory depends on the "
        "other recurrent product, so the two cannot be computed as one.",
        related={
            "cornn": "has oscillators with fixed time steps.",
            "unicornn": "has oscillators that are not coupled within a layer.",
            "clockwork": "has fixed time scales.",
            "lstm": "has an input, a forget and an output gate and no product with the new memory.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to time steps of y and z, drives of y and z")
    Wy = zoo.Param("H", "3H", init="fan_in_uniform", help="y to time steps of y and z, drive of z")
    Wz = zoo.Param("H", "H", init="fan_in_uniform", help="new z to the drive of y")
    b = zoo.Param("4H", init=uniform_gates, help="bias of time steps and drives")
    y = zoo.State("H", help="slow state, and the output")
    z = zoo.State("H", help="memory")
    dt = zoo.Option(1.0, low=1e-6, help="longest time step. Above one the states may overshoot")

    def step(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        s, t, u, v = zoo.split(x @ self.Wx + self.b, 4)
        hs, ht, hv = zoo.split(y @ self.Wy, 3)
        s, t = self.dt * zoo.sigmoid(s + hs), self.dt * zoo.sigmoid(t + ht)
        z = (1 - t) * z + t * zoo.tanh(v + hv)
        y = (1 - s) * y + s * zoo.tanh(u + z @ self.Wz)
        return y, z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LEM."""
    register(LEM)
