"""RWKV-5: a matrix memory with trained decay rates and a token shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import orthogonal

Array = Any
Shape = tuple[int, ...]


def mix_fractions(rng: np.random.Generator, shape: Shape) -> Array:
    """Along the features from the previous to the present input, with more of the present one for r and g."""
    position = np.arange(shape[1]) / shape[1]
    return np.stack([position**0.5, position, position, position**0.5])


def scaled_orthogonal(rng: np.random.Generator, shape: Shape) -> Array:
    """Orthogonal, times 0.1 for k and g."""
    _, inputs, hidden = shape
    return np.stack([scale * orthogonal(rng, inputs, hidden) for scale in (1.0, 0.1, 1.0, 0.1)])


def decay_speeds(rng: np.random.Generator, shape: Shape) -> Array:
    """From -6, which hardly forgets, to -1 along the units."""
    return -6 + 5 * (np.arange(shape[0]) / max(shape[0] - 1, 1)) ** 0.7


def bonuses(rng: np.random.Generator, shape: Shape) -> Array:
    """0, 0.1 and -0.1 in turn."""
    return 0.1 * ((np.arange(shape[0]) + 1) % 3 - 1)


class RWKV5(zoo.Cell):
    """RWKV-5: linear attention in which each row of the memory decays at a trained rate.

    The cell is the time mixing of a block. Each head stores a matrix that maps keys to values. The present
    pair enters the output with a bonus u. Every feature of the input is mixed with its value at the previous
    step. The rows of ``mix`` and ``Wx`` are, in order, for the receptance r, the key k, the value v and the
    gate g. Heads have width ``D = H / heads``.

    Equations, for each head::

        xr, xk, xv, xg = mix * x + (1 - mix) * past              one row each
        r, k, v, g = xr Wx[0], xk Wx[1], xv Wx[2], xg Wx[3]
        o  = r (S + u[:, None] * outer(k, v))
        S' = exp(-exp(w))[:, None] * S + outer(k, v)
        o  = (o - mean(o)) / sqrt(var(o) + 64e-5)
        y  = ((gain * o + bias) * silu(g)) Wo                    heads side by side
        past' = x

    For feature i from 0 on, the parameter ``mix (4, I)`` starts at ``i / I``, and at its root for r and g.
    ``Wx (4, I, H)`` starts orthogonal, times 0.1 for k and g. ``w (H,)`` starts at
    ``-6 + 5 (j / (H - 1))**0.7``, ``u (H,)`` at 0, 0.1, -0.1 in turn, ``gain (H,)`` at one, ``bias (H,)`` at
    zero and ``Wo (H, H)`` orthogonal. The states are ``S (heads, D, D)`` and ``past (I,)``, the previous
    input. The output ``y`` has size H.

    The equations come from ``RWKV_v5_demo.py`` in https://github.com/BlinkDL/ChatRWKV, and the initial values
    from the first layer in ``RWKV-v5/src/model.py`` (``RWKV_Tmix_x052``) of
    https://github.com/BlinkDL/RWKV-LM.
    """

    name = "rwkv5"
    family = "linear"
    card = zoo.Card(
        title="Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence",
        authors="Bo Peng, Daniel Goldstein, Quentin Anthony, and others",
        year=2024,
        url="https://arxiv.org/abs/2404.05892",
        variant="This is the time mixing of RWKV-5, Eagle, with token shift, group norm, gate and "
        "projection. The w of the paper is exp(-exp(w)) here, as in the official code.",
        deviations="The channel mixing, the layer norms before it and the residual connections are left "
        "out. The official code starts Wo at zero, from which layers without residual connections could not "
        "learn. Here it starts orthogonal, and at zero in the block rwkv. There is one head by default, and "
        "the official code has heads of size 64. The gain of the norm starts at one, and in the official "
        "code at a smaller number in lower layers of a deep model.",
        history="Peng and others published it in 2024 with RWKV-6, Finch (rwkv6). It replaces the weighted "
        "average of RWKV-4 (rwkv4) by a matrix for each head, a norm and a gate, as RetNet (retnet) has "
        "them. RWKV-6 makes the decay depend on the input.",
        when_to_use="Use it to see what the matrix memory adds to rwkv4, or what a decay that depends on "
        "the input adds in rwkv6. The state has H² / heads + I elements. The decay does not depend on the "
        "input, so it cannot drop the past at a boundary. The paper's block has layer norms, residual "
        "connections and a channel mixing around it.",
        scope="mixer",
        block="rwkv",
        related={
            "rwkv4": "has vector states and a normaliser.",
            "rwkv6": "has decay rates that depend on the input.",
            "retnet": "has fixed decay rates, one for each head.",
        },
    )
    mix = zoo.Param("4", "I", init=mix_fractions, help="share of the present input in r, k, v, g")
    Wx = zoo.Param("4", "I", "H", init=scaled_orthogonal, help="mixed inputs to r, k, v, g")
    w = zoo.Param("H", init=decay_speeds, help="logarithm of the decay of the logarithm of a row")
    u = zoo.Param("H", init=bonuses, help="bonus of the present pair")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    bias = zoo.Param("H", help="bias of the norm")
    Wo = zoo.Param("H", "H", init="orthogonal", help="gated heads to output")
    S = zoo.State("heads", "H/heads", "H/heads", help="memory, from keys to values")
    past = zoo.State("I", help="the previous input")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")

    def step(self, x: Array, S: Array, past: Array) -> zoo.Output:
        mixed = self.mix * x + (1 - self.mix) * past
        r, k, v, g = (mixed[part] @ self.Wx[part] for part in range(4))
        r, v = r.reshape(self.heads, 1, -1), v.reshape(self.heads, 1, -1)
        pair = k.reshape(self.heads, -1, 1) * v
        o = zoo.layer_norm(r @ (S + self.u.reshape(self.heads, -1, 1) * pair), eps=64e-5).reshape(-1)
        y = ((self.gain * o + self.bias) * zoo.silu(g)) @ self.Wo
        return zoo.Output(y, zoo.exp(-zoo.exp(self.w)).reshape(self.heads, -1, 1) * S + pair, x)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register RWKV-5."""
    register(RWKV5)
