"""RWKV-4: averages of values with weights that the keys choose and time fades."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]
# The logarithm of what an empty memory keeps: minus infinity, but for the differences taken from it.
EMPTY = -1e30


def mix_fractions(rng: np.random.Generator, shape: Shape) -> Array:
    """From the last input to this one along the features; receptance hears more of this one."""
    place = np.arange(shape[1]) / shape[1]
    return np.stack([place**0.5, place, place])


def values_only(rng: np.random.Generator, shape: Shape) -> Array:
    """Receptance and keys zero; values orthogonal, larger where there are more of them than of inputs."""
    _, inputs, hidden = shape
    q, r = np.linalg.qr(rng.normal(size=(max(inputs, hidden), min(inputs, hidden))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # so that every rotation is as likely as any other
    weights = np.zeros(shape)
    weights[2] = (q if inputs >= hidden else q.T) * math.sqrt(max(hidden / inputs, 1))
    return weights


def decay_speeds(rng: np.random.Generator, shape: Shape) -> Array:
    """From -5, which hardly forgets, up to 3, which forgets at once."""
    place = np.arange(shape[0]) / max(shape[0] - 1, 1)
    return -5 + 8 * place**0.7


def bonuses(rng: np.random.Generator, shape: Shape) -> Array:
    """The logarithm of 0.3, moved by 0, 1/2 and -1/2 in turn."""
    return math.log(0.3) + 0.5 * ((np.arange(shape[0]) + 1) % 3 - 1)


class RWKV4(zoo.Cell):
    """RWKV-4: a weighted average of values, whose weights are exponentials of keys and decay with time.

    The time mixing of a block. The memory is an average of values with weights that sum up in ``n``, all of
    them divided by ``exp(m)``, the largest weight so far, so that no exponential overflows. Before that,
    every feature of the input is mixed with its value of one step before. The rows of ``mix`` and ``Wx``
    stand in the order receptance r, key k, value v.

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

    Parameters: ``mix (3, I)`` with ``(j / I)`` for feature j from 0 on, its root for r; ``Wx (3, I, H)`` zero
    for r and k, orthogonal for v, times ``sqrt(H / I)`` where H is larger; ``w (H,)`` with
    ``-5 + 8 (j / (H - 1))**0.7``; ``u (H,)`` with ``log(0.3)`` plus 0, 1/2, -1/2 in turn; ``Wo (H, H)``
    orthogonal. States: ``c (H,)``, ``n (H,)`` and ``m (H,)``, the sums and the logarithm of the weight by
    which they are divided, and ``past (I,)``, the input before. Output: ``y``, of size H.

    Equations are those of ``model_run.py``, start that of the first layer in ``model.py``, both of RWKV-v4neo
    in https://github.com/BlinkDL/RWKV-LM. There ``m`` starts at -1e30. From an empty memory on, n and the
    denominator of ``wkv`` are at least one, and the cell keeps the latter so in states that it cannot reach.
    """

    name = "rwkv4"
    family = "linear"
    card = zoo.Card(
        title="RWKV: Reinventing RNNs for the Transformer Era",
        authors="Bo Peng, Eric Alcaide, Quentin Anthony, and others",
        year=2023,
        url="https://arxiv.org/abs/2305.13048",
        variant="Time mixing of RWKV-4 with token shift and the stabilised recurrence; the paper's w is "
        "exp(w) here, as in the official code.",
        deviations="No channel mixing, no layer norm and residual connection around. The official code "
        "starts Wo at zero, from where layers without residual connections could not learn; here it is "
        "orthogonal.",
        scope="mixer",
    )
    mix = zoo.Param("3", "I", init=mix_fractions, help="share of this input, not the one before, in r, k, v")
    Wx = zoo.Param("3", "I", "H", init=values_only, help="mixed inputs to r, k, v")
    w = zoo.Param("H", init=decay_speeds, help="logarithm of the decay of the logarithm of a weight")
    u = zoo.Param("H", init=bonuses, help="added to the present key, while it is the present one")
    Wo = zoo.Param("H", "H", init="orthogonal", help="average of values to output")
    c = zoo.State("H", help="weighted sum of values")
    n = zoo.State("H", help="sum of the weights")
    m = zoo.State("H", help="logarithm of the largest weight, by which c and n are divided")
    past = zoo.State("I", help="the input before")
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
