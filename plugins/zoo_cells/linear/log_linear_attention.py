"""Log-linear attention: memories of the last 1, 2, 4, 8, ... steps, each with a weight of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, taps_uniform
from zoo_cells.linear._norms import rms_norm

Array = Any


def logs_of_heads(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Logarithms of 1, 2, 3 and so on."""
    return np.log(np.arange(1.0, shape[0] + 1))


class LogLinearAttention(zoo.Cell):
    """Log-linear attention: ``mamba2`` with a weight of its own for each of several parts of the past.

    A Fenwick tree divides the steps before step n, counted from zero, into segments of 1, 2, 4 and more
    steps, the nearest first: one segment for each bit of n that is one. Level 0 is the present step, and
    level j is the segment of bit ``j - 1``. The level of step s is therefore the number of bits of
    ``n xor s``. Each level has a weight lam, which depends on the input. The last of ``levels`` levels also
    holds all steps before its segment.

    A tree merges segments at each step. The cell stores their sums instead: row j of the state S is the
    memory of the levels 0 to j. These are the steps since n was last a multiple of ``2**j``, so this memory
    starts again at these steps, and nothing is merged. The weight of row j is ``lam_j - lam_(j+1)``.

    The cell is a whole mixer with ``E = expand * H`` channels in heads of ``E / heads``, like ``mamba2``. The
    heads share the keys k and the queries q of ``N = order`` elements. The parts of the input product are, in
    order, the gate z (E), the channels u (E), k and q (N each), the step dt (heads) and the weights lam
    (``heads * levels``). The convolution is over u, k and q.

    Equations, where ``window`` holds the last ``width`` values of u, k and q, the oldest first::

        z, ukq, dt, lam = x Wx
        u, k, q = silu(sum over rows of window * taps + b)
        dt  = softplus(dt + bd)
        lam = softplus(L * lam)                                           0 for level ``levels``
        keep_j = 0 if n mod 2^j = 0 and j < levels - 1, else 1            for levels j from 1
        S'_j = keep_j * exp(-exp(A) * dt) * S_j + outer(k, dt * u)        for each head
        o  = (lam_0 - lam_1) * (q k) * dt * u + sum over j of (lam_j - lam_(j+1)) * q S'_j
        o  = (o + D * u) * silu(z)
        y  = (gain * o / sqrt(mean(o²) + 1e-5)) Wo
        n' = (n + 1) mod 2^(levels - 2)

    The parameters ``Wx (I, 2E + 2N + heads + heads * levels)`` and ``Wo (E, H)`` start uniform within one
    over the root of their first size. ``taps (width, E + 2N)``, the oldest first, and ``b (E + 2N,)`` start
    uniform within ``1 / sqrt(width)``. ``bd (heads,)`` starts such that its softplus is between 0.001 and
    0.1, uniform in the logarithm. ``A (heads,)`` starts as the logarithms of 1, 2, 3 and so on.
    ``L (heads, levels)``, ``D (heads,)`` and ``gain (E,)`` start at one. The states are
    ``S (heads, (levels - 1) * N, E / heads)``, ``past (width - 1, E + 2N)``, the inputs of the convolution,
    the oldest first, and the counter ``n (1,)``. The output ``y`` has size H.

    Equations come from ``HAttentionMixer`` in the code of the authors, with one group of keys and queries
    (https://github.com/HanGuo97/log-linear-attention, ``hattention/modeling_hattention.py`` and
    ``hattention/recurrent.py``). Initial values come from ``LogLinearMamba2`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/log_linear_mamba2.py``).
    """

    name = "log_linear_attention"
    family = "linear"
    card = zoo.Card(
        title="Log-Linear Attention",
        authors="Han Guo, Songlin Yang, Tarushii Goel, Eric P. Xing, Tri Dao, Yoon Kim",
        year=2025,
        url="https://arxiv.org/abs/2506.04761",
        variant="This is log-linear Mamba 2, the whole mixer with convolution, gated RMS norm and "
        "projection, and one group of keys and queries.",
        deviations="The official code stores the segments of the tree, and the cell stores their sums, which "
        "give the same output. The official code stops after 2 ** (levels - 1) steps, and the last level of "
        "the cell also holds earlier steps. There is one head by default, as in other cells, and the "
        "official code has heads of 64 channels. There are 16 elements in a key by default, as in mamba2, "
        "and 11 levels. The official code has 128 and 15. The log-linear form of Gated DeltaNet, the "
        "normalisation before the mixer and the residual connection around it are left out.",
        history="Guo and others published it in 2025. Softmax attention stores all of the past, and linear "
        "attention stores a sum of fixed size. They store a sum for each segment of a Fenwick tree, whose "
        "number grows with the logarithm of the length, and weigh near and far segments separately. They "
        "applied it to Mamba 2 (mamba2) and to Gated DeltaNet (gated_delta_net).",
        when_to_use="Use it where single steps of the near past matter and a summary of the far past is "
        "enough. Set levels such that 2 ** (levels - 1) is at least the length of a sequence. The state has "
        "about 2 H × order × (levels - 1) elements, and time grows with it. The counter divides a stream at "
        "fixed steps, so the levels of steps depend on where a sequence begins.",
        scope="mixer",
        block="mamba",
        related={
            "mamba2": "has one weight for all of the past.",
        },
    )
    Wx = zoo.Param(
        "I",
        "2*expand*H+2*order+heads+heads*levels",
        init="fan_in_uniform",
        help="input to z, u, k, q, dt and the weights of the levels",
    )
    taps = zoo.Param("width", "expand*H+2*order", init="fan_in_uniform", help="convolution, oldest first")
    b = zoo.Param("expand*H+2*order", init=taps_uniform, help="bias of the convolution")
    bd = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the steps")
    A = zoo.Param("heads", init=logs_of_heads, help="logarithms of the rates of forgetting")
    L = zoo.Param("heads", "levels", init="ones", help="scales of the weights of the levels")
    D = zoo.Param("heads", init="ones", help="channels to output, past the memory")
    gain = zoo.Param("expand*H", init="ones", help="gain of the norm")
    Wo = zoo.Param("expand*H", "H", init="fan_in_uniform", help="channels to output")
    S = zoo.State("heads", "(levels-1)*order", "expand*H/heads", help="memories, from keys to channels")
    past = zoo.State("width-1", "expand*H+2*order", help="inputs of the convolution, the oldest first")
    n = zoo.State(1, discrete=True, help="steps so far, modulo the longest segment")
    expand = zoo.Option(2, low=1, help="channels per hidden unit")
    heads = zoo.Option(1, low=1, help="groups of channels with an own decay, a divisor of expand * H")
    order = zoo.Option(16, low=1, help="elements of a key and of a query, N")
    levels = zoo.Option(11, low=2, high=25, help="levels of the tree, for 2 ** (levels - 1) steps")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    gates = zoo.Gates(forget_gate="alpha")

    def step(self, x: Array, S: Array, past: Array, n: Array) -> zoo.Output:
        E, N, rows = self.gain.shape[0], self.order, self.levels - 1
        z, entering, dt, lam = np.split(x @ self.Wx, [E, 2 * E + 2 * N, 2 * E + 2 * N + self.heads])
        convolved, past = zoo.short_convolution(entering, past, self.taps)
        u, k, q = np.split(zoo.silu(convolved + self.b), [E, E + N])
        u, dt = u.reshape(self.heads, -1), zoo.softplus(dt + self.bd)
        v = dt[:, None] * u
        alpha = zoo.exp(-zoo.exp(self.A) * dt)
        lam = zoo.softplus(self.L * lam.reshape(self.heads, -1))
        weights = np.concatenate([lam[:, :-1] - lam[:, 1:], lam[:, -1:]], axis=1)

        level = np.arange(1, self.levels)
        starts = n % 2.0**level == np.where(level < rows, 0.0, -1.0)  # the last row never starts again
        keep = alpha[:, None] * np.where(starts, 0.0, 1.0)
        decay = np.repeat(keep, N, axis=1)
        queries = np.repeat(weights[:, 1:], N, axis=1) * np.tile(q, rows)
        S = decay[:, :, None] * S + zoo.outer(np.tile(k, (self.heads, rows)), v)
        o = (queries[:, None] @ S)[:, 0] + weights[:, :1] * np.sum(q * k) * v
        o = (o + self.D[:, None] * u).reshape(-1) * zoo.silu(z)
        o = self.gain * rms_norm(o, 1e-5)
        return zoo.Output(o @ self.Wo, S, past, (n + 1) % 2.0 ** (self.levels - 2))


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register log-linear attention."""
    register(LogLinearAttention)
