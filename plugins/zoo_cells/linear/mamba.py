"""Mamba: a selective state space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, taps_uniform

Array = Any
Shape = tuple[int, ...]


def rates(rng: np.random.Generator, shape: Shape) -> Array:
    """Logarithms of 1 to N in every channel, the real initial values of S4D."""
    return np.broadcast_to(np.log(np.arange(1, shape[1] + 1)), shape).copy()


class Mamba(zoo.Cell):
    """Mamba: a diagonal state space model whose time step, input and output matrices depend on the input.

    The cell is the whole mixer of a Mamba block: a projection in, a short convolution along time, the
    selective state space S6, a gate, and a projection out. A long step dt forgets the state and takes in the
    input, and a short one ignores the input. There are ``E = expand * H`` channels and ``N = order``
    integrators in each. The parts of the products are, in order, the channels u and the gate z, and the step
    dt, the input B and the output C.

    Equations, where ``window`` holds the last ``width`` values of u, the oldest first::

        u, z = x Wx
        u = silu(sum over rows of window * taps + b)
        dt, B, C = u Wu
        dt = softplus(dt Wd + bd)
        h' = exp(-exp(A) * dt) * h + outer(dt * u, B)
        y  = ((h' C + D * u) * silu(z)) Wo

    The parameters ``Wx (I, 2E)``, ``Wu (E, rank + 2N)``, ``Wd (rank, E)`` and ``Wo (E, H)`` start uniform
    within one over the root of their first size. ``taps (width, E)``, the oldest first, and ``b (E,)`` start
    uniform within ``1 / sqrt(width)``. ``bd (E,)`` starts such that its softplus is between 0.001 and 0.1,
    uniform in the logarithm. ``A (E, N)`` starts at the logarithms of 1 to N, and ``D (E,)`` at one. The
    states are ``h (E, N)`` and ``past (width - 1, E)``, which holds the channels u before the convolution,
    the oldest first. The output ``y`` has size H.

    Equations, initial values and defaults come from ``mamba_simple.py`` in
    https://github.com/state-spaces/mamba, where the rank is H / 16 rounded up, which is 8 at H = 128. Its
    models divide the initial ``Wo`` by the root of the number of layers, as the block ``mamba`` does.
    """

    family = "linear"
    card = zoo.Card(
        title="Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
        authors="Albert Gu, Tri Dao",
        year=2023,
        url="https://arxiv.org/abs/2312.00752",
        variant="This is the whole mixer with real S6, convolution and gate. A is discretised by zero-order "
        "hold and B as dt * B.",
        deviations="The input may have another size than the output. The rank of the step is an option, not "
        "a function of H. The normalisation and the residual connection around the mixer are left out. The "
        "paper discretises B by zero-order hold, too, and the official code has the simpler rule.",
        history="Gu and Dao published it in 2023. State space models before it, such as S4D (s4d), filter "
        "every input in the same way, which allows convolutions but not selection by content. Mamba makes "
        "the step, the input and the output depend on the input and trains with a parallel scan on GPUs. "
        "Mamba 2 (mamba2, 2024) has one decay for each head, which gated_delta_net uses, too.",
        when_to_use="Use it in a stack with a norm and residual connections, as in the paper: a bare layer "
        "on one-hot input learns more slowly. Its gates read the input alone, so the input decides what is "
        "stored. The state has 38 H elements with the default options, more than most cells with a vector "
        "state. Set the option rank to about H / 16 for other hidden sizes than 128.",
        scope="mixer",
        block="mamba",
        related={
            "slice": "has blocks along the diagonal.",
            "mamba3": "has rotations and inputs of two time steps in place of a convolution.",
            "longhorn": "has no own parameters for forgetting.",
            "mamba2": "has one decay for each head.",
            "rodimus": "has one decay for each element of a key, which all channels share.",
            "s4d": "has a step, input and output that do not depend on the input.",
            "rg_lru": "has one integrator for each unit, with a gated decay.",
            "gated_delta_net": "has one decay for each head and a memory of keys and values.",
            "min_gru": "has one integrator for each unit and no convolution.",
        },
    )
    Wx = zoo.Param("I", "2*expand*H", init="fan_in_uniform", help="input to channels u and gate z")
    taps = zoo.Param("width", "expand*H", init="fan_in_uniform", help="convolution along time, oldest first")
    b = zoo.Param("expand*H", init=taps_uniform, help="bias of the convolution")
    Wu = zoo.Param("expand*H", "rank+2*order", init="fan_in_uniform", help="channels to dt, B, C")
    Wd = zoo.Param("rank", "expand*H", init="fan_in_uniform", help="low-rank step to steps of all channels")
    bd = zoo.Param("expand*H", init=inverse_softplus_log_uniform, help="bias of the steps")
    A = zoo.Param("expand*H", "order", init=rates, help="logarithms of the rates of forgetting")
    D = zoo.Param("expand*H", init="ones", help="channels to output, past the integrators")
    Wo = zoo.Param("expand*H", "H", init="fan_in_uniform", help="channels to output")
    h = zoo.State("expand*H", "order", help="integrators of every channel")
    past = zoo.State("width-1", "expand*H", help="channels before the convolution, the oldest first")
    expand = zoo.Option(2, low=1, help="channels per hidden unit")
    order = zoo.Option(16, low=1, help="integrators in a channel, N")
    rank = zoo.Option(8, low=1, help="rank of the step. The official code has H / 16, rounded up")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    gates = zoo.Gates(forget_gate="exp_dt")

    def step(self, x: Array, h: Array, past: Array) -> zoo.Output:
        u, z = zoo.split(x @ self.Wx, 2)
        window = np.concatenate([past, u[None]])
        u = zoo.silu(np.sum(window * self.taps, axis=0) + self.b)
        chosen = u @ self.Wu
        B, C = zoo.split(chosen[self.rank :], 2)
        dt = zoo.softplus(chosen[: self.rank] @ self.Wd + self.bd)
        h = np.exp(-np.exp(self.A) * dt[:, None]) * h + zoo.outer(dt * u, B)
        return zoo.Output(((h @ C + self.D * u) * zoo.silu(z)) @ self.Wo, h, window[1:])


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Mamba."""
    register(Mamba)
