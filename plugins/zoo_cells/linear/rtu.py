"""Recurrent trace units: rotations in planes, made for real-time recurrent learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def logs_of_decays(rng: np.random.Generator, shape: Shape) -> Array:
    """Such that the squared radii are uniform between 0 and 1."""
    # One minus the draw, which may be zero and then has no logarithm.
    return np.log(-0.5 * np.log(np.minimum(1 - rng.uniform(size=shape), 1 - 1e-12)))


def logs_of_phases(rng: np.random.Generator, shape: Shape) -> Array:
    """Logarithms of angles that are uniform between 0 and 6.28."""
    return np.log(6.28 * (1 - rng.uniform(size=shape)))


class RTU(zoo.Cell):
    """Recurrent trace unit: ``lru`` in real numbers, with an input for each part of a complex state.

    Each pair of states is turned by a trained angle and shrunk by a trained radius below one. Both parts have
    their own input. With ``nonlinear``, the activation acts on the states, and else on the output alone.
    Every state depends on parameters of its own pair, so the gradients can be computed forwards in time at
    the cost of the step. zoo computes them backwards.

    Equations::

        r  = exp(-exp(nu))
        norm = sqrt(1 - r²) + 1e-8
        xa, xc = x Wx
        a' = f(r * cos(exp(theta)) * a - r * sin(exp(theta)) * c + norm * xa)
        c' = f(r * cos(exp(theta)) * c + r * sin(exp(theta)) * a + norm * xc)
        y  = [a', c']

    Here f is the activation. Without ``nonlinear``, f is the identity and ``y`` is the activation of both.

    The parameter ``nu (H/2,)`` starts such that the squared radii are uniform between 0 and 1, and
    ``theta (H/2,)`` such that the angles are uniform between 0 and 6.28. ``Wx (I, H)`` starts normal with
    variance ``1 / I``. The states are ``a (H/2,)`` and ``c (H/2,)``. The output ``y`` has size H.

    Equations and initial values come from https://github.com/esraaelelimy/rtus (``src/nets/rtus``).
    """

    name = "rtu"
    family = "linear"
    card = zoo.Card(
        title="Real-Time Recurrent Learning using Trace Units in Reinforcement Learning",
        authors="Esraa Elelimy, Adam White, Michael Bowling, Martha White",
        year=2024,
        url="https://arxiv.org/abs/2409.01449",
        variant="Both the nonlinear and the linear unit of the paper are options, with relu or tanh.",
        deviations="The unit counts outputs: there are H / 2 pairs, where the official code has as many "
        "pairs as its size. Input weights start normal, where the official ones are normal without their "
        "tails. Gradients are computed by back-propagation through time, and not in real time.",
        history="Elelimy and others published it in 2024 for agents that learn while they act. Real-time "
        "recurrent learning is too expensive for full recurrent matrices. For a diagonal recurrence, such "
        "as the one of the LRU (lru), it costs as much as a step. RTUs write it in real numbers and let the "
        "state be nonlinear.",
        when_to_use="Use it for streams of sensor data and for reinforcement learning, where it was made "
        "for. The state has H elements, and a step has no recurrent matrix product. The poles do not depend "
        "on the input, so it cannot select what to remember.",
        related={
            "lru": "has complex states, one input for both parts, and a projection out.",
            "elstm": "was made for real-time recurrent learning, too.",
            "indrnn": "has a diagonal recurrence without rotation.",
        },
    )
    nu = zoo.Param("H/2", init=logs_of_decays, help="logarithm of minus the logarithm of the radius")
    theta = zoo.Param("H/2", init=logs_of_phases, help="logarithm of the angle")
    Wx = zoo.Param("I", "H", init="lecun_normal", help="input to both parts")
    a = zoo.State("H/2", help="first parts of the pairs")
    c = zoo.State("H/2", help="second parts of the pairs")
    nonlinear = zoo.Option(True, help="whether the activation acts on the states, not on the output alone")
    activation = zoo.Option("relu", choices=("relu", "tanh"), help="activation f")

    def step(self, x: Array, a: Array, c: Array) -> zoo.Output:
        f = zoo.relu if self.activation == "relu" else zoo.tanh
        radius, angle = zoo.exp(-zoo.exp(self.nu)), zoo.exp(self.theta)
        cosine, sine = radius * np.cos(angle), radius * np.sin(angle)
        norm = np.sqrt(1 - radius * radius) + 1e-8
        xa, xc = zoo.split(x @ self.Wx, 2)
        a, c = cosine * a - sine * c + norm * xa, cosine * c + sine * a + norm * xc
        if self.nonlinear:
            a, c = f(a), f(c)
            return zoo.Output(np.concatenate([a, c]), a, c)
        return zoo.Output(f(np.concatenate([a, c])), a, c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register recurrent trace units."""
    register(RTU)
