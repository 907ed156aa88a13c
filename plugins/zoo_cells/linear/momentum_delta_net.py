"""Momentum DeltaNet: the gated delta rule by gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import l2_normalised
from zoo_cells.linear.gated_delta_net import rates

Array = Any


def logs_below_four(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Logarithms of numbers that are uniform between 0 and 4."""
    return np.log(4 * (1 - rng.uniform(size=shape)))


def logs_below_one(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Logarithms of numbers that are uniform between 0 and 1."""
    return np.log(1 - rng.uniform(size=shape))


class MomentumDeltaNet(zoo.Cell):
    """Momentum DeltaNet: ``gated_delta_net`` whose corrections pass through a decaying momentum.

    Each head stores a matrix S that maps keys to values, and the momentum P of its corrections. A correction
    therefore acts on later steps, too. Memory and momentum together may oscillate, and the gates damp them:
    ``alpha + beta`` is at most one, so that a memory that writes much also forgets much. The parts of the
    input product are, in order, the query q, the key k and the value v, each ``heads`` times ``D = H /
    heads``, and the parts of the gates are a, m, w and e, one of each for each head.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q  = q - exp(d) * k
        q, k = q / |q|, k / |k|
        a, m, w, e = x Wg
        eta = 1 + tanh(e / sqrt(I))
        odds = (exp(f) * eta)**2
        alpha = exp(-exp(A) * softplus(a + ba)) / (1 + odds)
        beta = sigmoid(w) * odds / (1 + odds)
        mu = exp(max(-exp(Am) * softplus(m + bm), min_log_mu))
        P' = mu * P + outer(k, eta * (v - alpha * k S))
        S' = alpha * S + beta * P'
        y  = (q S') / sqrt(D)

    The parameters ``Wx (I, 3H)`` and ``Wg (I, 4 heads)`` start uniform within one over the root of I.
    ``A (heads,)`` and ``Am (heads,)`` start as logarithms of numbers that are uniform between 0 and 16,
    ``f (heads,)`` between 0 and 4, and ``d (heads,)`` between 0 and 1. ``ba (heads,)`` and ``bm (heads,)``
    start such that their softplus is between 0.001 and 0.1, uniform in the logarithm. The states are
    ``S (heads, D, D)``, which maps keys to values, and the momentum ``P (heads, D, D)``. The output ``y`` has
    size H and holds the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from the code of the authors
    (https://github.com/HuuYuLong/MomentumDeltaNet, ``fla/layers/momentum_deltanet.py`` and
    ``fla/ops/momentum_delta_rule/naive.py``), including the constant ``1e-6`` under the root of the lengths.
    Its momentum has the other sign.
    """

    name = "momentum_delta_net"
    family = "linear"
    card = zoo.Card(
        title="MDN: Parallelizing Stepwise Momentum for Delta Linear Attention",
        authors="Yulong Huang, Xiang Liu, Hongxiang Huang, Xiaopeng Lin, Zunchang Liu, Xiaowen Chu, "
        "Zeke Xie, Bojun Cheng",
        year=2026,
        url="https://arxiv.org/abs/2605.05838",
        variant="This is the recurrence with the constraints of the gates and with the feedback from the "
        "output of Comba (comba). Keys, queries and values pass through silu, keys and queries are "
        "normalised to length one, and the output is scaled.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, sigmoid output gate and projection after it are left out, and "
        "the block deltanet has no gate. Values are as wide as keys, where the official layer has values "
        "twice as wide. The biases ba and bm are drawn independently, where the official code starts both "
        "at the same numbers. There is one head by default, and the official layer has six of size 256.",
        history="Huang, Liu and others published it in 2026. Titans (titans) had a momentum in 2024, and its "
        "authors took several gradients at one memory to compute them in parallel. Momentum DeltaNet takes "
        "one at every step, and its authors reorder the sums so that a chunk can be computed at once.",
        when_to_use="Use it in place of gated_delta_net or comba to see what momentum changes. The state has "
        "2 H² / heads elements, so memory and time grow with H². With a min_log_mu nearer to zero, the "
        "momentum lasts longer at least. The authors use -1 in their model of 1.3 billion parameters.",
        trainability="It learns slowly without the norm that follows it in a block.",
        block="deltanet",
        related={
            "gated_delta_net": "has no momentum.",
            "titans": "has a momentum too, and gates that do not keep it stable.",
            "comba": "subtracts a share of the key from the query, too, and has no momentum.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wg = zoo.Param("I", "4*heads", init="fan_in_uniform", help="input to the gates alpha, mu, beta and eta")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of forgetting")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of forgetting")
    Am = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of the momentum")
    bm = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of the momentum")
    f = zoo.Param("heads", init=logs_below_four, help="logarithm of the factor between eta and the odds")
    d = zoo.Param("heads", init=logs_below_one, help="logarithm of the share of the key in the query")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    P = zoo.State("heads", "H/heads", "H/heads", help="momentum of the corrections")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    min_log_mu = zoo.Option(-2.0, high=0.0, help="smallest logarithm of the decay of the momentum")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array, P: Array) -> zoo.Output:
        q, k, v = (part.reshape(self.heads, 1, -1) for part in zoo.split(zoo.silu(x @ self.Wx), 3))
        q = l2_normalised(q - zoo.exp(self.d).reshape(self.heads, 1, 1) * k)
        k = l2_normalised(k)
        a, m, w, e = zoo.split(x @ self.Wg, 4)
        eta = 1 + zoo.tanh(e / np.sqrt(x.shape[-1]))
        odds = (zoo.exp(self.f) * eta) ** 2
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(a + self.ba)) / (1 + odds)
        beta = zoo.sigmoid(w) * odds / (1 + odds)
        mu = zoo.exp(np.maximum(-zoo.exp(self.Am) * zoo.softplus(m + self.bm), self.min_log_mu))
        alpha, beta, mu, eta = (gate.reshape(self.heads, 1, 1) for gate in (alpha, beta, mu, eta))
        P = mu * P + k.swapaxes(1, 2) * (eta * (v - alpha * (k @ S)))
        S = alpha * S + beta * P
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S, P)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Momentum DeltaNet."""
    register(MomentumDeltaNet)
