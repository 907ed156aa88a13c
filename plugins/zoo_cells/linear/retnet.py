"""The retentive network: memories that fade at fixed rates, one for each head."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._norms import rms_norm

Array = Any
Shape = tuple[int, ...]


def quiet(rng: np.random.Generator, shape: Shape) -> Array:
    """Glorot uniform for each of four parts ``(I, H)``, times ``2**-2.5``."""
    limit = 2**-2.5 * math.sqrt(6 / (shape[0] + shape[1] // 4))
    return rng.uniform(-limit, limit, shape)


def half(rng: np.random.Generator, shape: Shape) -> Array:
    """Glorot uniform, times one half."""
    limit = 0.5 * math.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


def decays(rng: np.random.Generator, shape: Shape) -> Array:
    """Decay factors of the heads: 31/32, 63/64, 127/128, ..."""
    return 1 - 2.0 ** (-5 - np.arange(shape[0]))


def angles(rng: np.random.Generator, shape: Shape) -> Array:
    """From one radian a step down to 1/10,000, evenly in the logarithm."""
    return 1 / 10000 ** np.linspace(0, 1, shape[0])


class RetNet(zoo.Cell):
    """RetNet: linear attention as a recurrence, with a fixed decay for each head.

    Multi-scale retention in its recurrent form. Each head keeps a matrix from keys to values that fades and
    turns: neighbouring entries of a key are the real and imaginary part of a complex number, and what is
    stored under it turns by a fixed angle every step. So a query sees how long ago a key was written. The
    parts of the input product stand in the order query q, key k, value v, gate g, each ``heads`` times
    ``D = H / heads``.

    Equations, for each head, where entries 0 and 1, 2 and 3, ... of q and k make D / 2 complex numbers::

        q, k, v, g = x Wx
        S' = gamma * exp(i theta) * S + outer(conj(k), v) / sqrt(D)
        o  = Re(q S')
        o  = o / sqrt(mean(o²) + 1e-6)
        y  = (silu(g) * (o of all heads)) Wo

    Parameters: ``Wx (I, 4H)`` Glorot uniform times ``2**-2.5``, each part by itself, and ``Wo (H, H)`` Glorot
    uniform times one half. Buffers: ``gamma (heads,)``, ``1 - 2**(-5 - head)`` from head 0 on, and
    ``theta (D/2,)``, ``10000**(-j / (D/2 - 1))`` for j from 0 on, alike in all heads. State:
    ``S (heads, D/2, D)`` complex, from keys to values. Output: ``y``, of size H.

    The official code (torchscale, https://github.com/microsoft/torchscale, ``multiscale_retention.py`` and
    ``retnet.py``) turns queries and keys by their place in the text; only differences of places reach the
    output, so turning the memory instead is the same, needs no counter, and is how the paper derives it. The
    start is that of the official code, with every option of it included: turning (the part of xPos that is
    not fading), norm of each head, gate, projection out.
    """

    name = "retnet"
    family = "linear"
    card = zoo.Card(
        title="Retentive Network: A Successor to Transformer for Large Language Models",
        authors="Yutao Sun, Li Dong, Shaohan Huang, Shuming Ma, Yuqing Xia, Jilong Xue, Jianyong Wang, "
        "Furu Wei",
        year=2023,
        url="https://arxiv.org/abs/2307.08621",
        variant="Multi-scale retention, recurrent form, with rotation, norm of each head, swish gate and "
        "projection out.",
        deviations="The official code divides the memory by the root of a running sum of decays; this is "
        "left out here. The norm cancels such a factor only where its constant, 1e-6, is small beside the "
        "mean square of what the query reads. At the initial values on one-hot input the constant is the "
        "larger of the two, and the output is 2.9, 5.2 and 6.8 times the official one at steps 8, 32 and 63 "
        "(65 inputs, 128 units). RMS norm without gain, as in the official code, where the paper says group "
        "norm. Values are as wide as keys, where official models have wider ones. No feed-forward part.",
        scope="mixer",
    )
    Wx = zoo.Param("I", "4H", init=quiet, help="input to queries, keys, values and gate")
    Wo = zoo.Param("H", "H", init=half, help="gated heads to output")
    gamma = zoo.Buffer("heads", init=decays, help="what a head keeps in a step")
    theta = zoo.Buffer("H/(2*heads)", init=angles, help="angles by which memories turn in a step")
    S = zoo.State("heads", "H/(2*heads)", "H/heads", complex=True, help="memory, from keys to values")
    # Official models have heads of 256. Hidden sizes are smaller here, and one head has no scales.
    heads = zoo.Option(
        4, low=1, high=32, help="memories, each fading at its own rate; twice it must divide H"
    )

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v, g = zoo.split(x @ self.Wx, 4)
        q, k = q.reshape(self.heads, -1, 2), k.reshape(self.heads, -1, 2)
        q, k = q[..., 0] + 1j * q[..., 1], k[..., 0] - 1j * k[..., 1]
        v = v.reshape(self.heads, 1, -1)
        kept = self.gamma[:, None, None] * np.exp(1j * self.theta)[:, None]
        S = kept * S + k[..., None] * (v / np.sqrt(v.shape[-1]))
        o = rms_norm((q[:, None] @ S).real, 1e-6)
        return zoo.Output((zoo.silu(g) * o.reshape(-1)) @ self.Wo, S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the retentive network."""
    register(RetNet)
