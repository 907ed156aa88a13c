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

    The cell takes steps of length ``dt`` in a system of ordinary differential equations of second order. The
    new velocity ``z`` moves the displacement ``y``.

    Equations::

        z' = z + dt * (tanh(x Wx + z Wz + y Wy + b) - gamma * y - epsilon * z)
        y' = y + dt * z'

    The parameter ``Wx (I, H)`` starts uniform within ``1 / sqrt(I + 2H)`` of zero. ``Wz (H, H)``,
    ``Wy (H, H)`` and ``b (H,)`` start uniform within ``1 / sqrt(2H)`` of zero. The states are ``y (H,)``,
    which is the output, and ``z (H,)``.

    Equations, initial values and defaults come from https://github.com/tk-rusch/coRNN. The defaults are made
    for MNIST read pixel by pixel, and they make slow units. The paper does not say whether the damping acts
    on the old velocity or on the new one. The official code uses the old one.
    """

    name = "cornn"
    family = "classic"
    card = zoo.Card(
        title="Coupled Oscillatory Recurrent Neural Network (coRNN): An accurate and (gradient) stable "
        "architecture for learning long time dependencies",
        authors="T. Konstantin Rusch, Siddhartha Mishra",
        year=2020,
        url="https://arxiv.org/abs/2010.00951",
        variant="The old velocity is damped, as in the official code. All units share one gamma and one "
        "epsilon.",
        deviations="The official code holds the three matrices in one matrix of I + 2H rows, and draws it "
        "and the bias within 1 / sqrt(I + 2H). Here Wz, Wy and b are drawn without knowing I, as if I were "
        "small.",
        history="Rusch and Mishra published it in 2020, inspired by networks of oscillating neurons. They "
        "prove bounds on the gradients of the hidden states. UnICORNN (unicornn, 2021) followed, with "
        "undamped and uncoupled oscillators, and LEM (lem, 2021), with trained time scales.",
        when_to_use="Use it for long sequences of smooth inputs, such as pixels and sensor data. The paper "
        "tests it on the adding problem, on pixels of MNIST and CIFAR-10, on human activities and on film "
        "reviews. For text, set a larger dt, since the default makes slow units. A step has two products "
        "with H × H matrices, where vanilla has one, and the state has 2H elements.",
        trainability="At the official time step its oscillators move slowly from symbol to symbol. With a "
        "larger step, such as dt=0.35, it learns text.",
        related={
            "unicornn": "has undamped oscillators that are not coupled within a layer.",
            "lem": "has two states whose time steps depend on the input and the state.",
            "momentum_rnn": "has a velocity of the input, without oscillation.",
            "brf": "has oscillators with spikes.",
        },
    )
    Wx = zoo.Param("I", "H", init=uniform_fan_input, help="input to the force")
    Wz = zoo.Param("H", "H", init=uniform_fan_states, help="velocities to the force")
    Wy = zoo.Param("H", "H", init=uniform_fan_states, help="displacements to the force")
    b = zoo.Param("H", init=uniform_fan_states, help="bias of the force")
    y = zoo.State("H", help="displacements, and the output")
    z = zoo.State("H", help="velocities")
    dt = zoo.Option(0.042, low=1e-6, help="length of a step")
    gamma = zoo.Option(2.7, low=0.0, help="strength of the linear force that pulls a unit back")
    epsilon = zoo.Option(4.7, low=0.0, help="damping of the velocity")

    def step(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        force = zoo.tanh(x @ self.Wx + z @ self.Wz + y @ self.Wy + self.b)
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        return y + self.dt * z, z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register coRNN."""
    register(CoRNN)
