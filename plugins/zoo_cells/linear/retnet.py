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
    """Glorot uniform times ``2**-2.5``, for each of the four parts ``(I, H)``."""
    limit = 2**-2.5 * math.sqrt(6 / (shape[0] + shape[1] // 4))
    return rng.uniform(-limit, limit, shape)


def half(rng: np.random.Generator, shape: Shape) -> Array:
    """Glorot uniform times one half."""
    limit = 0.5 * math.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


def decays(rng: np.random.Generator, shape: Shape) -> Array:
    """Decay factors of the heads: 31/32, 63/64, 127/128 and so on."""
    return 1 - 2.0 ** (-5 - np.arange(shape[0]))


def angles(rng: np.random.Generator, shape: Shape) -> Array:
    """From one radian per step down to 1/10,000, evenly on a logarithmic scale."""
    return 1 / 10000 ** np.linspace(0, 1, shape[0])


class RetNet(zoo.Cell):
    """RetNet: linear attention as a recurrence, with a fixed decay for each head.

    The cell is multi-scale retention in its recurrent form. Each head stores a matrix that maps keys to
    values, which fades and rotates. Neighbouring entries of a key are the real and imaginary part of a
    complex number, and the value stored under it rotates by a fixed angle every step. A query can therefore
    tell how long ago a key was written. The parts of the input product are, in order, the query q, the key k,
    the value v and the gate g, each ``heads`` times ``D = H / heads``.

    Equations, for each head, where entries 0 and 1, 2 and 3, ... of q and k make D / 2 complex numbers::

        q, k, v, g = x Wx
        S' = gamma * exp(i theta) * S + outer(conj(k), v) / sqrt(D)
        o  = Re(q S')
        o  = o / sqrt(mean(o²) + 1e-6)
        y  = (silu(g) * (o of all heads)) Wo

    The parameter ``Wx (I, 4H)`` starts Glorot uniform times ``2**-2.5``, each part separately, and
    ``Wo (H, H)`` Glorot uniform times one half. The buffers are ``gamma (heads,)``, which is
    ``1 - 2**(-5 - head)`` from head 0 on, and ``theta (D/2,)``, which is ``10000**(-j / (D/2 - 1))`` for j
    from 0 on, the same in all heads. The state ``S (heads, D/2, D)`` is complex and maps keys to values. The
    output ``y`` has size H.

    The official code (torchscale, https://github.com/microsoft/torchscale, ``multiscale_retention.py`` and
    ``retnet.py``) rotates queries and keys by their position in the text. Only differences of positions reach
    the output, so rotating the memory gives the same result, needs no counter, and is the derivation in the
    paper. The initial values come from the official code, and all its options are included: rotation (the
    part of xPos that does not fade), norm of each head, gate and projection.
    """

    name = "retnet"
    family = "linear"
    card = zoo.Card(
        title="Retentive Network: A Successor to Transformer for Large Language Models",
        authors="Yutao Sun, Li Dong, Shaohan Huang, Shuming Ma, Yuqing Xia, Jilong Xue, Jianyong Wang, Furu "
        "Wei",
        year=2023,
        url="https://arxiv.org/abs/2307.08621",
        variant="This is multi-scale retention in recurrent form, with rotation, a norm of each head, a "
        "swish gate and a projection out.",
        deviations="The official code divides the memory by the root of a running sum of decays, which is "
        "left out here. The norm cancels such a factor only where its constant, 1e-6, is small compared "
        "with the mean square of the value that the query reads. At the initial values on one-hot input the "
        "constant is the larger of the two, and the output is 2.9, 5.2 and 6.8 times the official one at "
        "steps 8, 32 and 63 (65 inputs, 128 units). The RMS norm has no gain, as in the official code, "
        "where the paper has a group norm. Values are as wide as keys, and official models have wider ones. "
        "There are four heads by default, and three in the official code. There is no feed-forward part.",
        history="Sun, Dong and others published it in 2023. Retention is linear attention with a fixed "
        "decay for each head and a rotation, and it can be computed in parallel, step by step or in chunks. "
        "Gated linear attention (gla) made the decay depend on the input in the same year.",
        when_to_use="Use it to study linear attention with fixed time scales: head number j, counted from "
        "0, forgets over about 2 ** (5 + j) steps. The decay does not depend on the input, so it cannot "
        "drop the past at a boundary. The state has H² / heads elements, and 2 * heads must divide H. On "
        "one-hot input with the official initial values, learning starts slowly without a norm before the "
        "cell.",
        scope="mixer",
        block="retnet",
        related={
            "mamba3": "has rotations by angles that depend on the input.",
            "rwkv5": "has trained decay rates, one for each row, and a token shift.",
            "mamba2": "has one decay for each head that depends on the input.",
            "gla": "has decay rates that depend on the input, and no rotation.",
            "delta_net": "corrects the value at a key instead of adding to it.",
            "rwkv4": "has a vector memory and trained decay rates.",
            "linear_attention": "forgets nothing, and divides by the sum of weights.",
        },
    )
    Wx = zoo.Param("I", "4H", init=quiet, help="input to queries, keys, values and gate")
    Wo = zoo.Param("H", "H", init=half, help="gated heads to output")
    gamma = zoo.Buffer("heads", init=decays, help="decay factor of each head in a step")
    theta = zoo.Buffer("H/(2*heads)", init=angles, help="angles by which memories rotate in a step")
    S = zoo.State("heads", "H/(2*heads)", "H/heads", complex=True, help="memory, from keys to values")
    # Official models have heads of 256. Hidden sizes are smaller here, and one head has one time scale.
    heads = zoo.Option(4, low=1, high=32, help="memories, each with its own decay. 2 * heads must divide H")

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
