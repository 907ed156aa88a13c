"""Gated slot attention: a fixed number of slots with keys and values, read by a softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.linear._norms import rms_norm

Array = Any


class GSA(zoo.Cell):
    """Gated slot attention: softmax attention over a fixed number of slots that forget at their own rates.

    Each head has ``slots`` slots with a key and a value. Every slot moves its key and its value towards the
    key and the value of the present step, by a share that depends on the input. The query is compared with
    the keys of all slots, and a softmax weighs their values. The parts of the input product are, in order,
    the query q, the key k and the value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        alpha = sigmoid(x Wf) ** (1 / tau)                      one for each slot
        K' = alpha * K + outer(k, 1 - alpha)
        V' = alpha[:, None] * V + outer(1 - alpha, v)
        o  = silu(softmax(q K') V')
        y  = (gain * o / sqrt(mean(o²) + 1e-5)) Wo              mean over all heads

    The parameters ``Wx (I, 3H)``, ``Wf (I, heads * slots)`` and ``Wo (H, H)`` start uniform within one over
    the root of their first size, and ``gain (H,)`` at one. The states are ``K (heads, D, slots)`` and
    ``V (heads, slots, D)``. The output ``y`` has size H.

    Equations, initial values and defaults, except for the number of heads, come from ``GatedSlotAttention``
    in https://github.com/fla-org/flash-linear-attention (``fla/layers/gsa.py`` and ``fla/ops/gsa/naive.py``).
    """

    name = "gsa"
    family = "linear"
    card = zoo.Card(
        title="Gated Slot Attention for Efficient Linear-Time Sequence Modeling",
        authors="Yu Zhang, Songlin Yang, Ruijie Zhu, Yue Zhang, Leyang Cui, Yiqiao Wang, Bolun Wang, Freda "
        "Shi, Bailin Wang, Wei Bi, Peng Zhou, Guohong Fu",
        year=2024,
        url="https://arxiv.org/abs/2409.07146",
        variant="This is the layer of flash-linear-attention with silu for queries, keys, values and "
        "outputs, RMS norm and output projection, without short convolutions and output gate, its defaults.",
        deviations="There is one head by default, as in other cells, and the library has four. The "
        "feed-forward part, the norm before the layer and the residual connection are left out.",
        history="Zhang and others published it in 2024. Attention with bounded-memory control (2021) reads "
        "a fixed number of slots by a softmax. Gated slot attention adds the forget gates of gated linear "
        "attention (gla), and amounts to two layers of it with a softmax between.",
        when_to_use="Use it where single items of the past must be found sharply: the softmax can select "
        "one slot, where linear attention adds up all pairs. The state has 2 H × slots elements. The paper "
        "reports good results in recall and when pretrained Transformers are converted.",
        trainability="One-hot inputs are small, so the scores of the slots differ by about 0.0001 at first, "
        "and the softmax weighs all slots alike. At a learning rate of 0.01 it reaches 2.15 nats in 1,000 "
        "steps.",
        scope="mixer",
        block="retnet",
        related={
            "gla": "reads its memory without a softmax.",
            "raven": "changes a few slots at each step.",
            "abc": "has slots that forget nothing.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wf = zoo.Param("I", "heads*slots", init="fan_in_uniform", help="input to the forget gates of the slots")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="heads to output")
    K = zoo.State("heads", "H/heads", "slots", help="keys of the slots")
    V = zoo.State("heads", "slots", "H/heads", help="values of the slots")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    slots = zoo.Option(64, low=1, help="slots in a head")
    tau = zoo.Option(8.0, low=1.0, help="root of the forget gates. A larger one forgets more slowly")
    gates = zoo.Gates(input_gate="1 - alpha", forget_gate="alpha")

    def step(self, x: Array, K: Array, V: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q, v = q.reshape(self.heads, 1, -1), v.reshape(self.heads, 1, -1)
        alpha = zoo.exp(zoo.log_sigmoid(x @ self.Wf) / self.tau)
        across, down = alpha.reshape(self.heads, 1, -1), alpha.reshape(self.heads, -1, 1)
        K = across * K + k.reshape(self.heads, -1, 1) * (1 - across)
        V = down * V + (1 - down) * v
        o = zoo.silu((zoo.softmax(q @ K) @ V).reshape(-1))
        return zoo.Output((self.gain * rms_norm(o, 1e-5)) @ self.Wo, K, V)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register gated slot attention."""
    register(GSA)
