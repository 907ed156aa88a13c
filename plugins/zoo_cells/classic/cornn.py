"""coRNN: coupled oscillators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def uniform_fan_input(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within ``1 / sqrt(I + 2H)`` of zero."""
    limit = 1 / math.sqrt(shape[0] + 2 * shape[1])
    return rng.uniform(-limit, limit, shape)


def uniform_fan_states(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within ``1 / sqrt(2H)`` of zero."""
    limit = 1 / math.sqrt(2 * shape[-1])
    return rng.uniform(-limit, limit, shape)


class CoRNN(zoo.Cell):
    """Coupled oscillatory RNN: a network of driven and damped oscillators whose gradients stay bounded.

    A system of ordinary differential equations of second order, taken by steps of length ``dt``: the new
    velocity ``z`` moves the displacement ``y``.

    Equations::

        z' = z + dt * (tanh(x Wx + z Wz + y Wy + b) - gamma * y - epsilon * z)
        y' = y + dt * z'

    Parameters: ``Wx (I, H)`` uniform within ``1 / sqrt(I + 2H)`` of zero; ``Wz (H, H)``, ``Wy (H, H)`` and
    ``b (H,)`` uniform within ``1 / sqrt(2H)`` of zero. States: ``y (H,)``, which is the output, and
    ``z (H,)``.

    Equations, initialization and the defaults, which are for the pixels of MNIST and make slow units, are
    those of https://github.com/tk-rusch/coRNN. The paper leaves open whether the damping acts on the old
    velocity or on the new one; the official code takes the old one.
    """

    name = "cornn"
    family = "classic"
    card = zoo.Card(
        title="Coupled Oscillatory Recurrent Neural Network (coRNN): An accurate and (gradient) stable "
        "architecture for learning long time dependencies",
        authors="T. Konstantin Rusch, Siddhartha Mishra",
        year=2020,
        url="https://arxiv.org/abs/2010.00951",
        variant="Damping by the old velocity, as in the official code; one gamma and epsilon for all units.",
        deviations="The official code holds the three matrices in one, of I + 2H rows, and draws all and the "
        "bias within 1 / sqrt(I + 2H); Wz, Wy and b, which cannot know I, start as if it were small.",
        trainability="At the official time step its oscillators move slowly from symbol to symbol. With "
        "dt=0.35 it comes to 2.001 nats.",
    )
    Wx = zoo.Param("I", "H", init=uniform_fan_input, help="input to the force")
    Wz = zoo.Param("H", "H", init=uniform_fan_states, help="velocities to the force")
    Wy = zoo.Param("H", "H", init=uniform_fan_states, help="displacements to the force")
    b = zoo.Param("H", init=uniform_fan_states, help="bias of the force")
    y = zoo.State("H", help="displacements, and the output")
    z = zoo.State("H", help="velocities")
    dt = zoo.Option(0.042, low=1e-6, help="length of a step")
    gamma = zoo.Option(2.7, low=0.0, help="linear force that pulls a unit back")
    epsilon = zoo.Option(4.7, low=0.0, help="damping of the velocity")

    def step(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        force = zoo.tanh(x @ self.Wx + z @ self.Wz + y @ self.Wy + self.b)
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        return y + self.dt * z, z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register coRNN."""
    register(CoRNN)
