"""Longhorn: a state space that solves an online regression problem at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import taps_uniform

Array = Any


class Longhorn(zoo.Cell):
    """Longhorn: the block of ``mamba`` around a memory that forgets in proportion to its keys.

    Each channel keeps a vector of ``N = order`` elements, and a step makes it answer the key k with the value
    u, as far as a trained weight beta asks for it, with the least change. The solution needs no separate
    forget gate: elements where the key is large forget most. The parts of the products are, in order, the
    channels u and the gate z, and the weight beta, the key k and the query q. There are ``E = expand * H``
    channels.

    Equations, where ``window`` holds the last ``width`` values of u, the oldest first::

        u, z = x Wx
        u = silu(sum over rows of window * taps + b)
        beta, k, q = u Wu
        beta = sigmoid(beta Wd + bd)
        eps = beta / (1 + beta * sum(k²))
        h' = (1 - outer(eps, k²)) * h + outer(eps * u, k)
        y  = ((h' q + D * u) * silu(z)) Wo

    The parameters ``Wx (I, 2E)``, ``Wu (E, rank + 2N)``, ``Wd (rank, E)`` and ``Wo (E, H)`` start uniform
    within one over the root of their first size. ``taps (width, E)``, the oldest first, and ``b (E,)`` start
    uniform within ``1 / sqrt(width)``. ``bd (E,)`` starts at zero and ``D (E,)`` at one. The states are
    ``h (E, N)`` and ``past (width - 1, E)``, which holds the channels u before the convolution, the oldest
    first. The output ``y`` has size H.

    Equations, initial values and defaults come from ``models/longhorn.py`` in
    https://github.com/Cranial-XIX/Longhorn and ``selective_scan_online7_ref`` in
    https://github.com/Cranial-XIX/longhorn_cuda, where the rank is H / 16 rounded up, which is 8 at H = 128.
    """

    name = "longhorn"
    family = "linear"
    card = zoo.Card(
        title="Longhorn: State Space Models are Amortized Online Learners",
        authors="Bo Liu, Rui Wang, Lemeng Wu, Yihao Feng, Peter Stone, Qiang Liu",
        year=2024,
        url="https://arxiv.org/abs/2407.14207",
        variant="This is the whole mixer with convolution, gate and projections. The product of the key "
        "with itself is replaced by its diagonal, as in the paper and the code.",
        deviations="The input may have another size than the output. The rank of the weight is an option, "
        "not a function of H. The official models divide Wo by the root of the number of layers. The block "
        "mamba does this, too, and adds the normalisation before the mixer and the residual connection "
        "around it.",
        history="Liu and others published it in 2024. They described state space models as online learners "
        "and chose the update as the solution of a regression problem with a penalty for change. The delta "
        "rule of DeltaNet (delta_net) takes an explicit gradient step on the same problem. The block comes "
        "from Mamba (mamba).",
        when_to_use="Use it in place of mamba in a stack with a norm and residual connections: it has no "
        "parameters for forgetting, and its forget factors are never below zero. The state has 38 H "
        "elements with the default options. Set the option rank to about H / 16 for other hidden sizes than "
        "128.",
        scope="mixer",
        block="mamba",
        related={
            "mamba": "has separate parameters for forgetting.",
            "delta_net": "takes a gradient step where this cell solves a problem.",
        },
    )
    Wx = zoo.Param("I", "2*expand*H", init="fan_in_uniform", help="input to channels u and gate z")
    taps = zoo.Param("width", "expand*H", init="fan_in_uniform", help="convolution along time, oldest first")
    b = zoo.Param("expand*H", init=taps_uniform, help="bias of the convolution")
    Wu = zoo.Param("expand*H", "rank+2*order", init="fan_in_uniform", help="channels to beta, k, q")
    Wd = zoo.Param("rank", "expand*H", init="fan_in_uniform", help="low-rank weight to weights of channels")
    bd = zoo.Param("expand*H", help="bias of the weights")
    D = zoo.Param("expand*H", init="ones", help="channels to output, past the memory")
    Wo = zoo.Param("expand*H", "H", init="fan_in_uniform", help="channels to output")
    h = zoo.State("expand*H", "order", help="memory of every channel")
    past = zoo.State("width-1", "expand*H", help="channels before the convolution, the oldest first")
    expand = zoo.Option(2, low=1, help="channels per hidden unit")
    order = zoo.Option(16, low=1, help="elements of the key, N")
    rank = zoo.Option(8, low=1, help="rank of the weight. The official code has H / 16, rounded up")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    gates = zoo.Gates(input_gate="beta", forget_gate="kept")

    def step(self, x: Array, h: Array, past: Array) -> zoo.Output:
        u, z = zoo.split(x @ self.Wx, 2)
        window = np.concatenate([past, u[None]])
        u = zoo.silu(np.sum(window * self.taps, axis=0) + self.b)
        chosen = u @ self.Wu
        k, q = zoo.split(chosen[self.rank :], 2)
        beta = zoo.sigmoid(chosen[: self.rank] @ self.Wd + self.bd)
        eps = beta / (1 + beta * np.sum(k * k))
        kept = 1 - zoo.outer(eps, k * k)
        h = kept * h + zoo.outer(eps * u, k)
        return zoo.Output(((h @ q + self.D * u) * zoo.silu(z)) @ self.Wo, h, window[1:])


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Longhorn."""
    register(Longhorn)
