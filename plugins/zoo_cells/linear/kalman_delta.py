"""Kalman delta networks: a delta rule whose write is the gain of a Kalman filter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, logs_of_rates
from zoo_cells.linear._norms import l2_normalised

Array = Any
# The smallest precision before the first step, and the smallest observation noise.
LOWEST, NOISE = 0.1, 0.01
# The smallest variance, for inputs so large that both of its terms are zero: its logarithm is finite.
TINY = 1e-12


def one_in_all(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Such that its softplus plus 0.1 is one."""
    return np.full(shape, math.log(math.expm1(1 - LOWEST)))


class KalmanDelta(zoo.Cell):
    """Diagonal Kalman delta network: ``kda`` that writes more where its memory is uncertain.

    Each row of the memory, that is each element of the keys, has a precision: how certain the stored value
    is. It falls as the row decays and with the process noise, and rises when a key reads the row. The delta
    rule then writes along the gain of a Kalman filter in place of the key, so that a row that was written
    often changes little. The parts of the input product are, in order, the query q, the key k and the value
    v, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        alpha = exp(-exp(A) * softplus((x Wa) Wr + b))
        omega = softplus((x Wn) Ws + bn)
        r  = softplus(x Wo + bo) + 0.01
        c0 = softplus(prior) + 0.1
        p  = max(alpha * alpha / (c0 * exp(m)) + omega, 1e-12)
        gain = p * k / (r + sum(p * k * k))
        m' = log((1 / p + D * k * k / r) / c0)
        S' = alpha[:, None] * S
        S' = S' + outer(gain, v - k S')
        y  = (q S') / sqrt(D)

    The parameters ``Wx (I, 3H)``, ``Wa (I, D)``, ``Wr (D, H)``, ``Wn (I, D)`` and ``Wo (I, heads)`` start
    uniform within one over the root of their first size, and ``Ws (D, H)``, ``bn (H,)`` and ``bo (heads,)``
    at zero. ``A (heads,)`` starts as the logarithm of a number that is uniform between 1 and 16. ``b (H,)``
    starts such that its softplus is between 0.001 and 0.1, uniform in the logarithm. ``prior (heads,)``
    starts such that c0, the precision before the first step, is one. The states are ``S (heads, D, D)``,
    which maps keys to values, and ``m (heads, D)``, the logarithm of the precision over c0. The output ``y``
    has size H and holds the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from the code of the authors
    (https://github.com/ngocbh/kalman-delta-networks, ``lit_gpt/diag_kdn.py`` and
    ``lit_gpt/kdn_ops/diag_kdn_naive.py``), which stores the precision itself and has no lower bound for p.
    Here p is at least ``1e-12``. The lengths have the constant ``1e-6`` of ``kda`` under the root.
    """

    name = "kalman_delta"
    family = "linear"
    card = zoo.Card(
        title="Kalman Delta Networks: Uncertainty-aware Associative Memory",
        authors="Ngoc Bui, Tinglin Huang, Rex Ying",
        year=2026,
        url="https://arxiv.org/abs/2609.07816",
        variant="This is the diagonal network, with one precision for each row of the memory. Keys, queries "
        "and values pass through silu, keys and queries are normalised to length one, and the output is "
        "scaled.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, sigmoid output gate and projection after it are left out, and "
        "the block deltanet has no gate. The bias of the observation noise starts at zero, where nn.Linear "
        "in the official code draws it within 1 / sqrt(I) of zero. There is one head by default, and the "
        "official layer has 18 of size 128. The isotropic network, with one precision for each head, is left "
        "out.",
        history="Bui, Huang and Ying published it in September 2026. They show that the delta rule is a "
        "Kalman filter of the memory that does not track its covariance. Gated KalmaNet (Peng and others "
        "2025) keeps the full covariance, and mesa_net solves a ridge regression at every step.",
        when_to_use="Use it in place of kda where some inputs should count more than others, or to read from "
        "the precision how certain the memory is. The state has H² / heads + H elements, so memory and time "
        "grow with H². The paper's block has a short convolution, a norm and a gate around it, and this cell "
        "is the recurrence alone.",
        block="deltanet",
        related={
            "kda": "has a rate of writing that depends on the input alone.",
            "mesa_net": "solves for the best memory at every step.",
            "gated_delta_net2": "has separate gates for erasing and writing.",
            "precond_kda": "divides what it writes by a decaying sum of squares of the keys.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wa = zoo.Param("I", "H/heads", init="fan_in_uniform", help="input to the low rank of the forget gates")
    Wr = zoo.Param("H/heads", "H", init="fan_in_uniform", help="low rank to forget gates")
    b = zoo.Param("H", init=inverse_softplus_log_uniform, help="bias of the forget gates")
    A = zoo.Param("heads", init=logs_of_rates, help="logarithm of the scale of the rates of forgetting")
    Wn = zoo.Param("I", "H/heads", init="fan_in_uniform", help="input to the low rank of the process noise")
    Ws = zoo.Param("H/heads", "H", help="low rank to process noise")
    bn = zoo.Param("H", help="bias of the process noise")
    Wo = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the observation noise")
    bo = zoo.Param("heads", help="bias of the observation noise")
    prior = zoo.Param("heads", init=one_in_all, help="precision before the first step, before a softplus")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    m = zoo.State("heads", "H/heads", help="logarithm of the precision over its first value")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    gates = zoo.Gates(forget_gate="alpha")

    def step(self, x: Array, S: Array, m: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        speeds = zoo.softplus((x @ self.Wa) @ self.Wr + self.b).reshape(self.heads, -1)
        alpha = zoo.exp(-zoo.exp(self.A)[:, None] * speeds)
        omega = zoo.softplus((x @ self.Wn) @ self.Ws + self.bn).reshape(self.heads, -1)
        r = (zoo.softplus(x @ self.Wo + self.bo) + NOISE)[:, None]
        c0 = (zoo.softplus(self.prior) + LOWEST)[:, None]
        p = np.maximum(alpha * alpha / (c0 * zoo.exp(m)) + omega, TINY)
        row = k[:, 0]
        squares = row * row
        gain = p * row / (r + np.sum(p * squares, axis=-1, keepdims=True))
        m = zoo.log((1 / p + m.shape[-1] * squares / r) / c0)
        S = alpha[:, :, None] * S
        S = S + gain[:, :, None] * (v - k @ S)
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S, m)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the Kalman delta network."""
    register(KalmanDelta)
