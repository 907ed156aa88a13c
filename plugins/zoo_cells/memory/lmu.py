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

    Discretised exactly for an input that is constant within a step (zero-order hold): the exponential of the
    matrix that holds both.
    """
    i, j = np.arange(order)[:, None], np.arange(order)[None, :]
    scale = (2 * i + 1) / theta
    both = np.zeros((order + 1, order + 1))
    both[:order, :order] = scale * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    both[:order, order:] = scale * (-1.0) ** i
    held = exponential(both)
    return held[:order, :order].T.copy(), held[:order, order].copy()


def exponential(matrix: Array) -> Array:
    """The exponential of a square matrix: a Taylor series of the matrix halved until it is small, squared."""
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

    One number per step is written into a linear system whose state holds the last ``theta`` steps of it as
    coefficients of Legendre polynomials; the system is computed, not trained.

    Equations::

        u  = x ex + h eh + m em
        m' = m A + u B
        h' = tanh(x Wx + h Wh + m' Wm)

    Parameters: ``ex (I, 1)`` and ``eh (H, 1)`` LeCun uniform, ``em (order, 1)`` zero; ``Wx (I, H)``,
    ``Wh (H, H)`` and ``Wm (order, H)`` Glorot normal. Buffers: ``A (order, order)`` and ``B (order,)``.
    States: ``h (H,)``, which is the output, and the memory ``m (order,)``.

    Equations and initialization are those of the paper, as in https://github.com/hrshtv/pytorch-lmu; neither
    has a bias. The memory is discretised by zero-order hold, as in keras-lmu
    (https://github.com/nengo/keras-lmu), where connections are optional and the memory may be wider than one
    number.
    """

    name = "lmu"
    family = "memory"
    card = zoo.Card(
        title="Legendre Memory Units: Continuous-Time Representation in Recurrent Neural Networks",
        authors="Aaron Voelker, Ivana Kajić, Chris Eliasmith",
        year=2019,
        url="https://papers.nips.cc/paper/2019/hash/952285b9b7e7a1be5aa7849f32ffff05-Abstract.html",
        variant="One memory with fixed A and B, zero-order hold, all six connections.",
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
        help="how the window moves on",
    )
    B = zoo.Buffer(
        "order",
        init=lambda rng, shape, cell: legendre(cell.order, cell.theta)[1],
        help="how a number enters the window",
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
