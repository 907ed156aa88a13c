"""The clockwork RNN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within ``1 / sqrt(H)`` of zero, where H is the product of the last two axes."""
    limit = 1 / math.sqrt(math.prod(shape[-2:]))
    return rng.uniform(-limit, limit, shape)


class Clockwork(zoo.Cell):
    """Clockwork RNN: groups of units that are updated at every 1st, 2nd, 4th, ... step.

    A group reads its own units and those of slower groups. The block ``W[j, k]``, from group j to group k, is
    zero where j < k.

    Equations, for group k of ``groups``, at step n counted from zero::

        a = tanh(x Wx + h W + b)
        h'_k = a_k if n mod 2^k = 0, else h_k

    The parameters are ``Wx (I, H)``, ``Wh (groups, H / groups, groups, H / groups)`` and ``b (H,)``. The
    block ``Wh[j, :, k, :]`` leads from group j to group k, and blocks with j < k have no effect. All
    parameters start uniform within ``1 / sqrt(H)`` of zero, like the parameters of ``vanilla``. The states
    are ``h (H,)``, which is the output, and the step counter ``n (1,)``.

    The paper multiplies columns by matrices, so its matrix is block upper triangular. The matrix here
    multiplies rows and is the transpose of that.
    """

    family = "classic"
    card = zoo.Card(
        title="A Clockwork RNN",
        authors="Jan Koutník, Klaus Greff, Faustino Gomez, Jürgen Schmidhuber",
        year=2014,
        url="https://arxiv.org/abs/1402.3511",
        variant="The groups have equal sizes and periods that are powers of two. The units are tanh units.",
        deviations="The paper leaves out the blocks from faster to slower groups. Here they are stored and "
        "masked. The paper skips the computation of groups that keep their values, and this code does not.",
        history="Koutník, Greff, Gomez and Schmidhuber introduced it in 2014. It divides the hidden layer of "
        "a simple recurrent network into groups with their own clocks, so that slow groups bridge long gaps "
        "with few updates. The paper's preliminary experiments generate audio signals and classify spoken "
        "words.",
        when_to_use="Use it for signals with structure at several time scales that are known in advance, "
        "since the periods are fixed. The largest period is 2 ** (groups - 1) steps, and groups must divide "
        "H. The paper reports better results than a simple recurrent network and an LSTM on generating audio "
        "and classifying spoken words. The saving of time in the paper does not apply here, because all "
        "groups are computed in every step.",
        related={
            "vanilla": "has one group, which is updated in every step.",
            "scrn": "has slow units with one fixed rate in addition to fast ones.",
            "leaky_rnn": "has units that change slowly in every step, where slow groups of this cell wait.",
            "lem": "learns from the input how fast each unit changes.",
            "on_lstm": "learns the order of fast and slow units.",
            "phased_lstm": "has trained periods and gates.",
            "skip_lstm": "decides from its state whether to update.",
        },
    )
    Wx = zoo.Param("I", "H", init="hidden_uniform", help="input to hidden")
    Wh = zoo.Param(
        "groups", "H/groups", "groups", "H/groups", init=uniform, help="hidden to hidden, group by group"
    )
    b = zoo.Param("H", init="hidden_uniform", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    n = zoo.State(1, discrete=True, help="steps since the start of the sequence")
    groups = zoo.Option(4, help="number of groups, with periods 1, 2, 4, ..., a divisor of H", low=1, high=8)

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
