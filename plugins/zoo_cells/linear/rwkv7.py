"""RWKV-7: a generalised delta rule with a decay and a rate for each row of the memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import orthogonal

Array = Any
Shape = tuple[int, ...]
DECAY = math.exp(-0.5)


def mix_fractions(rng: np.random.Generator, shape: Shape) -> Array:
    """Along the features from the previous input to the present one, in the order r, w, k, v, a, g."""
    position = np.arange(shape[1]) / shape[1]
    return 1 - np.stack([position**power for power in (0.2, 0.9, 0.7, 0.7, 0.9, 0.2)])


def projections(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within ``0.5 / sqrt(I)`` of zero, and within a tenth of it for k."""
    limits = np.array([0.5, 0.05, 0.5])[:, None, None] / math.sqrt(shape[1])
    return rng.uniform(-1, 1, shape) * limits


def small_orthogonal(rng: np.random.Generator, shape: Shape) -> Array:
    """Orthogonal, times 0.1, and times the root of the ratio of rows to columns where there are more rows."""
    rows, columns = shape
    return 0.1 * math.sqrt(max(rows / columns, 1)) * orthogonal(rng, rows, columns)


def unit_ramp(units: int) -> Array:
    """From -1/2 to 1/2 over the units."""
    return np.arange(units) / max(units - 1, 1) - 0.5


def head_zigzag(units: int, heads: int) -> Array:
    """From -1 to 1 over each head, squared, with the sign."""
    middle = (units // heads - 1) / 2
    position = (np.arange(units) % (units // heads) - middle) / max(middle, 0.5)
    return position * np.abs(position)


def decays(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """From -5.5 to 0.5 over the units, with a zigzag of 2.5 over each head."""
    return -5.5 + 6 * (unit_ramp(shape[0]) + 0.5) + 2.5 * head_zigzag(shape[0], cell.heads)


def rates(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Around -0.19, rising by 0.4 over all units, with a zigzag of 0.3 over each head."""
    return -0.19 + 0.3 * head_zigzag(shape[0], cell.heads) + 0.4 * unit_ramp(shape[0])


def key_scales(rng: np.random.Generator, shape: Shape) -> Array:
    """From 0.76 to 0.66 over the units."""
    return 0.71 - 0.1 * unit_ramp(shape[0])


def key_rates(rng: np.random.Generator, shape: Shape) -> Array:
    """Constant at 1.02."""
    return np.full(shape, 1.02)


def bonuses(rng: np.random.Generator, shape: Shape) -> Array:
    """Constant at -0.04."""
    return np.full(shape, -0.04)


class RWKV7(zoo.Cell):
    """RWKV-7: a matrix memory that removes what it holds at one key and adds a pair at another.

    The cell is the time mixing of a block. Each head stores a matrix S whose rows are values and whose
    columns are keys. Every step, each column decays by its own factor w. Then the memory at the removal key
    kk, of length one, is reduced at the rate a, which has a value for every column, and the pair of value v
    and key k is added. Every projection reads its own mixture of the input and the previous one. The rows of
    ``mix`` are, in order, for the receptance r, the decay w, the key k, the value v, the rate a and the gate
    g, and the rows of ``Wx`` for r, k and v. Heads have width ``D = H / heads``.

    Equations, for each head::

        xr, xw, xk, xv, xa, xg = x + (past - x) * mix             one row each
        r, k, v = xr Wx[0], xk Wx[1], xv Wx[2]
        w  = exp(-exp(-0.5) * sigmoid(w0 + tanh(xw W1) W2))
        a  = sigmoid(a0 + xa A1 A2)
        g  = sigmoid(xg G1) G2
        kk = k * kappa / |k * kappa|
        k  = k * (1 + (a - 1) * ka)
        S' = S * w - outer(S kk, kk * a) + outer(v, k)
        o  = S' r
        o  = gain * (o - mean(o)) / sqrt(var(o) + 64e-5) + bias
        o  = o + sum(r * k * rho) * v
        y  = (o * g) Wo                                           heads side by side
        past' = x

    For feature i from 0 on, the parameter ``mix (6, I)`` starts at ``1 - (i / I)**p`` with p = 0.2 for r and
    g, 0.9 for w and a, and 0.7 for k and v. ``Wx (3, I, H)`` starts uniform within ``0.5 / sqrt(I)`` of zero,
    and within a tenth of it for k. ``W1 (I, rank)``, ``A1 (I, rank)`` and ``G1 (I, rank)`` start at zero, and
    ``W2 (rank, H)``, ``A2 (rank, H)`` and ``G2 (rank, H)`` orthogonal, times 0.1, and times
    ``sqrt(rank / H)`` where the rank is larger. With p from -1/2 to 1/2 along the units, and z from -1 to 1
    along each head, squared with its sign, ``w0 (H,)`` starts at ``-2.5 + 6 p + 2.5 z``, ``a0 (H,)`` at
    ``-0.19 + 0.4 p + 0.3 z`` and ``kappa (H,)`` at ``0.71 - 0.1 p``. ``ka (H,)`` starts at 1.02, ``rho (H,)``
    at -0.04, ``gain (H,)`` at one, ``bias (H,)`` at zero and ``Wo (H, H)`` orthogonal. The states are
    ``S (heads, D, D)`` and ``past (I,)``, the previous input. The output ``y`` has size H.

    The equations come from ``time_mixing`` in ``RWKV-v7/rwkv_v7_numpy.py`` and ``rwkv_v7_demo_rnn.py``,
    and the initial values from the first layer in ``RWKV-v5/src/model.py`` (``RWKV_Tmix_x070``), all of
    https://github.com/BlinkDL/RWKV-LM. The rule for the rank in this file gives 32 for all three at H = 128.
    """

    name = "rwkv7"
    family = "linear"
    card = zoo.Card(
        title='RWKV-7 "Goose" with Expressive Dynamic State Evolution',
        authors="Bo Peng, Ruichong Zhang, Daniel Goldstein, and others",
        year=2025,
        url="https://arxiv.org/abs/2503.14456",
        variant="This is the time mixing of the first layer of RWKV-7, with token shift, group norm, bonus, "
        "gate and projection.",
        deviations="The channel mixing, layer norms and residual connections belong to the block rwkv, "
        "where the channel mixing has a gate and another initial key matrix. The value of the first layer, "
        "which higher layers mix into their own, is left out. Wx starts as in the constructor of the layer. "
        "The script that prepares training starts it orthogonal. The official code starts Wo at zero, from "
        "which layers without residual connections could not learn. Here it starts orthogonal, and at zero "
        "in the block rwkv. There is one head by default, and the official code has heads of size 64. The "
        "gain of the norm starts at one, and in the official code at a smaller number in lower layers of a "
        "deep model.",
        history="Peng and others published it in 2025. RWKV-6 (rwkv6) adds pairs to a decaying memory. "
        "RWKV-7 generalises the delta rule of DeltaNet (delta_net): the decay and the rate have a value for "
        "every column, and the key at which it removes may differ from the key at which it adds. The paper "
        "shows that it can track states and recognise all regular languages.",
        when_to_use="Use it where the past must be searched by content and old entries must be replaced, "
        "and for tasks that track a state. The state has H² / heads + I elements. It has the token shift, "
        "norm and gate of its paper, so it can be stacked with residual connections. The paper's block has "
        "layer norms and a channel mixing, too.",
        scope="mixer",
        block="rwkv",
        related={
            "rwkv6": "adds pairs without correcting old ones.",
            "rwkv4": "has vector states.",
            "kda": "removes and adds at one key, and has one rate for each head.",
            "gated_delta_product": "makes several corrections at every step.",
        },
    )
    mix = zoo.Param("6", "I", init=mix_fractions, help="shares of the previous input for r, w, k, v, a, g")
    Wx = zoo.Param("3", "I", "H", init=projections, help="mixed inputs to r, k, v")
    w0 = zoo.Param("H", init=decays, help="bias of the decay")
    W1 = zoo.Param("I", "rank", help="mixed input to the low rank of the decay")
    W2 = zoo.Param("rank", "H", init=small_orthogonal, help="low rank to decay")
    a0 = zoo.Param("H", init=rates, help="bias of the rate of removing")
    A1 = zoo.Param("I", "rank", help="mixed input to the low rank of the rate")
    A2 = zoo.Param("rank", "H", init=small_orthogonal, help="low rank to rate")
    G1 = zoo.Param("I", "rank", help="mixed input to the low rank of the gate")
    G2 = zoo.Param("rank", "H", init=small_orthogonal, help="low rank to gate")
    kappa = zoo.Param("H", init=key_scales, help="key to removal key")
    ka = zoo.Param("H", init=key_rates, help="share of the rate in the key")
    rho = zoo.Param("H", init=bonuses, help="bonus of the present pair")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    bias = zoo.Param("H", help="bias of the norm")
    Wo = zoo.Param("H", "H", init="orthogonal", help="gated heads to output")
    S = zoo.State("heads", "H/heads", "H/heads", help="memory: a row for each value, a column for each key")
    past = zoo.State("I", help="the previous input")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    rank = zoo.Option(32, low=1, help="rank of the products for decay, rate and gate")
    gates = zoo.Gates(forget_gate="w")

    def step(self, x: Array, S: Array, past: Array) -> zoo.Output:
        xr, xw, xk, xv, xa, xg = (x + (past - x) * self.mix[part] for part in range(6))
        r, k, v = (each @ self.Wx[part] for part, each in enumerate((xr, xk, xv)))
        w = zoo.exp(-DECAY * zoo.sigmoid(self.w0 + zoo.tanh(xw @ self.W1) @ self.W2))
        a = zoo.sigmoid(self.a0 + (xa @ self.A1) @ self.A2)
        g = zoo.sigmoid(xg @ self.G1) @ self.G2
        kk = (k * self.kappa).reshape(self.heads, 1, -1)
        # The official 1e-12 is the smallest length. Under the root, its gradient is zero and not infinite.
        kk = kk / np.sqrt(np.maximum(np.sum(kk * kk, axis=-1, keepdims=True), 1e-24))
        k = k * (1 + (a - 1) * self.ka)
        r, k, a, rho = (each.reshape(self.heads, 1, -1) for each in (r, k, a, self.rho))
        v = v.reshape(self.heads, -1, 1)
        removed = (S @ kk.swapaxes(1, 2)) * (kk * a)
        S = S * w.reshape(self.heads, 1, -1) - removed + v * k
        o = zoo.layer_norm(S @ r.swapaxes(1, 2), axis=1, eps=64e-5).reshape(-1)
        o = self.gain * o + self.bias
        o = o + (np.sum(r * k * rho, axis=-1, keepdims=True) * v).reshape(-1)
        return zoo.Output((o * g) @ self.Wo, S, x)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register RWKV-7."""
    register(RWKV7)
