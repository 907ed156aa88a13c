"""Gated DeltaNet: fast weights that fade before the delta rule corrects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import l2_normalised

Array = Any


def rates(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Logarithms of rates uniform between 0 and 16."""
    # One minus: a draw may be zero, and its logarithm is asked for.
    return np.log(16 * (1 - rng.uniform(size=shape)))


class GatedDeltaNet(zoo.Cell):
    """Gated DeltaNet: ``delta_net`` whose memory also decays, at a rate that depends on the input.

    DeltaNet, whose memory is multiplied by ``alpha`` before each correction: a gate near zero clears it at
    once, which the delta rule alone does one key at a time. The gate is that of Mamba 2. The parts of the
    input product stand in the order query q, key k, value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        alpha = exp(-exp(A) * softplus(x Wa + ba))
        S' = alpha * S + outer(k, beta * (v - alpha * k S))
        y  = (q S') / sqrt(D)

    Parameters: ``Wx (I, 3H)``, ``Wb (I, heads)`` and ``Wa (I, heads)``, Glorot uniform; ``A (heads,)`` the
    logarithm of a number uniform between 0 and 16; ``ba (heads,)`` such that its softplus is between 0.001
    and 0.1, uniform in the logarithm. State: ``S (heads, D, D)``, from keys to values. Output: ``y``, the
    heads side by side, of size H.

    Equations and the start of ``A`` and ``ba`` are those of https://github.com/fla-org/flash-linear-attention
    (``fla/layers/gated_deltanet.py``, ``fla/ops/gated_delta_rule/naive.py`` and ``gate.py``), whose constant
    ``1e-6`` under the root of the lengths is kept. What is left out of the layer is left out of ``delta_net``
    too, so that the two differ by the gate alone. Without the norm after it outputs begin small, and text is
    learned slowly at first.
    """

    family = "linear"
    card = zoo.Card(
        title="Gated Delta Networks: Improving Mamba2 with Delta Rule",
        authors="Songlin Yang, Jan Kautz, Ali Hatamizadeh",
        year=2024,
        url="https://arxiv.org/abs/2412.06464",
        variant="Gated delta rule with a gate and a rate of writing for each head; silu on keys, queries "
        "and values, L2 norm on keys and queries; output scaled.",
        deviations="The cell alone: no short convolutions before, no RMS norm, output gate and projection "
        "after. Values are as wide as keys, where the official layer has values twice as wide.",
        trainability="It learns slowly without the norm that follows it in a block: with an RMS norm it "
        "comes to 2.110 nats.",
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="glorot_uniform", help="input to the rate of writing")
    Wa = zoo.Param("I", "heads", init="glorot_uniform", help="input to the rate of forgetting")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of forgetting")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of forgetting")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories; must divide H")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(x @ self.Wa + self.ba))
        S = alpha[:, None, None] * S
        S = S + k.swapaxes(1, 2) * (beta * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Gated DeltaNet."""
    register(GatedDeltaNet)
