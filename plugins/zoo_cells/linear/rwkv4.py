"""RWKV-4: averages of values with weights that depend on keys and decay with time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import orthogonal

Array = Any
Shape = tuple[int, ...]
# The logarithm of the weight of an empty memory: minus infinity, except that differences must be finite.
EMPTY = -1e30


def mix_fractions(rng: np.random.Generator, shape: Shape) -> Array:
    """Along the features from the previous input to the present one, with more of the present one for r."""
    position = np.arange(shape[1]) / shape[1]
    return np.stack([position**0.5, position, position])


def values_only(rng: np.random.Generator, shape: Shape) -> Array:
    """Zero for r and k, orthogonal for v, times ``sqrt(H / I)`` where H is larger."""
    _, inputs, hidden = shape
    weights = np.zeros(shape)
    weights[2] = orthogonal(rng, inputs, hidden) * math.sqrt(max(hidden / inputs, 1))
    return weights


def decay_speeds(rng: np.random.Generator, shape: Shape) -> Array:
    """From -5, which hardly forgets, up to 3, which forgets at once, along the units."""
    position = np.arange(shape[0]) / max(shape[0] - 1, 1)
    return -5 + 8 * position**0.7


def bonuses(rng: np.random.Generator, shape: Shape) -> Array:
    """The logarithm of 0.3 plus 0, 1/2 and -1/2 in turn."""
    return math.log(0.3) + 0.5 * ((np.arange(shape[0]) + 1) % 3 - 1)


class RWKV4(zoo.Cell):
    """RWKV-4: a weighted average of values, whose weights are exponentials of keys and decay with time.

    The cell is the time mixing of a block. The memory is an average of values with weights whose sum is
    ``n``, all divided by ``exp(m)``, the largest weight so far, so that no exponential overflows. First,
    every feature of the input is mixed with its value at the previous step. The rows of ``mix`` and ``Wx``
    are, in order, the receptance r, the key k and the value v.

    Equations::

        xr, xk, xv = mix * x + (1 - mix) * past          one row each
        r, k, v = xr Wx[0], xk Wx[1], xv Wx[2]
        top = max(m, u + k)                   m is minus infinity where n = 0: an empty memory has no weight
        wkv = (exp(m - top) * c + exp(u + k - top) * v) / (exp(m - top) * n + exp(u + k - top))
        y  = (sigmoid(r) * wkv) Wo
        m' = max(m - exp(w), k)
        c' = exp(m - exp(w) - m') * c + exp(k - m') * v
        n' = exp(m - exp(w) - m') * n + exp(k - m')
        past' = x

    The parameter ``mix (3, I)`` starts at ``(j / I)`` for feature j from 0 on, and at its root for r.
    ``Wx (3, I, H)`` starts at zero for r and k, and orthogonal for v, times ``sqrt(H / I)`` where H is
    larger. ``w (H,)`` starts at ``-5 + 8 (j / (H - 1))**0.7``, ``u (H,)`` at ``log(0.3)`` plus 0, 1/2, -1/2
    in turn, and ``Wo (H, H)`` orthogonal. The states are ``c (H,)`` and ``n (H,)``, the two sums, ``m (H,)``,
    the logarithm of the weight by which they are divided, and ``past (I,)``, the previous input. The output
    ``y`` has size H.

    The equations are taken from ``model_run.py``, and the initial values from the first layer in
    ``model.py``, both of RWKV-v4neo in https://github.com/BlinkDL/RWKV-LM. There, ``m`` starts at -1e30.
    Starting from an empty memory, n and the denominator of ``wkv`` are at least one. The cell also keeps the
    denominator at least one in states that no sequence reaches.
    """

    name = "rwkv4"
    family = "linear"
    card = zoo.Card(
        title="RWKV: Reinventing RNNs for the Transformer Era",
        authors="Bo Peng, Eric Alcaide, Quentin Anthony, and others",
        year=2023,
        url="https://arxiv.org/abs/2305.13048",
        variant="This is the time mixing of RWKV-4 with token shift and the stabilised recurrence. The w of "
        "the paper is exp(w) here, as in the official code.",
        deviations="The channel mixing, layer norm and residual connection are left out. The official code "
        "starts Wo at zero, from which layers without residual connections could not learn. Here it starts "
        "orthogonal, and at zero in the block rwkv.",
        history="Peng and others published it in 2023. Its weights of values take the place of attention "
        "and decay at a trained rate for each unit. The paper trains models of up to tens of billions of "
        "parameters. RWKV-5 and RWKV-6 (rwkv5, rwkv6, 2024) have matrix states, and RWKV-6 has rates that "
        "depend on the input.",
        when_to_use="Use it for a cheap average over the past with exponential weights: the state has 3H + "
        "I elements. The decay does not depend on the input, so it cannot drop the past at a boundary. It "
        "is the time mixing of a block with its projection out. The paper's block has layer norms, residual "
        "connections and a channel mixing, too.",
        scope="mixer",
        block="rwkv",
        related={
            "rwkv5": "has a matrix memory, without a normaliser.",
            "rwkv6": "has a matrix memory and decay rates that depend on the input.",
            "rwkv7": "has a matrix memory that it corrects by a delta rule.",
            "retnet": "has a matrix memory and fixed decay rates.",
            "gla": "has a matrix memory and decay rates that depend on the input.",
            "matrix_lstm": "has a matrix memory, exponential weights and the same stabiliser.",
        },
    )
    mix = zoo.Param(
        "3",
        "I",
        init=mix_fractions,
        help="share of the present input in r, k, v. The rest comes from the previous one",
    )
    Wx = zoo.Param("3", "I", "H", init=values_only, help="mixed inputs to r, k, v")
    w = zoo.Param("H", init=decay_speeds, help="logarithm of the decay of the logarithm of a weight")
    u = zoo.Param("H", init=bonuses, help="bonus of the present key")
    Wo = zoo.Param("H", "H", init="orthogonal", help="average of values to output")
    c = zoo.State("H", help="weighted sum of values")
    n = zoo.State("H", help="sum of the weights")
    m = zoo.State("H", help="logarithm of the largest weight, by which c and n are divided")
    past = zoo.State("I", help="the previous input")
    gates = zoo.Gates(input_gate="new", forget_gate="old", output_gate="sigmoid_r")

    def step(self, x: Array, c: Array, n: Array, m: Array, past: Array) -> zoo.Output:
        mixed = self.mix * x + (1 - self.mix) * past
        r, k, v = (mixed[part] @ self.Wx[part] for part in range(3))
        m = np.where(n == 0, EMPTY, m)
        top = np.maximum(m, self.u + k)
        old, new = zoo.exp(m - top), zoo.exp(self.u + k - top)
        wkv = (old * c + new * v) / np.maximum(old * n + new, 1.0)
        faded = m - zoo.exp(self.w)
        m = np.maximum(faded, k)
        old, new = zoo.exp(faded - m), zoo.exp(k - m)
        return zoo.Output((zoo.sigmoid(r) * wkv) @ self.Wo, old * c + new * v, old * n + new, m, x)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register RWKV-4."""
    register(RWKV4)
