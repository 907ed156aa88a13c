"""Based: linear attention with the first terms of the Taylor series of the exponential function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def features(rows: Array) -> Array:
    """Map rows to features, whose products are ``1 + a + a² / 2`` for a scaled product a of rows."""
    rows = rows / rows.shape[-1] ** 0.25
    squares = (rows[:, :, None] * rows[:, None]).reshape(rows.shape[0], -1) / math.sqrt(2)
    return np.concatenate([np.ones((rows.shape[0], 1)), rows, squares], axis=-1)


class Based(zoo.Cell):
    """Based: ``linear_attention`` whose weights come close to the ones of softmax attention.

    Attention weights a value by the exponential function of the product of its key and the query. Here the
    weight is the first three terms of its Taylor series, ``1 + a + a² / 2``, which is positive. It is a
    product of features of the key and of the query, so that sums over all inputs are enough. The features of
    a vector of size d are one, its elements, and all products of two elements. The parts of the input product
    are, in order, the query q, the key k, each ``heads`` times d, and the value v, ``heads`` times
    ``D = H / heads``.

    Equations, for each head, where d is the option ``rank``::

        phi(a) = (1, a / d**(1/4), outer(a, a) / sqrt(2 d))
        q, k, v = x Wx
        S' = S + outer(phi(k), v)
        Z' = Z + phi(k)
        y  = (phi(q) S') / (max(phi(q) Z, 0) + phi(q) phi(k))

    The parameter ``Wx (I, 2 heads d + H)`` starts uniform within one over the root of I. The states are
    ``S (heads, F, D)`` and ``Z (heads, F)`` with ``F = 1 + d + d²`` features. The divisor is
    ``phi(q) Z'`` for all states that sequences reach, and at least one half for all others. The output ``y``
    has size H and holds the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from
    ``BasedLinearAttention`` in https://github.com/fla-org/flash-linear-attention (``fla/layers/based.py`` and
    ``fla/modules/feature_map.py``), which follows the code of the authors and stores each product of two
    elements once.
    """

    name = "based"
    family = "linear"
    card = zoo.Card(
        title="Simple linear attention language models balance the recall-throughput tradeoff",
        authors="Simran Arora, Sabri Eyuboglu, Michael Zhang, Aman Timalsina, Silas Alberti, Dylan Zinsley, "
        "James Zou, Atri Rudra, Christopher Ré",
        year=2024,
        url="https://arxiv.org/abs/2402.18668",
        variant="This is the linear attention of Based, with the Taylor feature map and its normaliser.",
        deviations="This is the recurrence alone. The block prenorm has the norm, the projection and the "
        "skip connection around it, and no MLP after it. The layers of the model with attention in a sliding "
        "window and with short convolutions are left out. There is one head by default, and the library has "
        "12. The constant 1e-12 in the divisor is left out.",
        history="Arora and others published it in 2024. They showed that the size of the state limits how "
        "much a model can recall, and chose features that make it large. Kernels for the Taylor features "
        "made it fast on GPUs.",
        when_to_use="Use it where many pairs of keys and values have to be recalled and nothing needs to be "
        "forgotten. The state has (H + heads) (1 + rank + rank²) elements, so that rank sets memory and "
        "time.",
        trainability="It forgets nothing, so one symbol changes the sums over a long text little.",
        block="prenorm",
        related={
            "linear_attention": "has as many features as elements in a key.",
            "rebased": "has weights that can be zero, and norms of keys and queries.",
        },
    )
    Wx = zoo.Param("I", "2*heads*rank+H", init="fan_in_uniform", help="input to queries, keys and values")
    S = zoo.State("heads", "1+rank+rank*rank", "H/heads", help="sum of products of features and values")
    Z = zoo.State("heads", "1+rank+rank*rank", help="sum of features of keys")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    rank = zoo.Option(16, low=1, help="elements of a key and of a query")

    def step(self, x: Array, S: Array, Z: Array) -> zoo.Output:
        width = self.heads * self.rank
        parts = np.split(x @ self.Wx, [width, 2 * width])
        q, k = (features(part.reshape(self.heads, self.rank)) for part in parts[:2])
        v = parts[2].reshape(self.heads, -1)
        S = S + k[:, :, None] * v[:, None]
        divisor = np.maximum(np.sum(q * Z, axis=-1, keepdims=True), 0.0)
        divisor = divisor + np.sum(q * k, axis=-1, keepdims=True)
        return zoo.Output(((q[:, None] @ S)[:, 0] / divisor).reshape(-1), S, Z + k)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the linear attention of Based."""
    register(Based)
