"""The Legendre memory unit: a fixed linear system that remembers a window of its input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def legendre(order: int, theta: float) -> tuple[Array, Array]:
    """The window of length theta in Legendre polynomials: ``A (order, order)`` and ``B (order,)``, on rows.

    The system is discretised exactly for an input that is constant within a step (zero-order hold), by the
    exponential of the matrix that holds both.
    """
    i, j = np.arange(order)[:, None], np.arange(order)[None, :]
    scale = (2 * i + 1) / theta
    both = np.zeros((order + 1, order + 1))
    both[:order, :order] = scale * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    both[:order, order:] = scale * (-1.0) ** i
    held = exponential(both)
    return held[:order, :order].T.copy(), held[:order, order].copy()


def exponential(matrix: Array) -> Array:
    """The exponential of a square matrix: a Taylor series of the halved matrix, squared repeatedly."""
    halvings = max(0, math.ceil(math.log2(np.abs(matrix).sum(axis=1).max())) + 2)
    small = matrix / 2**halvings
    term = total = np.eye(len(matrix))
    for power in range(1, 17):
        term = term @ small / power
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total


def lecun_uniform(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform with variance ``1 / fan_in``."""
    limit = math.sqrt(3 / shape[0])
    return rng.uniform(-limit, limit, shape)


def glorot_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance ``2 / (fan_in + fan_out)``."""
    return rng.normal(0, math.sqrt(2 / sum(shape)), shape)


class LMU(zoo.Cell):
    """Legendre memory unit: a hidden layer and a sliding window of its input, stored as polynomials.

    At each step the cell writes one number into a linear system. The state of the system holds the last
    ``theta`` steps of this number as coefficients of Legendre polynomials. The system is computed, not
    trained.

    Equations::

        u  = x ex + h eh + m em
        m' = m A + u B
        h' = tanh(x Wx + h Wh + m' Wm)

    The parameters ``ex (I, 1)`` and ``eh (H, 1)`` start LeCun uniform and ``em (order, 1)`` at zero.
    ``Wx (I, H)``, ``Wh (H, H)`` and ``Wm (order, H)`` start Glorot normal. The buffers are
    ``A (order, order)`` and ``B (order,)``. The states are ``h (H,)``, which is the output, and the memory
    ``m (order,)``.

    Equations and initial values are taken from the paper, as in https://github.com/hrshtv/pytorch-lmu.
    Both have no bias. The memory is discretised by zero-order hold, as in keras-lmu
    (https://github.com/nengo/keras-lmu), where connections are optional and several numbers can be stored.
    """

    name = "lmu"
    family = "memory"
    card = zoo.Card(
        title="Legendre Memory Units: Continuous-Time Representation in Recurrent Neural Networks",
        authors="Aaron Voelker, Ivana Kajić, Chris Eliasmith",
        year=2019,
        url="https://papers.nips.cc/paper/2019/hash/952285b9b7e7a1be5aa7849f32ffff05-Abstract.html",
        variant="The cell has one memory with fixed A and B, zero-order hold and all six connections.",
        history="Voelker, Kajić and Eliasmith published it in 2019. They derived the memory from "
        "mathematics: a linear system whose state describes a window of its input by Legendre polynomials. "
        "HiPPO (2020) derived it as a special case of a general method, which led to the state space models "
        "S4 and S4D (s4d).",
        when_to_use="Use it where the length of the relevant past is known: set theta to that number of "
        "steps and order to the detail that you need. The paper reports dependencies over 100,000 steps and "
        "better results than an LSTM of the same size on chaotic time series. The memory stores one number "
        "per step, so wide inputs pass through a bottleneck. The state has H + order elements, and a step "
        "has products with an H × H and an order × order matrix.",
        related={
            "vanilla": "has no memory next to its hidden units.",
            "s4d": "has trained systems for all channels and no nonlinearity.",
            "nvar": "keeps the last inputs themselves, and their products.",
        },
    )
    ex = zoo.Param("I", "1", init=lecun_uniform, help="input to the memory's input")
    eh = zoo.Param("H", "1", init=lecun_uniform, help="hidden to the memory's input")
    em = zoo.Param("order", "1", help="memory to the memory's input")
    Wx = zoo.Param("I", "H", init=glorot_normal, help="input to hidden")
    Wh = zoo.Param("H", "H", init=glorot_normal, help="hidden to hidden")
    Wm = zoo.Param("order", "H", init=glorot_normal, help="memory to hidden")
    A = zoo.Buffer(
        "order",
        "order",
        init=lambda rng, shape, cell: legendre(cell.order, cell.theta)[0],
        help="system matrix, which moves the window by one step",
    )
    B = zoo.Buffer(
        "order",
        init=lambda rng, shape, cell: legendre(cell.order, cell.theta)[1],
        help="input vector, which writes a number into the window",
    )
    h = zoo.State("H", help="hidden units, and the output")
    m = zoo.State("order", help="the window, as coefficients of Legendre polynomials")
    order = zoo.Option(32, low=1, high=1024, help="polynomials that describe the window")
    theta = zoo.Option(64.0, low=1.0, help="length of the window in steps")

    def step(self, x: Array, h: Array, m: Array) -> tuple[Array, Array]:
        u = x @ self.ex + h @ self.eh + m @ self.em
        m = m @ self.A + u * self.B
        h = zoo.tanh(x @ self.Wx + h @ self.Wh + m @ self.Wm)
        return h, m


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LMU."""
    register(LMU)
