"""UnICORNN: undamped oscillators that do not hear each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def kaiming(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within ``sqrt(6 / (65 I))`` of zero: Kaiming's for a leaky ReLU of slope eight."""
    limit = math.sqrt(6 / (65 * shape[0]))
    return rng.uniform(-limit, limit, shape)


def stiffness(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform between zero and one."""
    return rng.uniform(0, 1, shape)


def speeds(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within 0.1 of zero."""
    return rng.uniform(-0.1, 0.1, shape)


class UnICORNN(zoo.Cell):
    """UnICORNN: undamped oscillators with a trained time step each, for very long sequences.

    A Hamiltonian system taken by symplectic Euler steps, which can be run backwards. Units are coupled only
    by the layers around them.

    Equations::

        s  = dt * sigmoid(c)
        z' = z - s * (tanh(u * y + x Wx + b) + alpha * y)
        y' = y + s * z'

    Parameters: ``Wx (I, H)`` uniform within ``sqrt(6 / (65 I))`` of zero, ``u (H,)`` uniform between zero and
    one, ``c (H,)`` uniform within 0.1 of zero, ``b (H,)`` zero. States: ``y (H,)``, which is the output, and
    the velocity ``z (H,)``.

    Equations, initialization and the defaults, which are for pixels of MNIST in random order, are those of
    https://github.com/tk-rusch/unicornn; its backward pass computes the states anew from the last ones, and
    this one keeps them.
    """

    name = "unicornn"
    family = "classic"
    card = zoo.Card(
        title="UnICORNN: A recurrent model for learning very long time dependencies",
        authors="T. Konstantin Rusch, Siddhartha Mishra",
        year=2021,
        url="https://arxiv.org/abs/2103.05487",
        variant="One layer, with a trained time step for each unit; several are stacked by the model.",
        trainability="Nothing damps it: on an endless text its state grows without end, fivefold over the "
        "first 20,000 symbols.",
    )
    Wx = zoo.Param("I", "H", init=kaiming, help="input to the force on the units")
    u = zoo.Param("H", init=stiffness, help="unit to itself")
    c = zoo.Param("H", init=speeds, help="time step of a unit, before the sigmoid")
    b = zoo.Param("H", help="bias")
    y = zoo.State("H", help="displacement of the units, and the output")
    z = zoo.State("H", help="velocity of the units")
    dt = zoo.Option(0.19, low=1e-6, help="longest time step")
    alpha = zoo.Option(30.65, low=0.0, help="linear force that pulls a unit back")

    def step(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        s = self.dt * zoo.sigmoid(self.c)
        z = z - s * (zoo.tanh(self.u * y + x @ self.Wx + self.b) + self.alpha * y)
        return y + s * z, z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register UnICORNN."""
    register(UnICORNN)
