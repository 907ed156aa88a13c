"""Gated DeltaNet 2: the delta rule with separate gates for erasing and writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform, logs_of_rates
from zoo_cells.linear._norms import l2_normalised

Array = Any


class GatedDeltaNet2(zoo.Cell):
    """Gated DeltaNet 2: ``kda`` with one gate for erasing along the key and one for writing along the value.

    The delta rule has one rate for both halves of a correction. Here the erase gate e has a value for each
    element of the key and the write gate w one for each element of the value, so that the cell can erase
    without writing. The parts of the input product are, in order, the query q, the key k and the value v,
    each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        e, w = sigmoid(x We), sigmoid(x Ww)
        alpha = exp(-exp(A) * softplus((x Wa) Wr + b))
        S' = alpha[:, None] * S
        S' = S' + outer(k, w * v - (e * k) S')
        y  = (q S') / sqrt(D)

    With ``negative_eigenvalues``, the erase gate is ``2 e``.

    The parameters ``Wx (I, 3H)``, ``We (I, H)``, ``Ww (I, H)``, ``Wa (I, D)`` and ``Wr (D, H)`` start uniform
    within one over the root of their first size. ``A (heads,)`` starts as the logarithm of a number that is
    uniform between 1 and 16. ``b (H,)`` starts such that its softplus is between 0.001 and 0.1, uniform in
    the logarithm. The state ``S (heads, D, D)`` maps keys to values. The output ``y`` has size H and holds
    the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from
    https://github.com/fla-org/flash-linear-attention (``fla/layers/gdn2.py`` and ``fla/ops/gdn2/naive.py``),
    including its constant ``1e-6`` under the root of the lengths. The same parts of the layer are left out as
    in ``gated_delta_net``.
    """

    name = "gated_delta_net2"
    family = "linear"
    card = zoo.Card(
        title="Gated DeltaNet-2: Decoupling Erase and Write in Linear Attention",
        authors="Ali Hatamizadeh, Yejin Choi, Jan Kautz",
        year=2026,
        url="https://arxiv.org/abs/2605.22791",
        variant="This is the layer of flash-linear-attention. Keys, queries and values pass through silu, "
        "keys and queries are normalised to length one, and the output is scaled.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, sigmoid output gate and projection after it are left out, and "
        "the block deltanet has no gate. The cell has one head by default, as other cells have, and the "
        "library has 16 of size 128.",
        history="Hatamizadeh, Choi and Kautz published it in 2026. Gated DeltaNet (gated_delta_net, 2024) "
        "has one rate for erasing and writing and one forget gate for each head, and Kimi delta attention "
        "(kda, 2025) has a forget gate for each row. With equal erase and write gates this cell is kda.",
        when_to_use="Use it in place of kda where values must be erased without a new value being written. "
        "The state has H² / heads elements, so memory and time grow with H². The official block has a short "
        "convolution, a norm and a gate around it, and this cell is the recurrence alone.",
        trainability="It learns slowly without the norm that follows it in a block.",
        block="deltanet",
        related={
            "kda": "has one rate for erasing and writing.",
            "kalman_delta": "has a rate of writing for each row, from the precision of the row.",
            "gated_delta_net": "has one gate and one rate for each head.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    We = zoo.Param("I", "H", init="fan_in_uniform", help="input to the erase gate")
    Ww = zoo.Param("I", "H", init="fan_in_uniform", help="input to the write gate")
    Wa = zoo.Param("I", "H/heads", init="fan_in_uniform", help="input to the low rank of the forget gates")
    Wr = zoo.Param("H/heads", "H", init="fan_in_uniform", help="low rank to forget gates")
    b = zoo.Param("H", init=inverse_softplus_log_uniform, help="bias of the forget gates")
    A = zoo.Param("heads", init=logs_of_rates, help="logarithm of the scale of the rates of forgetting")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    negative_eigenvalues = zoo.Option(False, help="whether the erase gate goes up to two, not one")
    gates = zoo.Gates(input_gate="w", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        e = zoo.sigmoid(x @ self.We).reshape(self.heads, 1, -1)
        w = zoo.sigmoid(x @ self.Ww)
        written = (w * v).reshape(self.heads, 1, -1)
        speeds = zoo.softplus((x @ self.Wa) @ self.Wr + self.b).reshape(self.heads, -1)
        alpha = zoo.exp(-zoo.exp(self.A)[:, None] * speeds)
        S = alpha[:, :, None] * S
        erased = ((2 * e if self.negative_eigenvalues else e) * k) @ S
        S = S + k.swapaxes(1, 2) * (written - erased)
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Gated DeltaNet 2."""
    register(GatedDeltaNet2)
