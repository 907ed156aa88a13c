"""Raven: slots with keys and values, some of which a router selects and changes at each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import rms_norm

Array = Any


def logs_of_rates(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Logarithms of numbers that are uniform between 0.0001 and 16."""
    return np.log(rng.uniform(1e-4, 16, shape))


class Raven(zoo.Cell):
    """Raven: ``gsa`` with a router that selects some slots at each step, and leaves the others unchanged.

    Each head has ``slots`` slots with a key and a value. A router scores all slots, and selects the ``top``
    highest scores. The selected slots decay and move towards the key and the value of the present step, in
    proportion to their scores. The query is compared with the keys of all slots, and a softmax weighs their
    values. The parts of the input product are, in order, the query q, the key k and the value v, each
    ``heads`` times ``D = H / heads``.

    Equations, for each head, where top(s) is s in the ``top`` highest scores and zero elsewhere::

        q, k, v = silu(x Wx)
        q = gainq * q / sqrt(mean(q²) + 1e-5)
        k = gaink * k / sqrt(mean(k²) + 1e-5)
        s = sigmoid(x Wr)                                       one for each slot
        w = top(s) / (sum(top(s)) + 1e-9)
        alpha = exp(-exp(A) * softplus(x Wa + ba) * w)
        K' = alpha * K + outer(k, 1 - alpha)
        V' = alpha[:, None] * V + outer(1 - alpha, v)
        o  = silu(softmax(q K') V')
        y  = (gain * o / sqrt(mean(o²) + 1e-5)) Wo              mean over all heads

    The parameters ``Wx (I, 3H)``, ``Wr (I, heads * slots)``, ``Wa (I, heads)`` and ``Wo (H, H)`` start
    uniform within one over the root of their first size. ``A (heads,)`` starts as the logarithm of a number
    that is uniform between 0.0001 and 16. ``ba (heads,)`` starts such that its softplus is between 0.001 and
    0.1, uniform in the logarithm. ``gainq (D,)`` and ``gaink (D,)``, which the heads share, and ``gain (H,)``
    start at one. The states are ``K (heads, D, slots)`` and ``V (heads, slots, D)``. The output ``y`` has
    size H.

    Equations, initial values and defaults, except for the number of heads, come from ``Raven`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/raven.py`` and ``fla/ops/gsa/naive.py``),
    which adapts the code of the authors (https://github.com/goombalab/raven).
    """

    name = "raven"
    family = "linear"
    card = zoo.Card(
        title="Raven: High-Recall Sequence Modeling with Sparse Memory Routing",
        authors="Arshia Afzal, Aviv Bick, Eric P. Xing, Volkan Cevher, Albert Gu",
        year=2026,
        url="https://github.com/goombalab/raven",
        variant="This is the layer of flash-linear-attention with its defaults: a linear router with sigmoid "
        "scores, the decay of Mamba 2, silu for queries, keys, values and outputs, RMS norms and output "
        "projection, without output gate and rotary embedding.",
        deviations="Gumbel noise, which the layer adds to the scores in training, is left out. There is one "
        "head by default, as in other cells, and the library has four. The decay of gated linear attention, "
        "an option of the library, is left out. The feed-forward part, the norm before the layer and the "
        "residual connection are left out.",
        history="Afzal and others published it in 2026. State space models change all of their memory at "
        "each step, and attention with a window forgets all inputs beyond it. Raven combines the slots of "
        "gated slot attention (gsa) with the decay of Mamba 2 (mamba2), and changes selected slots only.",
        when_to_use="Use it where single items of a long past must be recalled: slots that are not selected "
        "neither decay nor change. The state has 2 H × slots elements. The time of the router grows with the "
        "square of the number of slots. The choice of slots has no gradient, only the scores have.",
        trainability="With the initial values of 20 seeds, a step replaces 0.01 to 3 % of the selected "
        "slots, so one symbol changes the answers little. In the block retnet it reaches 1.68 nats in 1,000 "
        "steps.",
        scope="mixer",
        block="retnet",
        related={
            "gsa": "changes all slots at each step.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    gainq = zoo.Param("H/heads", init="ones", help="gain of the norm of queries, shared by all heads")
    gaink = zoo.Param("H/heads", init="ones", help="gain of the norm of keys, shared by all heads")
    Wr = zoo.Param("I", "heads*slots", init="fan_in_uniform", help="input to the scores of the slots")
    Wa = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the forget gates")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the forget gates")
    A = zoo.Param("heads", init=logs_of_rates, help="logarithm of the scale of the rates of forgetting")
    gain = zoo.Param("H", init="ones", help="gain of the norm before the projection")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="heads to output")
    K = zoo.State("heads", "H/heads", "slots", help="keys of the slots")
    V = zoo.State("heads", "slots", "H/heads", help="values of the slots")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    slots = zoo.Option(64, low=1, help="slots in a head")
    top = zoo.Option(32, low=1, help="slots that a step changes, all if there are fewer")
    gates = zoo.Gates(input_gate="1 - alpha", forget_gate="alpha")

    def step(self, x: Array, K: Array, V: Array) -> zoo.Output:
        q, k, v = (part.reshape(self.heads, -1) for part in zoo.split(zoo.silu(x @ self.Wx), 3))
        q, k = self.gainq * rms_norm(q, 1e-5), self.gaink * rms_norm(k, 1e-5)
        s = zoo.sigmoid(x @ self.Wr).reshape(self.heads, -1)
        s = np.where(zoo.top_k(s, self.top), s, 0.0)
        w = s / (np.sum(s, axis=-1, keepdims=True) + 1e-9)
        rates = zoo.exp(self.A) * zoo.softplus(x @ self.Wa + self.ba)
        alpha = zoo.exp(-rates[:, None] * w)
        key_decay, value_decay = alpha[:, None], alpha[:, :, None]
        K = key_decay * K + k[:, :, None] * (1 - key_decay)
        V = value_decay * V + (1 - value_decay) * v[:, None]
        o = zoo.silu((zoo.softmax(q[:, None] @ K) @ V).reshape(-1))
        return zoo.Output((self.gain * rms_norm(o, 1e-5)) @ self.Wo, K, V)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Raven."""
    register(Raven)
