"""Long expressive memory: two states, updated one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within ``1 / sqrt(H)`` of zero, for the input matrix ``(I, 4H)`` and the bias ``(4H,)``."""
    limit = 1 / math.sqrt(shape[-1] / 4)
    return rng.uniform(-limit, limit, shape)


class LEM(zoo.Cell):
    """Long expressive memory: two states that drive each other, with trained time scales.

    A two-scale system of ordinary differential equations, taken by implicit-explicit Euler steps whose length
    input and state choose. The slow state ``y`` sees the memory ``z`` as it has just become. The parts of the
    input product stand in the order time step of y, time step of z, drive of y, drive of z.

    Equations::

        s, t, u, v = x Wx + b
        hs, ht, hv = y Wy
        s, t = dt * sigmoid(s + hs), dt * sigmoid(t + ht)
        z' = (1 - t) * z + t * tanh(v + hv)
        y' = (1 - s) * y + s * tanh(u + z' Wz)

    Parameters: ``Wx (I, 4H)``, ``Wy (H, 3H)``, ``Wz (H, H)`` and ``b (4H,)``, all uniform within
    ``1 / sqrt(H)`` of zero, as the official code starts. States: ``y (H,)``, which is the output, and
    ``z (H,)``.

    Equations 3 of the paper; order and initialization are those of https://github.com/tk-rusch/LEM. There is
    a port in circulation whose ``y'`` sees the old ``z``: that is another cell.
    """

    name = "lem"
    family = "classic"
    card = zoo.Card(
        title="Long Expressive Memory for Sequence Modeling",
        authors="T. Konstantin Rusch, Siddhartha Mishra, N. Benjamin Erichson, Michael W. Mahoney",
        year=2021,
        url="https://arxiv.org/abs/2110.04744",
        variant="The output update sees the new memory, as in the paper and the official code.",
        deviations="One bias for each of the four parts; the official code has a second, which adds nothing.",
    )
    Wx = zoo.Param("I", "4H", init=uniform, help="input to time steps of y and z, drives of y and z")
    Wy = zoo.Param("H", "3H", init="fan_in_uniform", help="y to time steps of y and z, drive of z")
    Wz = zoo.Param("H", "H", init="fan_in_uniform", help="new z to the drive of y")
    b = zoo.Param("4H", init=uniform, help="bias of time steps and drives")
    y = zoo.State("H", help="slow state, and the output")
    z = zoo.State("H", help="memory")
    dt = zoo.Option(1.0, low=1e-6, help="longest time step; above one the states may overshoot")

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
