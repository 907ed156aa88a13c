"""Rodimus: gated linear attention in which forgetting sets the rate of writing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, taps_uniform
from zoo_cells.linear._norms import rms_norm

Array = Any
GLOROT_SCALE = 2**-2.5


def small_glorot(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Uniform within ``2 ** -2.5 * sqrt(6 / (rows + columns))`` of zero."""
    limit = GLOROT_SCALE * math.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


def small_glorot_pair(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Two matrices side by side, each within ``2 ** -2.5 * sqrt(6 / (rows + columns))`` of zero."""
    half = (shape[0], shape[1] // 2)
    return np.concatenate([small_glorot(rng, half), small_glorot(rng, half)], axis=1)


def temperatures(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Such that the sigmoid is uniform between 1/16 and 0.9."""
    tau = rng.uniform(1 / 16, 0.9, shape)
    return np.log(tau / (1 - tau))


class Rodimus(zoo.Cell):
    """Rodimus: ``gla`` in which the rate of writing depends on the rate of forgetting.

    The cell is the whole mixer of a Rodimus block: a projection in, a short convolution along time, the
    memory, a gated RMS norm, and a projection out. There are ``E = expand * H`` channels u, and the memory
    has a row of them for each of the ``N = order`` elements of a key. Each row has a gate g and a temperature
    tau. A row forgets at the rate ``g * tau``, and the step writes ``g ** tau`` times the key to it. A second
    gate of low rank selects the channels that enter. The parts of the products are, in order, the channels u
    and the gate z, the query q and the key k, and g and tau before their nonlinearities.

    Equations, where ``window`` holds the last ``width`` values of u, the oldest first::

        u, z = x Wx
        c = silu(sum over rows of window * taps + b)
        q, k = c Wq
        g, tau = c Wg
        g, tau = softplus(g + bg), sigmoid(tau + bt)
        alpha = exp(-g * tau)
        k = g ** tau * k / max(|k|, 1e-12)
        v = sigmoid((u Wa) Wr + br) * u
        S' = alpha[:, None] * S + outer(k, v)
        o = ((q S') / sqrt(N) + d * c) * silu(z)
        y = (gain * o / sqrt(mean(o²) + 1e-5)) Wo

    The parameters ``Wx (I, 2E)``, ``Wq (E, 2N)`` and ``Wo (E, H)`` start uniform within one over the root of
    their first size. ``taps (width, E)``, the oldest first, and ``b (E,)`` start uniform within
    ``1 / sqrt(width)``. ``Wg (E, 2N)``, ``Wa (E, rank)`` and ``Wr (rank, E)`` start as Glorot's uniform
    distribution times ``2 ** -2.5``, with each half of ``Wg`` drawn separately, and ``br (E,)`` at zero.
    ``bg (N,)`` starts such that its softplus is between 0.001 and 0.1, uniform in the logarithm, and
    ``bt (N,)`` such that its sigmoid is uniform between 1/16 and 0.9. ``d (E,)`` and ``gain (E,)`` start at
    one. The states are ``S (N, E)`` and ``past (width - 1, E)``, the channels before the convolution, the
    oldest first. The output ``y`` has size H.

    Equations, initial values and defaults come from ``RodimusAttention`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/rodimus.py`` and
    ``fla/ops/gla/naive.py``). Initial values of the gates come from its models
    (``fla/models/rodimus/modeling_rodimus.py``).
    """

    name = "rodimus"
    family = "linear"
    card = zoo.Card(
        title="Rodimus*: Breaking the Accuracy-Efficiency Trade-Off with Efficient Attentions",
        authors="Zhihao He, Hang Yu, Zi Gong, Shizhan Liu, Jianguo Li, Weiyao Lin",
        year=2024,
        url="https://arxiv.org/abs/2410.06577",
        variant="This is the whole mixer of the variant Rodimus, with convolution, gated RMS norm and "
        "projection.",
        deviations="The official models draw the matrices that are not of gates with a standard deviation of "
        "0.02, and biases of the convolution start at zero there. The library rounds E up to a multiple of "
        "8. Attention over a sliding window, which the variant Rodimus+ adds, is left out. The "
        "normalisation before the mixer and the residual connection around it are left out.",
        history="He and others published it in 2024. Rodimus combines the memory of gated linear attention "
        "(gla) with the convolution and the output gate of Mamba (mamba). In gla a step that forgets little "
        "may write much. In Rodimus one gate sets both rates of a row, and the temperature sets their ratio.",
        when_to_use="Use it in a stack with a norm and residual connections, as in the paper. The paper "
        "reports high accuracy with a small memory. The state has 134 H elements with the default options.",
        scope="mixer",
        block="mamba",
        related={
            "gla": "has a forget gate alone, and heads.",
            "mamba2": "has one decay and one rate of writing for each head.",
            "mamba": "has steps for each channel that set both rates.",
        },
    )
    Wx = zoo.Param("I", "2*expand*H", init="fan_in_uniform", help="input to channels u and gate z")
    taps = zoo.Param("width", "expand*H", init="fan_in_uniform", help="convolution, oldest first")
    b = zoo.Param("expand*H", init=taps_uniform, help="bias of the convolution")
    Wq = zoo.Param("expand*H", "2*order", init="fan_in_uniform", help="channels to query and key")
    Wg = zoo.Param("expand*H", "2*order", init=small_glorot_pair, help="channels to g and temperature")
    bg = zoo.Param("order", init=inverse_softplus_log_uniform, help="bias of g")
    bt = zoo.Param("order", init=temperatures, help="bias of the temperature")
    Wa = zoo.Param("expand*H", "rank", init=small_glorot, help="channels to the low rank of the input gate")
    Wr = zoo.Param("rank", "expand*H", init=small_glorot, help="low rank to input gate")
    br = zoo.Param("expand*H", help="bias of the input gate")
    d = zoo.Param("expand*H", init="ones", help="channels to output, past the memory")
    gain = zoo.Param("expand*H", init="ones", help="gain of the norm")
    Wo = zoo.Param("expand*H", "H", init="fan_in_uniform", help="channels to output")
    S = zoo.State("order", "expand*H", help="memory, from keys to channels")
    past = zoo.State("width-1", "expand*H", help="channels before the convolution, the oldest first")
    expand = zoo.Option(2, low=1, help="channels per hidden unit")
    order = zoo.Option(64, low=1, help="elements of a key, N")
    rank = zoo.Option(16, low=1, help="rank of the input gate. The official code has H / 64, at least 16")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    gates = zoo.Gates(forget_gate="alpha")

    def step(self, x: Array, S: Array, past: Array) -> zoo.Output:
        u, z = zoo.split(x @ self.Wx, 2)
        c, past = zoo.short_convolution(u, past, self.taps)
        c = zoo.silu(c + self.b)
        q, k = zoo.split(c @ self.Wq, 2)
        g, tau = zoo.split(c @ self.Wg, 2)
        g, tau = zoo.softplus(g + self.bg), zoo.sigmoid(tau + self.bt)
        alpha = zoo.exp(-g * tau)
        rate = zoo.exp(tau * zoo.log(np.maximum(g, 1e-30)))  # a power has no finite derivative at zero
        k = rate * k / np.sqrt(np.maximum(np.sum(k * k), 1e-24))
        v = zoo.sigmoid((u @ self.Wa) @ self.Wr + self.br) * u
        S = alpha[:, None] * S + zoo.outer(k, v)
        o = ((q @ S) / np.sqrt(self.order) + self.d * c) * zoo.silu(z)
        return zoo.Output((self.gain * rms_norm(o, 1e-5)) @ self.Wo, S, past)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Rodimus."""
    register(Rodimus)
