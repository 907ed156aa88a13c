"""DeltaNet: a matrix of fast weights, corrected by the delta rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._norms import l2_normalised

Array = Any


class DeltaNet(zoo.Cell):
    """DeltaNet: an associative memory that adds the difference between a value and the one stored at its key.

    Each head keeps a matrix from keys to values. A new pair does not pile up on the old ones: what the memory
    already answers to the key is read first, and only the difference is written, at a learned rate. The parts
    of the input product stand in the order query q, key k, value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        S' = S + outer(k, beta * (v - k S))
        y  = (q S') / sqrt(D)

    Parameters: ``Wx (I, 3H)`` and ``Wb (I, heads)``, Glorot uniform. State: ``S (heads, D, D)``. Output:
    ``y``, the heads side by side, of size H.

    The delta rule of Schlag et al. with keys and queries of length one and silu before, as in S. Yang et al.
    2024, https://arxiv.org/abs/2406.06484, and in https://github.com/fla-org/flash-linear-attention, whose
    constant ``1e-6`` under the root is kept. Schlag et al. propose another feature map for the keys.
    """

    name = "delta_net"
    family = "linear"
    card = zoo.Card(
        title="Linear Transformers Are Secretly Fast Weight Programmers",
        authors="Imanol Schlag, Kazuki Irie, Jürgen Schmidhuber",
        year=2021,
        url="https://arxiv.org/abs/2102.11174",
        variant="Queries, keys and values by silu, the first two by L2 norm, one rate per head, output "
        "scaled (Yang et al. 2024).",
        deviations="The cell alone: no short convolutions before, no RMS norm and output projection after.",
        trainability="It learns slowly without the norm that follows it in a block, and forgets nothing: "
        "with an RMS norm it comes to 2.256 nats, and gated_delta_net, which forgets, to "
        "2.110.",
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="glorot_uniform", help="input to the rate of writing")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories; must divide H")
    gates = zoo.Gates(input_gate="beta")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        S = S + k.swapaxes(1, 2) * (beta * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register DeltaNet."""
    register(DeltaNet)
