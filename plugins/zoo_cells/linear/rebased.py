"""ReBased: linear attention with a square of a scaled product of normalised keys and queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def squares(rows: Array) -> Array:
    """Map rows of size d to all products of two elements, whose products are ``(a · b)² / d``."""
    scaled = rows / rows.shape[-1] ** 0.25
    return zoo.outer(scaled, scaled).reshape(rows.shape[0], -1)


class ReBased(zoo.Cell):
    """ReBased: ``based`` with the square of a product in place of a Taylor series, and a norm with a gain.

    The weights of ``based`` are at least one half, so no step of the past can be ignored. Here the weight of
    a value is the square of the product of its key and the query, which is zero for keys that are orthogonal
    to the query. Layer norms with gain and bias move and scale the minimum. The weight is a product of
    features of the key and of the query, so that sums over all inputs are enough. The features of a vector of
    size d are all products of two elements. The parts of the input product are, in order, the query q, the
    key k, each ``heads`` times d, and the value v, ``heads`` times ``D = H / heads``.

    Equations, for each head, where d is the option ``rank``::

        phi(a) = outer(a, a) / sqrt(d)
        q, k, v = x Wx
        q = gainq * (q - mean(q)) / sqrt(var(q) + 1e-5) + biasq      mean and var over all heads
        k = gaink * (k - mean(k)) / sqrt(var(k) + 1e-5) + biask      mean and var over all heads
        w = phi(q) phi(k)
        y = (phi(q) S + w * v) / (max(phi(q) Z, 0) + w + 1e-5)
        S' = S + outer(phi(k), v)
        Z' = Z + phi(k)

    The parameter ``Wx (I, 2 heads d + H)`` starts uniform within one over the root of I. ``gainq (heads d,)``
    and ``gaink (heads d,)`` start at one, and ``biasq (heads d,)`` and ``biask (heads d,)`` at zero. The
    states are ``S (heads, d², D)`` and ``Z (heads, d²)``. The divisor is ``phi(q) Z' + 1e-5`` for all states
    that sequences reach. The output ``y`` has size H and holds the heads side by side.

    Equations and initial values come from the code of the authors (https://github.com/corl-team/rebased,
    ``src/mixers/rebased.py``).
    """

    name = "rebased"
    family = "linear"
    card = zoo.Card(
        title="Linear Transformers with Learnable Kernel Functions are Better In-Context Models",
        authors="Yaroslav Aksenov, Nikita Balagansky, Sofia Maria Lo Cicero Vaina, Boris Shaposhnikov, "
        "Alexey Gorbatovski, Daniil Gavrilov",
        year=2024,
        url="https://arxiv.org/abs/2402.10644",
        variant="This is the linear attention of ReBased, with its norms, feature map and normaliser.",
        deviations="This is the recurrence alone. The block prenorm has the norm, the projection and the "
        "skip connection around it, and no MLP after it. The short convolutions of the model are left out. "
        "There is one head by default, and the official code has 12. The constant in the divisor is 1e-5, as "
        "in flash-linear-attention, and 1e-12 in the official code.",
        history="Aksenov and others published it in 2024. Based (based) approximates the exponential "
        "function by a parabola with a fixed minimum of one half. ReBased learns where the minimum is, and "
        "lets it be zero.",
        when_to_use="Use it like based, where many pairs of keys and values have to be recalled and nothing "
        "needs to be forgotten. The state has (H + heads) rank² elements, so that rank sets memory and "
        "time.",
        trainability="It forgets nothing, so one symbol changes the sums over a long text little. With "
        "carry=False it reaches 2.37 nats in 1,000 steps.",
        block="prenorm",
        related={
            "based": "has weights of at least one half.",
            "linear_attention": "has as many features as elements in a key.",
        },
    )
    Wx = zoo.Param("I", "2*heads*rank+H", init="fan_in_uniform", help="input to queries, keys and values")
    gainq = zoo.Param("heads*rank", init="ones", help="gain of the norm of queries")
    biasq = zoo.Param("heads*rank", help="bias of the norm of queries")
    gaink = zoo.Param("heads*rank", init="ones", help="gain of the norm of keys")
    biask = zoo.Param("heads*rank", help="bias of the norm of keys")
    S = zoo.State("heads", "rank*rank", "H/heads", help="sum of products of features and values")
    Z = zoo.State("heads", "rank*rank", help="sum of features of keys")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    rank = zoo.Option(16, low=1, help="elements of a key and of a query")

    def step(self, x: Array, S: Array, Z: Array) -> zoo.Output:
        width = self.heads * self.rank
        q, k, v = np.split(x @ self.Wx, [width, 2 * width])
        q = (zoo.layer_norm(q) * self.gainq + self.biasq).reshape(self.heads, self.rank)
        k = (zoo.layer_norm(k) * self.gaink + self.biask).reshape(self.heads, self.rank)
        v = v.reshape(self.heads, -1)
        # The weight of the step itself is no difference of sums, so that the first output is exact.
        w = np.sum(q * k, axis=-1, keepdims=True) ** 2 / self.rank
        q, k = squares(q), squares(k)
        divisor = np.maximum(np.sum(q * Z, axis=-1, keepdims=True), 0.0) + w + 1e-5
        y = ((q[:, None] @ S)[:, 0] + w * v) / divisor
        return zoo.Output(y.reshape(-1), S + zoo.outer(k, v), Z + k)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the linear attention of ReBased."""
    register(ReBased)
