"""RWKV-6: a matrix memory whose decay and whose mixture of two inputs depend on the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear.rwkv5 import bonuses, decay_speeds, scaled_orthogonal

Array = Any
Shape = tuple[int, ...]


def mix_fractions(rng: np.random.Generator, shape: Shape) -> Array:
    """Along the features from the previous to the present input, with more of the present one for r and g."""
    position = np.arange(shape[1]) / shape[1]
    return 1 - np.stack([position, position, position, position, position**0.5, position**0.5])


def small(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within 0.01 of zero."""
    return rng.uniform(-0.01, 0.01, shape)


class RWKV6(zoo.Cell):
    """RWKV-6: linear attention whose decay depends on the input, after a learned mixture with the last input.

    The cell is the time mixing of a block. Each head stores a matrix that maps keys to values, and the decay
    has a value for every row. The present pair enters the output with a bonus u. Every projection reads its
    own mixture of the input and the previous one, and products of low rank choose the shares. The rows of
    ``mix`` are, in order, for this choice itself and for the decay w, the key k, the value v, the receptance
    r and the gate g. The rows of ``A2`` are for w, k, v, r and g, and the rows of ``Wx`` for r, k, v and g.
    Heads have width ``D = H / heads``.

    Equations, for each head::

        d  = past - x
        m  = tanh((x + d * mix[0]) A1)                one part of size rank for each of w, k, v, r, g
        xw, xk, xv, xr, xg = x + d * (mix[1:] + m A2)
        r, k, v, g = xr Wx[0], xk Wx[1], xv Wx[2], xg Wx[3]
        alpha = exp(-exp(w + tanh(xw D1) D2))
        o  = r (S + u[:, None] * outer(k, v))
        S' = alpha[:, None] * S + outer(k, v)
        o  = (o - mean(o)) / sqrt(var(o) + 64e-5)
        y  = ((gain * o + bias) * silu(g)) Wo         heads side by side
        past' = x

    For feature i from 0 on, the parameter ``mix (6, I)`` starts at ``1 - i / I``, with the root of ``i / I``
    for r and g. ``A1 (I, 5 rank)`` and ``D1 (I, decay_rank)`` start at zero. ``A2 (5, rank, I)`` and
    ``D2 (decay_rank, H)`` start uniform within 0.01 of zero. ``Wx (4, I, H)`` starts orthogonal, times 0.1
    for k and g. ``w (H,)`` starts at ``-6 + 5 (j / (H - 1))**0.7``, ``u (H,)`` at 0, 0.1, -0.1 in turn,
    ``gain (H,)`` at one, ``bias (H,)`` at zero and ``Wo (H, H)`` orthogonal. The states are
    ``S (heads, D, D)`` and ``past (I,)``, the previous input. The output ``y`` has size H.

    The equations come from ``RWKV_v6_demo.py`` in https://github.com/BlinkDL/ChatRWKV, and the initial values
    from the first layer in ``RWKV-v5/src/model.py`` (``RWKV_Tmix_x060``) of
    https://github.com/BlinkDL/RWKV-LM.
    """

    name = "rwkv6"
    family = "linear"
    card = zoo.Card(
        title="Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence",
        authors="Bo Peng, Daniel Goldstein, Quentin Anthony, and others",
        year=2024,
        url="https://arxiv.org/abs/2404.05892",
        variant="This is the time mixing of RWKV-6, Finch, with token shift, group norm, gate and "
        "projection.",
        deviations="The channel mixing, the layer norms before it and the residual connections are left "
        "out. The official code starts Wo at zero, from which layers without residual connections could not "
        "learn. Here it starts orthogonal, and at zero in the block rwkv. There is one head by default, and "
        "the official code has heads of size 64. The gain of the norm starts at one, and in the official "
        "code at a smaller number in lower layers of a deep model.",
        history="Peng and others published it in 2024 with RWKV-5, Eagle (rwkv5). RWKV-5 gave the matrix "
        "states to RWKV-4 (rwkv4), and RWKV-6 made the decay and the token shift depend on the input. "
        "RWKV-7 (rwkv7, 2025) replaced the sum by a generalised delta rule.",
        when_to_use="Use it where the past must be searched by content at a fixed memory size and parts of "
        "it fade at different speeds: the state has H² / heads + I elements. It adds pairs without "
        "correcting old ones, so it cannot overwrite a single key. The paper's block has layer norms, "
        "residual connections and a channel mixing around it.",
        scope="mixer",
        block="rwkv",
        related={
            "rwkv5": "has decay rates that do not depend on the input.",
            "rwkv4": "has vector states and decay rates that do not depend on the input.",
            "rwkv7": "corrects its memory by a delta rule.",
            "gla": "has the same kind of decay without token shift and bonus.",
        },
    )
    mix = zoo.Param("6", "I", init=mix_fractions, help="shares of the previous input")
    A1 = zoo.Param("I", "5*rank", help="input to the low rank of the shares of w, k, v, r, g")
    A2 = zoo.Param("5", "rank", "I", init=small, help="low rank to shares")
    Wx = zoo.Param("4", "I", "H", init=scaled_orthogonal, help="mixed inputs to r, k, v, g")
    w = zoo.Param("H", init=decay_speeds, help="logarithm of the decay of the logarithm of a row")
    D1 = zoo.Param("I", "decay_rank", help="mixed input to the low rank of the decay")
    D2 = zoo.Param("decay_rank", "H", init=small, help="low rank to decay")
    u = zoo.Param("H", init=bonuses, help="bonus of the present pair")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    bias = zoo.Param("H", help="bias of the norm")
    Wo = zoo.Param("H", "H", init="orthogonal", help="gated heads to output")
    S = zoo.State("heads", "H/heads", "H/heads", help="memory, from keys to values")
    past = zoo.State("I", help="the previous input")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    rank = zoo.Option(32, low=1, help="rank of the products that choose the shares of two inputs")
    decay_rank = zoo.Option(64, low=1, help="rank of the product for the decay")
    gates = zoo.Gates(forget_gate="alpha")

    def step(self, x: Array, S: Array, past: Array) -> zoo.Output:
        d = past - x
        low = zoo.tanh((x + d * self.mix[0]) @ self.A1).reshape(5, 1, -1)
        shares = self.mix[1:] + (low @ self.A2)[:, 0]
        xw, xk, xv, xr, xg = (x + d * shares[part] for part in range(5))
        r, k, v, g = (each @ self.Wx[part] for part, each in enumerate((xr, xk, xv, xg)))
        r, v = r.reshape(self.heads, 1, -1), v.reshape(self.heads, 1, -1)
        k = k.reshape(self.heads, -1, 1)
        alpha = zoo.exp(-zoo.exp(self.w + zoo.tanh(xw @ self.D1) @ self.D2)).reshape(self.heads, -1, 1)
        pair = k * v
        o = zoo.layer_norm(r @ (S + self.u.reshape(self.heads, -1, 1) * pair), eps=64e-5).reshape(-1)
        y = ((self.gain * o + self.bias) * zoo.silu(g)) @ self.Wo
        return zoo.Output(y, alpha * S + pair, x)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register RWKV-6."""
    register(RWKV6)
