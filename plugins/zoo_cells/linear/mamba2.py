"""Mamba 2: a selective state space with one decay for each head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, logs_of_rates, taps_uniform
from zoo_cells.linear._norms import rms_norm

Array = Any


class Mamba2(zoo.Cell):
    """Mamba 2: ``mamba`` with one decay for all integrators of a head, which makes it a linear attention.

    The cell is the whole mixer of a Mamba 2 block: one projection in, a short convolution along time, the
    state space, a gated RMS norm, and a projection out. There are ``E = expand * H`` channels in heads of
    ``E / heads``, with ``N = order`` integrators for each channel. Heads share the input B and the output C,
    which play the part of key and query. The parts of the input product are, in order, the gate z (E), the
    channels u (E), B and C (N each), and the step dt (heads). The convolution is over u, B and C.

    Equations, where ``window`` holds the last ``width`` values of u, B and C, the oldest first::

        z, uBC, dt = x Wx
        u, B, C = silu(sum over rows of window * taps + b)
        dt = softplus(dt + bd)
        h' = exp(-exp(A) * dt)[:, None, None] * h + outer(dt * u, B)      for each head
        o  = h' C + D * u                                                 for each head
        o  = o * silu(z)
        y  = (gain * o / sqrt(mean(o²) + 1e-5)) Wo

    The parameters ``Wx (I, 2E + 2N + heads)`` and ``Wo (E, H)`` start uniform within one over the root of
    their first size. ``taps (width, E + 2N)``, the oldest first, and ``b (E + 2N,)`` start uniform within
    ``1 / sqrt(width)``. ``bd (heads,)`` starts such that its softplus is between 0.001 and 0.1, uniform in
    the logarithm. ``A (heads,)`` starts as the logarithm of a number that is uniform between 1 and 16.
    ``D (heads,)`` and ``gain (E,)`` start at one. The states are ``h (heads, E / heads, N)`` and
    ``past (width - 1, E + 2N)``, the inputs of the convolution, the oldest first. The output ``y`` has
    size H.

    Equations and initial values come from ``mamba2.py`` in https://github.com/state-spaces/mamba, with one
    group of B and C.
    """

    name = "mamba2"
    family = "linear"
    card = zoo.Card(
        title="Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State "
        "Space Duality",
        authors="Tri Dao, Albert Gu",
        year=2024,
        url="https://arxiv.org/abs/2405.21060",
        variant="This is the whole mixer with convolution, gated RMS norm and projection, and one group of "
        "B and C.",
        deviations="The input may have another size than the output. There is one head by default, as in "
        "other cells, and the official code has heads of 64 channels, four at H = 128. There are 16 "
        "integrators for each channel by default, as in mamba, and the official code has 128 (64 in "
        "mamba2_simple.py). The normalisation before the mixer and the residual connection around it are "
        "left out.",
        history="Dao and Gu published it in 2024, a year after Mamba (mamba). They showed that state space "
        "models with one decay for each head are a form of linear attention with a mask, which gave a "
        "faster algorithm of matrix products and larger states. Gated DeltaNet (gated_delta_net) combines "
        "its gate with the delta rule.",
        when_to_use="Use it in a stack with a norm and residual connections, as in the paper. It forgets "
        "all integrators of a head at one rate, where Mamba has a rate for each, and so needs fewer "
        "parameters for a state of the same size. Set heads to E / 64 for the official layout.",
        scope="mixer",
        block="mamba",
        related={
            "mamba3": "has rotations and inputs of two time steps in place of a convolution.",
            "m2rnn": "has a nonlinear update of its memory.",
            "mamba": "has a step of its own for each channel and a rate of its own for each integrator.",
            "gated_delta_net": "has the same gate and corrects the value at a key.",
            "retnet": "has fixed decay rates.",
            "rodimus": "has a decay for each row of the memory, and no heads.",
            "gla": "has a gate for each row of the memory.",
            "log_linear_attention": "weighs near and far parts of the past separately.",
        },
    )
    Wx = zoo.Param("I", "2*expand*H+2*order+heads", init="fan_in_uniform", help="input to z, u, B, C and dt")
    taps = zoo.Param("width", "expand*H+2*order", init="fan_in_uniform", help="convolution, oldest first")
    b = zoo.Param("expand*H+2*order", init=taps_uniform, help="bias of the convolution")
    bd = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the steps")
    A = zoo.Param("heads", init=logs_of_rates, help="logarithms of the rates of forgetting")
    D = zoo.Param("heads", init="ones", help="channels to output, past the integrators")
    gain = zoo.Param("expand*H", init="ones", help="gain of the norm")
    Wo = zoo.Param("expand*H", "H", init="fan_in_uniform", help="channels to output")
    h = zoo.State("heads", "expand*H/heads", "order", help="integrators of every channel")
    past = zoo.State("width-1", "expand*H+2*order", help="inputs of the convolution, the oldest first")
    expand = zoo.Option(2, low=1, help="channels per hidden unit")
    heads = zoo.Option(1, low=1, help="groups of channels with an own decay, a divisor of expand * H")
    order = zoo.Option(16, low=1, help="integrators in a channel, N")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    gates = zoo.Gates(forget_gate="alpha")

    def step(self, x: Array, h: Array, past: Array) -> zoo.Output:
        E, N = self.gain.shape[0], self.order
        parts = x @ self.Wx
        z, entering, dt = parts[:E], parts[E : 2 * E + 2 * N], parts[2 * E + 2 * N :]
        window = np.concatenate([past, entering[None]])
        uBC = zoo.silu(np.sum(window * self.taps, axis=0) + self.b)
        u, B, C = uBC[:E].reshape(self.heads, -1), uBC[E : E + N], uBC[E + N :]
        dt = zoo.softplus(dt + self.bd)
        alpha = zoo.exp(-zoo.exp(self.A) * dt)
        h = alpha[:, None, None] * h + (dt[:, None] * u)[:, :, None] * B
        o = (h @ C + self.D[:, None] * u).reshape(-1) * zoo.silu(z)
        return zoo.Output((self.gain * rms_norm(o, 1e-5)) @ self.Wo, h, window[1:])


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Mamba 2."""
    register(Mamba2)
