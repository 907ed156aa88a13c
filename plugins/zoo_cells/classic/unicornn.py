"""UnICORNN: undamped oscillators without coupling within a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def kaiming(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within ``sqrt(6 / (65 I))`` of zero, Kaiming's rule for a leaky ReLU of slope eight."""
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

    The cell takes symplectic Euler steps in a Hamiltonian system. Such steps can be run backwards. Only other
    layers couple the units.

    Equations::

        s  = dt * sigmoid(c)
        z' = z - s * (tanh(u * y + x Wx + b) + alpha * y)
        y' = y + s * z'

    The parameter ``Wx (I, H)`` starts uniform within ``sqrt(6 / (65 I))`` of zero, ``u (H,)`` uniform between
    zero and one, ``c (H,)`` uniform within 0.1 of zero, and ``b (H,)`` at zero. The states are ``y (H,)``,
    which is the output, and the velocity ``z (H,)``.

    Equations, initial values and defaults come from https://github.com/tk-rusch/unicornn. The defaults are
    made for MNIST with pixels in random order. The backward pass of the official code computes the states
    again from the last ones, and the backward pass here stores them.
    """

    name = "unicornn"
    family = "classic"
    card = zoo.Card(
        title="UnICORNN: A recurrent model for learning very long time dependencies",
        authors="T. Konstantin Rusch, Siddhartha Mishra",
        year=2021,
        url="https://arxiv.org/abs/2103.05487",
        variant="This is one layer, with a trained time step for each unit. A model stacks several of them.",
        history="Rusch and Mishra published it in 2021, after coRNN (cornn). Without damping and coupling, "
        "the system is Hamiltonian, so the states can be recomputed in the backward pass and memory does not "
        "grow with the length. LEM (lem) followed in the same year.",
        when_to_use="Use it in stacks of several layers for very long sequences of smooth inputs, which is "
        "what the paper tests. One layer alone does not mix its units. Do not use it on an endless stream of "
        "text, where its state grows without bound. A step has no recurrent matrix product, so it is cheap "
        "for large H.",
        trainability="Nothing damps it, so its state grows without bound on an endless text.",
        related={
            "linoss": "has linear oscillators.",
            "cornn": "has damping and couples the units of a layer.",
            "lem": "has gates and couples the units of a layer.",
            "indrnn": "also has one recurrent weight for each unit, without oscillation.",
        },
    )
    Wx = zoo.Param("I", "H", init=kaiming, help="input to the force on the units")
    u = zoo.Param("H", init=stiffness, help="unit to itself")
    c = zoo.Param("H", init=speeds, help="time step of a unit, before the sigmoid")
    b = zoo.Param("H", help="bias")
    y = zoo.State("H", help="displacement of the units, and the output")
    z = zoo.State("H", help="velocity of the units")
    dt = zoo.Option(0.19, low=1e-6, help="longest time step")
    alpha = zoo.Option(30.65, low=0.0, help="strength of the linear force that pulls a unit back")

    def step(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        s = self.dt * zoo.sigmoid(self.c)
        z = z - s * (zoo.tanh(self.u * y + x @ self.Wx + self.b) + self.alpha * y)
        return y + s * z, z


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register UnICORNN."""
    register(UnICORNN)
