"""LightNet: linear attention with weights from a softmax of the keys over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._norms import rms_norm

Array = Any
EMPTY = 1e30
"""Stands for infinity: z is minus this before the first step."""


class LightNet(zoo.Cell):
    """LightNet: means of all values so far, weighted by a softmax of the keys over time.

    Each element of a key has a row of the memory. The row is the mean of all values, weighted by the
    exponential function of this element at each step. The state z is the logarithm of the sum of these
    weights, and the share of the present step in this sum is the rate of writing. The parts of the input
    product are, in order, the query q, the key k and the value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = x Wx
        i  = sigmoid(k - z)                                     one at the first step
        z' = k + softplus(z - k)                                k at the first step
        S' = (1 - i)[:, None] * S + outer(i, v)
        o  = (silu(q) S') / sqrt(D)
        o  = gain * o / sqrt(mean(o²) + 1e-6)                   mean over all heads
        y  = (silu((x Wa) Wr) * o) Wo

    The parameters ``Wx (I, 3H)``, ``Wa (I, rank)``, ``Wr (rank, H)`` and ``Wo (H, H)`` start uniform within
    one over the root of their first size, and ``gain (H,)`` at one. The states are ``S (heads, D, D)``,
    ``z (heads, D)`` and ``n (1,)``, the number of steps so far. The output ``y`` has size H.

    Equations and initial values come from ``LightNetAttention`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/lightnet.py`` and
    ``fla/ops/gla/naive.py``).
    """

    name = "lightnet"
    family = "linear"
    card = zoo.Card(
        title="You Only Scan Once: Efficient Multi-dimension Sequential Modeling with LightNet",
        authors="Zhen Qin, Yuxin Mao, Xuyang Shen, Dong Li, Jing Zhang, Yuchao Dai, Yiran Zhong",
        year=2024,
        url="https://arxiv.org/abs/2405.21022",
        variant="This is the layer of flash-linear-attention, for one dimension, with its RMS norm, low-rank "
        "output gate and projection, without short convolution, its default.",
        deviations="There is one head by default, as in other cells, and the library has heads with keys of "
        "128 elements. The rank of the output gate is 16, and the library has 128 at 1,024 units. The "
        "library computes the logarithm of the sum of a whole sequence first, and the cell continues it "
        "step by step. The feed-forward part, the norm before the layer and the residual connection are "
        "left out.",
        history="Qin and others published it in 2024 for images and other data with several dimensions. "
        "Linear attention with decays, such as gated linear attention (gla), favours recent steps, so such "
        "data need a scan in each direction. Weights from a softmax over all steps need one scan.",
        when_to_use="Use it where the order of inputs matters little, or after a cell or convolution that "
        "represents order: the memory of a sequence is the same in any order. The rate of writing falls as "
        "the sequence becomes longer, so later inputs change the memory less. The state has H² / heads + H "
        "+ 1 elements. Initial values of S and z have no effect unless n counts steps.",
        trainability="The rate of writing falls as the text becomes longer, and training carries the state "
        "from batch to batch. With carry=False it reaches 2.26 nats in 1,000 steps.",
        scope="mixer",
        block="retnet",
        related={
            "gla": "forgets at rates that depend on the input alone.",
            "linear_attention": "divides by one sum of weights for each query.",
            "abc": "has means in slots, and a softmax weighs the slots.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wa = zoo.Param("I", "rank", init="fan_in_uniform", help="input to the low rank of the output gate")
    Wr = zoo.Param("rank", "H", init="fan_in_uniform", help="low rank to output gate")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="gated heads to output")
    S = zoo.State("heads", "H/heads", "H/heads", help="means of the values, a row for each element of a key")
    z = zoo.State("heads", "H/heads", help="logarithms of the sums of weights")
    n = zoo.State(1, discrete=True, help="steps so far")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    rank = zoo.Option(16, low=1, help="rank of the product for the output gate")
    gates = zoo.Gates(input_gate="i", forget_gate="1 - i")

    def step(self, x: Array, S: Array, z: Array, n: Array) -> zoo.Output:
        q, k, v = (part.reshape(self.heads, -1) for part in zoo.split(x @ self.Wx, 3))
        z = z - EMPTY * (1 - np.minimum(n, 1.0))  # not np.where, which would hide a NaN in z
        i = zoo.sigmoid(k - z)
        z = k + zoo.softplus(z - k)  # z + softplus(k - z) would round to 0 at the first step
        S = (1 - i)[:, :, None] * S + i[:, :, None] * v[:, None]
        o = (zoo.silu(q)[:, None] @ S).reshape(-1) / np.sqrt(S.shape[-1])
        g = zoo.silu((x @ self.Wa) @ self.Wr)
        return zoo.Output((g * (self.gain * rms_norm(o, 1e-6))) @ self.Wo, S, z, n + 1)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register LightNet."""
    register(LightNet)
