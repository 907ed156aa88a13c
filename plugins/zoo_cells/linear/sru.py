"""The simple recurrent unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def scaled_parts(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Uniform with variance ``1 / I``; half of it for gates, ``1 + 2 exp(bias)`` times it for the highway."""
    limit = math.sqrt(3 / shape[0])
    scales = np.sqrt([1, 0.5, 0.5, 1 + 2 * math.exp(cell.highway_bias)])
    return rng.uniform(-limit, limit, shape) * np.repeat(scales, shape[1] // 4)


def half_variance(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform with variance 1/2."""
    return rng.uniform(-1, 1, shape) * math.sqrt(1.5)


def biases(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Zero for the forget gate, ``highway_bias`` for the reset gate."""
    return np.repeat([0.0, cell.highway_bias], shape[0] // 2)


class SRU(zoo.Cell):
    """Simple recurrent unit: a gated average whose gates read the memory of their own unit, and a highway.

    Each unit's gates see that unit's memory and no other's; all that mixes units is a product with the input.
    The highway lets the input pass by as far as the reset gate is shut. The parts of the product stand in the
    order candidate u, forget gate f, reset gate r, highway w.

    Equations::

        u, f, r, w = x Wx
        f = sigmoid(f + vf * c + bf)
        r = sigmoid(r + vr * c + br)
        c' = f * c + (1 - f) * u
        h  = r * c' + (1 - r) * w

    Both gates see the memory before the step.

    Parameters: ``Wx (I, 4H)`` uniform with variance ``1 / I`` in part u, ``1 / 2I`` in parts f and r and
    ``(1 + 2 exp(highway_bias)) / I`` in part w; ``v (2, H)``, rows vf and vr, uniform with variance 1/2;
    ``b (2H,)``, bf before br, zero and ``highway_bias``. State: ``c (H,)``. The output ``h`` has size H.

    Equations and initialization are those of version 2.6 of https://github.com/asappresearch/sru, ``SRUCell``
    with its defaults, where the input has another size than the output.
    """

    family = "linear"
    card = zoo.Card(
        title="Simple Recurrent Units for Highly Parallelizable Recurrence",
        authors="Tao Lei, Yu Zhang, Sida I. Wang, Hui Dai, Yoav Artzi",
        year=2017,
        url="https://arxiv.org/abs/1709.02755",
        variant="SRU as published at EMNLP 2018 and in version 2 of the code: gates that see c, highway, no "
        "activation of c.",
        deviations="The highway is always a product with the input; where I = H, paper and code pass on x "
        "itself, times a constant that the start of part w holds here. No layer norm, no dropout.",
    )
    Wx = zoo.Param("I", "4H", init=scaled_parts, help="input to u, f, r, w")
    v = zoo.Param("2", "H", init=half_variance, help="memory to gates f and r, unit by unit")
    b = zoo.Param("2H", init=biases, help="bias of gates f and r")
    c = zoo.State("H", help="memory cells")
    highway_bias = zoo.Option(
        0.0, low=-20.0, high=20.0, help="where the reset gate's bias starts; below zero the input passes by"
    )
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", output_gate="r", candidate="u")

    def step(self, x: Array, c: Array) -> zoo.Output:
        u, f, r, w = zoo.split(x @ self.Wx, 4)
        bf, br = zoo.split(self.b, 2)
        f = zoo.sigmoid(f + self.v[0] * c + bf)
        r = zoo.sigmoid(r + self.v[1] * c + br)
        c = f * c + (1 - f) * u
        return zoo.Output(r * c + (1 - r) * w, c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the SRU."""
    register(SRU)
