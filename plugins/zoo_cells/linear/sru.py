"""The simple recurrent unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def scaled_parts(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Uniform with variance ``1 / I``, half of it for gates, ``1 + 2 exp(bias)`` times it for the highway."""
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

    The gates of a unit read the memory of this unit and of no other. Only the product with the input mixes
    units. The highway passes the input on as far as the reset gate is closed. Both gates read the memory
    before the step. The parts of the product are, in order, the candidate u, the forget gate f, the reset
    gate r and the highway w.

    Equations::

        u, f, r, w = x Wx
        vf, vr = v
        bf, br = b
        f = sigmoid(f + vf * c + bf)
        r = sigmoid(r + vr * c + br)
        c' = f * c + (1 - f) * u
        h  = r * c' + (1 - r) * w

    The parameter ``Wx (I, 4H)`` starts uniform with variance ``1 / I`` in part u, ``1 / 2I`` in parts f and r
    and ``(1 + 2 exp(highway_bias)) / I`` in part w. ``v (2, H)``, with the rows vf and vr, starts uniform
    with variance 1/2, and ``b (2H,)``, bf before br, at zero and at ``highway_bias``. The state is
    ``c (H,)``, and the output ``h`` has size H.

    Equations and initial values come from version 2.6 of https://github.com/asappresearch/sru, ``SRUCell``
    with its defaults, where the input has another size than the output.
    """

    family = "linear"
    card = zoo.Card(
        title="Simple Recurrent Units for Highly Parallelizable Recurrence",
        authors="Tao Lei, Yu Zhang, Sida I. Wang, Hui Dai, Yoav Artzi",
        year=2017,
        url="https://arxiv.org/abs/1709.02755",
        variant="This is the SRU of EMNLP 2018 and of version 2 of the code: gates read c, there is a "
        "highway, and c has no activation function.",
        deviations="The highway is always a product with the input. Where I = H, paper and code pass on x "
        "itself, times a constant that the initial values of part w contain here. There is no layer norm "
        "and no dropout.",
        history="Lei, Zhang, Wang, Dai and Artzi published it in 2017. Like QRNN, it removes recurrent "
        "products, so that a fast kernel computes all units in parallel, and it adds a highway connection "
        "and careful initial values for deep stacks. The paper reports five to nine times the speed of an "
        "LSTM in cuDNN. SRU++ added attention later.",
        when_to_use="Use it where speed matters, in stacks: the highway lets deep stacks train. A step has "
        "no recurrent matrix product. Gates read their own unit's state through one weight each, so it is "
        "not linear in the state, and a parallel scan over time does not apply. Set highway_bias below "
        "zero, for example to -2, for deep stacks, so that inputs pass by at first.",
        related={
            "qrnn": "has gates that read several inputs and no state.",
            "min_gru": "has one gate, which reads the input alone, and no highway.",
            "hgrn": "has one gate with a lower bound and no highway.",
        },
    )
    Wx = zoo.Param("I", "4H", init=scaled_parts, help="input to u, f, r, w")
    v = zoo.Param("2", "H", init=half_variance, help="memory to gates f and r, unit by unit")
    b = zoo.Param("2H", init=biases, help="bias of gates f and r")
    c = zoo.State("H", help="memory cells")
    highway_bias = zoo.Option(
        0.0,
        low=-20.0,
        high=20.0,
        help="initial bias of the reset gate. Below zero the input passes by at first",
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
