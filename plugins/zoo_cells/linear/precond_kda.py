"""Preconditioned Kimi delta attention: ``kda`` with a rate of writing for each row of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, logs_of_rates
from zoo_cells.linear._norms import l2_normalised
from zoo_cells.linear._preconditioner import fixed_centre, preconditioner

Array = Any


class PrecondKDA(zoo.Cell):
    """Preconditioned Kimi delta attention: ``kda`` that writes less to rows that keys have used often.

    The delta rule is a step of gradient descent on the error of the memory at a key. Here the step is divided
    by an estimate of the curvature of this error. The curvature of a row is the decaying sum G of the squares
    of an element of the keys. A squashing function maps it to factors c between ``1 / squash`` and
    ``squash``. The parts of the input product are, in order, the query q, the key k and the value v, each
    ``heads`` times ``D = H / heads``, and the parts of the gates of G are a and w, one of each for each head.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        a, w = x Wg
        G' = exp(-exp(Ag) * softplus(a + bg)) * G + sigmoid(w) * k * k
        r  = log(G' + 1e-6) - centre
        c  = squash**(-r / (1 + |r|))
        beta = sigmoid(x Wb)
        alpha = exp(-exp(A) * softplus((x Wa) Wr + b))
        S' = alpha[:, None] * S
        S' = S' + outer(c * k, beta * (v - k S'))
        y  = (q S') / sqrt(D)

    The parameters ``Wx (I, 3H)``, ``Wb (I, heads)``, ``Wg (I, 2 heads)``, ``Wa (I, D)`` and ``Wr (D, H)``
    start uniform within one over the root of their first size. ``A (heads,)`` and ``Ag (heads,)`` start as
    logarithms of numbers that are uniform between 1 and 16, ``b (H,)`` at zero, and ``centre (heads,)`` at
    -0.2. ``bg (heads,)`` starts such that its softplus is between 0.001 and 0.1, uniform in the logarithm.
    The states are ``S (heads, D, D)``, which maps keys to values, and ``G (heads, D)``. A negative G counts
    as zero. The output ``y`` has size H and holds the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from ``PrecondKDA`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/precond_kda.py`` and
    ``fla/ops/precond_kda/naive.py``), including the constant ``1e-6`` under the root of the lengths. The same
    parts of the layer are left out as in ``kda``.
    """

    name = "precond_kda"
    family = "linear"
    card = zoo.Card(
        title="Preconditioned DeltaNet: Curvature-aware Sequence Modeling for Linear Recurrences",
        authors="Neehal Tumma, Noel Loo, Daniela Rus",
        year=2026,
        url="https://arxiv.org/abs/2604.21100",
        variant="This is the variant of Kimi delta attention, with a forget gate for each row, one rate of "
        "writing for each head, and a diagonal preconditioner.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, sigmoid output gate and projection after it are left out, and "
        "the block deltanet has no gate. The cell has one head by default, as other cells have, and the "
        "library has 16 of size 128. The optional lower bound of the gate is left out. The option of "
        "rates of writing up to two is left out, too, because the memory is not stable with it (entry 11 of "
        "docs/errata.md).",
        history="Tumma, Loo and Rus published it in 2026. They show that linear attention equals the delta "
        "rule if both are preconditioned exactly, and approximate the preconditioner by a diagonal. "
        "MesaNet (mesa_net) solves the exact problem at every step, and Kalman delta networks "
        "(kalman_delta) of the same year follow the precision of each row.",
        when_to_use="Use it in place of kda where some elements of the keys are much larger than others. "
        "The state has H² / heads + H elements, so memory and time grow with H². The paper's block has a "
        "short convolution, a norm and a gate around it, and this cell is the recurrence alone.",
        trainability="It learns slowly without the norm that follows it in a block.",
        block="deltanet",
        related={
            "kda": "has no preconditioner.",
            "kalman_delta": "has a rate of writing for each row, from the gain of a Kalman filter.",
            "mesa_net": "solves the problem that a preconditioner makes easier.",
            "precond_gated_delta_net": "has one forget gate for each head.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the rate of writing")
    Wa = zoo.Param("I", "H/heads", init="fan_in_uniform", help="input to the low rank of the forget gates")
    Wr = zoo.Param("H/heads", "H", init="fan_in_uniform", help="low rank to forget gates")
    b = zoo.Param("H", help="bias of the forget gates")
    A = zoo.Param("heads", init=logs_of_rates, help="logarithm of the scale of the rates of forgetting")
    Wg = zoo.Param("I", "2*heads", init="fan_in_uniform", help="input to the gates of the preconditioner")
    bg = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the decay of G")
    Ag = zoo.Param("heads", init=logs_of_rates, help="logarithm of the scale of the rate of the decay of G")
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
        a, w = zoo.split(x @ self.Wg, 2)
        decay = zoo.exp(-zoo.exp(self.Ag) * zoo.softplus(a + self.bg))
        G = decay[:, None] * G + zoo.sigmoid(w)[:, None] * k[:, 0] ** 2
        c = preconditioner(G, self.centre[:, None], self.squash)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        speeds = zoo.softplus((x @ self.Wa) @ self.Wr + self.b).reshape(self.heads, -1)
        alpha = zoo.exp(-zoo.exp(self.A)[:, None] * speeds)
        S = alpha[:, :, None] * S
        S = S + (c * k[:, 0])[:, :, None] * (beta * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S, G)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register preconditioned Kimi delta attention."""
    register(PrecondKDA)
