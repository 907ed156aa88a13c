"""Kimi delta attention: the gated delta rule with a forget gate for each row of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, logs_of_rates
from zoo_cells.linear._norms import l2_normalised

Array = Any


class KDA(zoo.Cell):
    """Kimi delta attention: ``gated_delta_net`` in which each row of the memory decays at its own rate.

    Each head stores a matrix that maps keys to values. Every row of it, that is every element of the keys,
    has a forget gate, where Gated DeltaNet has one gate for each head. The gates come from a product of low
    rank. The parts of the input product are, in order, the query q, the key k and the value v, each ``heads``
    times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        alpha = exp(-exp(A) * softplus((x Wa) Wr + b))
        S' = alpha[:, None] * S
        S' = S' + outer(k, beta * (v - k S'))
        y  = (q S') / sqrt(D)

    With ``negative_eigenvalues``, the rate of writing is ``2 beta``, so that a key can change the sign of the
    value that it finds.

    The parameters ``Wx (I, 3H)``, ``Wb (I, heads)``, ``Wa (I, D)`` and ``Wr (D, H)`` start uniform within one
    over the root of their first size. ``A (heads,)`` starts as the logarithm of a number that is uniform
    between 1 and 16. ``b (H,)`` starts such that its softplus is between 0.001 and 0.1, uniform in the
    logarithm. The state ``S (heads, D, D)`` maps keys to values. The output ``y`` has size H and holds the
    heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from ``KimiDeltaAttention``
    in https://github.com/fla-org/flash-linear-attention (``fla/layers/kda.py``, ``fla/ops/kda/naive.py`` and
    ``gate.py``), including its constant ``1e-6`` under the root of the lengths. The same parts of the layer
    are left out as in ``gated_delta_net``.
    """

    name = "kda"
    family = "linear"
    card = zoo.Card(
        title="Kimi Linear: An Expressive, Efficient Attention Architecture",
        authors="Yu Zhang, Zongyu Lin, Xingcheng Yao, and others",
        year=2025,
        url="https://arxiv.org/abs/2510.26692",
        variant="This is Kimi delta attention with a low-rank gate for each row, and one rate of writing "
        "for each head. Keys, queries and values pass through silu, keys and queries are normalised to "
        "length one, and the output is scaled.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, sigmoid output gate and projection after it are left out, and "
        "the block deltanet has no gate. The cell has one head by default, as other cells have, and the "
        "library has 16 of size 128. The optional lower bound of the gate is left out.",
        history="The Kimi team published it in 2025 as the linear layer of Kimi Linear, a hybrid with full "
        "attention of 48 billion parameters, of which 3 billion are active. It extends Gated DeltaNet "
        "(gated_delta_net) by a finer gate, as GLA (gla) has one. Gated DeltaNet 2 (gated_delta_net2) "
        "separates erasing from writing in turn.",
        when_to_use="Use it in place of gated_delta_net where parts of the memory should fade at different "
        "speeds. The state has H² / heads elements, so memory and time grow with H². The paper's block has "
        "a short convolution, a norm and a gate around it, and this cell is the recurrence alone. Set "
        "negative_eigenvalues for tasks that track a state, such as parity.",
        trainability="It learns slowly without the norm that follows it in a block.",
        block="deltanet",
        related={
            "gated_delta_net": "has one forget gate for each head.",
            "gated_delta_net2": "has separate gates for erasing and writing, too.",
            "kalman_delta": "has a rate of writing that depends on how certain the memory is.",
            "gla": "has the same kind of gate and no correction.",
            "rwkv7": "has a rate for each row and may remove and add at different keys.",
            "precond_kda": "writes less to rows that keys have used often.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the rate of writing")
    Wa = zoo.Param("I", "H/heads", init="fan_in_uniform", help="input to the low rank of the forget gates")
    Wr = zoo.Param("H/heads", "H", init="fan_in_uniform", help="low rank to forget gates")
    b = zoo.Param("H", init=inverse_softplus_log_uniform, help="bias of the forget gates")
    A = zoo.Param("heads", init=logs_of_rates, help="logarithm of the scale of the rates of forgetting")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    negative_eigenvalues = zoo.Option(False, help="whether the rate of writing goes up to two, not one")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        rate = 2 * beta if self.negative_eigenvalues else beta
        speeds = zoo.softplus((x @ self.Wa) @ self.Wr + self.b).reshape(self.heads, -1)
        alpha = zoo.exp(-zoo.exp(self.A)[:, None] * speeds)
        S = alpha[:, :, None] * S
        S = S + k.swapaxes(1, 2) * (rate * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Kimi delta attention."""
    register(KDA)
