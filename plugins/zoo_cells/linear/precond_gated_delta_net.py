"""Preconditioned Gated DeltaNet: ``gated_delta_net`` with a rate of writing for each row of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import l2_normalised
from zoo_cells.linear._preconditioner import fixed_centre, preconditioner
from zoo_cells.linear.gated_delta_net import rates

Array = Any


class PrecondGatedDeltaNet(zoo.Cell):
    """Preconditioned Gated DeltaNet: ``gated_delta_net`` that writes less to rows that keys have used often.

    The delta rule is a step of gradient descent on the error of the memory at a key. Here the step is divided
    by an estimate of the curvature of this error, as in ``precond_kda``, and the whole memory of a head
    decays at one rate. The parts of the input product are, in order, the query q, the key k and the value v,
    each ``heads`` times ``D = H / heads``, and the parts of the gates are a, s, e and w, one of each for each
    head.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        a, s, e, w = x Wg
        G' = exp(-exp(Ag) * softplus(e + bg)) * G + sigmoid(w) * k * k
        r  = log(G' + 1e-6) - centre
        c  = squash**(-r / (1 + |r|))
        beta = sigmoid(s)
        alpha = exp(-exp(A) * softplus(a + b))
        S' = alpha * S
        S' = S' + outer(c * k, beta * (v - k S'))
        y  = (q S') / sqrt(D)

    The parameters ``Wx (I, 3H)`` and ``Wg (I, 4 heads)`` start uniform within one over the root of I.
    ``A (heads,)`` and ``Ag (heads,)`` start as logarithms of numbers that are uniform between 0 and 16, and
    ``centre (heads,)`` at -0.2. ``b (heads,)`` and ``bg (heads,)`` start such that their softplus is between
    0.001 and 0.1, uniform in the logarithm. The states are ``S (heads, D, D)``, which maps keys to values,
    and ``G (heads, D)``. A negative G counts as zero. The output ``y`` has size H and holds the heads side by
    side.

    Equations, initial values and defaults, except for the number of heads, come from ``PrecondGatedDeltaNet``
    in https://github.com/fla-org/flash-linear-attention (``fla/layers/precond_gated_deltanet.py`` and
    ``fla/ops/precond_gated_delta_rule/naive.py``), with the constant ``1e-6`` of its kernels under the root
    of the lengths. The same parts of the layer are left out as in ``gated_delta_net``.
    """

    name = "precond_gated_delta_net"
    family = "linear"
    card = zoo.Card(
        title="Preconditioned DeltaNet: Curvature-aware Sequence Modeling for Linear Recurrences",
        authors="Neehal Tumma, Noel Loo, Daniela Rus",
        year=2026,
        url="https://arxiv.org/abs/2604.21100",
        variant="This is the variant of Gated DeltaNet, with one forget gate and one rate of writing for "
        "each head, and a diagonal preconditioner.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, output gate and projection after it are left out, and the "
        "block deltanet has no gate. Values are as wide as keys, where the official layer has values twice "
        "as wide. There is one head by default, and the official layer has six of size 256. Rates of writing "
        "up to two are left out, because the memory is not stable with them (entry 11 of docs/errata.md).",
        history="Tumma, Loo and Rus published it in 2026. They show that linear attention equals the delta "
        "rule if both are preconditioned exactly, and approximate the preconditioner by a diagonal. The "
        "paper has such variants of DeltaNet, Gated DeltaNet and Kimi delta attention (precond_kda).",
        when_to_use="Use it in place of gated_delta_net where some elements of the keys are much larger than "
        "others. "
        "The state has H² / heads + H elements, so memory and time grow with H². The paper's block has a "
        "short convolution, a norm and a gate around it, and this cell is the recurrence alone.",
        trainability="It learns slowly without the norm that follows it in a block.",
        block="deltanet",
        related={
            "gated_delta_net": "has no preconditioner.",
            "precond_kda": "has a forget gate for each row.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wg = zoo.Param("I", "4*heads", init="fan_in_uniform", help="input to the gates of S and of G")
    b = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the decay of S")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of the decay of S")
    bg = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the decay of G")
    Ag = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of the decay of G")
    centre = zoo.Param("heads", init=fixed_centre, help="logarithm of the sum of squares at which c is one")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    G = zoo.State("heads", "H/heads", help="decaying sum of the squares of the keys")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    squash = zoo.Option(1.5, low=1.0, high=2.0, help="largest factor of the preconditioner")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array, G: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        a, s, e, w = zoo.split(x @ self.Wg, 4)
        decay = zoo.exp(-zoo.exp(self.Ag) * zoo.softplus(e + self.bg))
        G = decay[:, None] * G + zoo.sigmoid(w)[:, None] * k[:, 0] ** 2
        c = preconditioner(G, self.centre[:, None], self.squash)
        beta = zoo.sigmoid(s).reshape(self.heads, 1, 1)
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(a + self.b))
        S = alpha[:, None, None] * S
        S = S + (c * k[:, 0])[:, :, None] * (beta * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S, G)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register preconditioned Gated DeltaNet."""
    register(PrecondGatedDeltaNet)
