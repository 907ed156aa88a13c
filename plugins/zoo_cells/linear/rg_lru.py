"""The real-gated linear recurrent unit of Griffin and Hawk."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def ring(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Such that ``exp(-softplus(decay))`` is between 0.9 and 0.999, uniform in the area of the ring."""
    radius = np.sqrt(rng.uniform(0.9**2, 0.999**2, shape))
    return np.log(1 / radius - 1)


def fan_in_blocks(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance one over the inputs of a block, ``(heads, inputs, outputs)``."""
    return rng.normal(0, math.sqrt(1 / shape[1]), shape)


class RGLRU(zoo.Cell):
    """Real-gated linear recurrent unit: a diagonal linear recurrence whose decay depends on the input.

    Each unit has a slowest rate of its own; a gate shortens the time that passes for it, down to none, when
    the state is kept and nothing enters. What enters is scaled so that noise would leave the size of the
    state as it is. The parts of the gates stand in the order recurrence gate r, input gate i.

    Equations, with the products by Wg head by head, each head reading its ``H / heads`` numbers of u::

        u = x Wx
        r, i = sigmoid(u Wg + b)
        a = exp(-8 r * softplus(decay))
        h' = a * h + sqrt(1 - a^2) * (i * u)

    Parameters: ``Wx (I, H)`` normal with variance ``1 / I``; ``Wg (heads, H / heads, 2H / heads)``, of whose
    last axis the first half makes r and the second i, normal with variance ``heads / H``;
    ``b (heads, 2H / heads)`` zero, in the same order; ``decay (H,)`` such that ``exp(-softplus(decay))``,
    whose eighth power is the least that a can be, starts uniformly in area between the radii 0.9 and 0.999.
    State and output: ``h (H,)``.

    Equations and initialization are those of ``RGLRU`` in https://github.com/google-deepmind/recurrentgemma,
    where decay is ``a_param``; the paper writes ``a = sigmoid(Lambda)``, which makes decay ``-Lambda``. A
    root has no derivative at zero, which ``1 - a^2`` reaches when the gate is shut for good: it is taken as
    no less than ``1e-30``, where the code bounds the derivative by 1000.
    """

    name = "rg_lru"
    family = "linear"
    card = zoo.Card(
        title="Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
        authors="Soham De, Samuel L. Smith, Anushan Fernando, Aleksandar Botev, George Cristian-Muraru, "
        "Albert Gu, Ruba Haroun, Leonard Berrada, Yutian Chen, Srivatsan Srinivasan, Guillaume Desjardins, "
        "Arnaud Doucet, David Budden, Yee Whye Teh, Razvan Pascanu, Nando De Freitas, Caglar Gulcehre",
        year=2024,
        url="https://arxiv.org/abs/2402.19427",
        variant="RG-LRU with gates from the input, block-diagonal by option heads; c = 8.",
        deviations="The input is projected to H units, where the unit of the paper has I = H. The code does "
        "not scale the first input of a text; a cell, which does not know that it is the first, does. The "
        "start is the code's: in the paper it is the least that a can be, sigmoid(Lambda)^8, that starts "
        "between 0.9 and 0.999, uniformly. The cell alone: no convolution before it, no gated branch beside "
        "it.",
    )
    Wx = zoo.Param("I", "H", init="lecun_normal", help="input to units")
    Wg = zoo.Param("heads", "H/heads", "2*H/heads", init=fan_in_blocks, help="units to gates r and i")
    b = zoo.Param("heads", "2*H/heads", help="bias of gates r and i, by head")
    decay = zoo.Param("H", init=ring, help="leak of a unit whose gate is open, before softplus")
    h = zoo.State("H", help="leaky integrators, and the output")
    heads = zoo.Option(1, low=1, help="blocks of the gates' weights; must divide H")
    gates = zoo.Gates(input_gate="i", forget_gate="exp_leak", candidate="u")

    def step(self, x: Array, h: Array) -> Array:
        u = x @ self.Wx
        gates = zoo.sigmoid((u.reshape(self.heads, 1, -1) @ self.Wg)[:, 0] + self.b)
        r, i = (gate.reshape(-1) for gate in zoo.split(gates, 2))
        leak = 8 * r * zoo.softplus(self.decay)
        scale = np.sqrt(np.maximum(-np.expm1(-2 * leak), 1e-30))
        return np.exp(-leak) * h + scale * (i * u)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the RG-LRU."""
    register(RGLRU)
