"""ABC: attention with a bounded memory of slots, each of which averages keys and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._norms import rms_norm

Array = Any


class ABC(zoo.Cell):
    """ABC: softmax attention over a fixed number of slots, each a weighted mean of all keys and values.

    Each head has ``slots`` slots with a key and a value. Every step adds its key and its value to all slots,
    and the exponential function of a score is its weight in a slot. A slot holds the weighted means of all
    keys and values so far. The query is compared with the keys of all slots, and a softmax weighs their
    values. The parts of the input product are, in order, the query q and the key k, each ``heads`` times
    ``K = H / (2 heads)``, and the value v and the gate g, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v, g = x Wx
        s  = min(max(x Ws, -32), 32)                            one for each slot
        Z' = max(Z, 0) + exp(s)
        w  = exp(s) / Z'
        K' = (1 - w) * K + outer(k, w)
        V' = (1 - w)[:, None] * V + outer(w, v)
        o  = softmax((q K') / sqrt(K)) V'
        o  = gain * o / sqrt(mean(o²) + 1e-5)
        y  = (silu(g) * (o of all heads)) Wo

    The parameters ``Wx (I, 3H)``, ``Ws (I, heads * slots)`` and ``Wo (H, H)`` start uniform within one over
    the root of their first size. ``gain (D,)``, which the heads share, starts at one. The states are
    ``K (heads, K, slots)``, ``V (heads, slots, D)`` and ``Z (heads, slots)``, the sums of the weights, which
    are positive for all states that sequences reach. The output ``y`` has size H.

    Equations, initial values and defaults, except for the number of heads, come from ``ABCAttention`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/abc.py`` and ``fla/ops/abc/naive.py``).
    """

    name = "abc"
    family = "linear"
    card = zoo.Card(
        title="ABC: Attention with Bounded-memory Control",
        authors="Hao Peng, Jungo Kasai, Nikolaos Pappas, Dani Yogatama, Zhaofeng Wu, Lingpeng Kong, Roy "
        "Schwartz, Noah A. Smith",
        year=2021,
        url="https://arxiv.org/abs/2110.02488",
        variant="This is the layer of flash-linear-attention, whose weights are learned functions of the "
        "input, with its RMS norm, output gate and projection, without short convolutions.",
        deviations="There is one head by default, as in other cells, and the library has four. The rotary "
        "embedding of queries and keys, a default of the library, is left out. The library computes the "
        "logarithms of the sums of weights. Its limits of the scores let the cell store the sums. The "
        "feed-forward part, the norm before the layer and the residual connection are left out.",
        history="Peng and others published it in 2021. They showed that several efficient forms of attention "
        "differ in how they assign steps to a fixed number of slots, and proposed to learn it. Gated slot "
        "attention (gsa, 2024) replaces the means by forget gates, and Raven (raven, 2026) changes some of "
        "the slots only.",
        when_to_use="Use it where a summary of the whole sequence is needed at a fixed memory size. Slots "
        "forget nothing, so the weight of a step in a long sequence is small, unless its scores are large. "
        "Use gsa where recent steps matter more. The state has (1.5 H + heads) × slots elements.",
        trainability="The rate of writing falls as the text becomes longer, and training carries the state "
        "from batch to batch. With carry=False it reaches 2.23 nats in 1,000 steps.",
        scope="mixer",
        block="retnet",
        related={
            "gsa": "has slots that forget.",
            "lightnet": "has means for each element of a key, and no softmax over slots.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys, values and output gate")
    Ws = zoo.Param("I", "heads*slots", init="fan_in_uniform", help="input to the scores of the slots")
    gain = zoo.Param("H/heads", init="ones", help="gain of the norm, the same for every head")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="gated heads to output")
    K = zoo.State("heads", "H/(2*heads)", "slots", help="means of the keys, a column for each slot")
    V = zoo.State("heads", "slots", "H/heads", help="means of the values, a row for each slot")
    Z = zoo.State("heads", "slots", help="sums of the weights")
    heads = zoo.Option(1, low=1, help="independent memories. 2 * heads must divide H")
    slots = zoo.Option(64, low=1, help="slots in a head")
    gates = zoo.Gates(input_gate="w", forget_gate="1 - w")

    def step(self, x: Array, K: Array, V: Array, Z: Array) -> zoo.Output:
        qk, v, g = zoo.split(x @ self.Wx, 3)
        q, k = (part.reshape(self.heads, -1) for part in zoo.split(qk, 2))
        v = v.reshape(self.heads, -1)
        # Within these limits, which are the ones of the library, no sum overflows, and all are positive.
        e = zoo.exp(np.maximum(np.minimum(x @ self.Ws, 32.0), -32.0)).reshape(self.heads, -1)
        Z = np.where(Z < 0, 0.0, Z) + e
        w = e / Z
        K = (1 - w)[:, None] * K + k[:, :, None] * w[:, None]
        V = (1 - w)[:, :, None] * V + w[:, :, None] * v[:, None]
        o = (zoo.softmax((q[:, None] @ K) / np.sqrt(K.shape[1])) @ V)[:, 0]
        o = self.gain * rms_norm(o, 1e-5)
        return zoo.Output((zoo.silu(g) * o.reshape(-1)) @ self.Wo, K, V, Z)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register attention with bounded-memory control."""
    register(ABC)
