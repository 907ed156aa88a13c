"""The clockwork RNN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within ``1 / sqrt(H)`` of zero, H the product of the last two axes."""
    limit = 1 / math.sqrt(math.prod(shape[-2:]))
    return rng.uniform(-limit, limit, shape)


class Clockwork(zoo.Cell):
    """Clockwork RNN: groups of units that are updated at every 1st, 2nd, 4th, ... step.

    Equations, for group k of ``groups``, at step n counted from zero::

        a = tanh(x Wx + h W + b)
        h'_k = a_k if n mod 2^k = 0, else h_k

    A group hears itself and slower ones: block ``W[j, k]``, from group j to group k, is zero where j < k.

    Parameters: ``Wx (I, H)``, ``Wh (groups, H / groups, groups, H / groups)`` and ``b (H,)``; of Wh, block
    ``Wh[j, :, k, :]`` leads from group j to group k, and those with j < k have no effect. All are uniform
    within ``1 / sqrt(H)`` of zero, as in ``vanilla``. States: ``h (H,)``, which is the output, and the step
    counter ``n (1,)``.

    In the paper, where the matrix stands before a column, it is block upper triangular; for rows it is the
    transpose of that.
    """

    family = "classic"
    card = zoo.Card(
        title="A Clockwork RNN",
        authors="Jan Koutník, Klaus Greff, Faustino Gomez, Jürgen Schmidhuber",
        year=2014,
        url="https://arxiv.org/abs/1402.3511",
        variant="Groups of equal size with periods that are powers of two; tanh units.",
        deviations="Blocks that the paper leaves out are held, and masked; the computation is not skipped.",
    )
    Wx = zoo.Param("I", "H", init="hidden_uniform", help="input to hidden")
    Wh = zoo.Param(
        "groups", "H/groups", "groups", "H/groups", init=uniform, help="hidden to hidden, group by group"
    )
    b = zoo.Param("H", init="hidden_uniform", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    n = zoo.State(1, discrete=True, help="steps since the beginning")
    groups = zoo.Option(4, help="number of groups, of periods 1, 2, 4, ...; divides H", low=1, high=8)

    def step(self, x: Array, h: Array, n: Array) -> tuple[Array, Array]:
        group = np.arange(self.groups)
        slower = np.where(group[:, None] >= group, 1.0, 0.0)[:, None, :, None]
        W = (self.Wh * slower).reshape(h.shape[-1], h.shape[-1])
        a = zoo.tanh(x @ self.Wx + h @ W + self.b)
        ticks = (n % 2.0**group == 0)[:, None]
        new = np.where(ticks, a.reshape(self.groups, -1), h.reshape(self.groups, -1))
        return new.reshape(h.shape[-1]), n + 1


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the clockwork RNN."""
    register(Clockwork)
