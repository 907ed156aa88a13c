"""Linear attention: a mean of all values, weighted by how well their keys match the query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def phi(a: Array) -> Array:
    """Compute elu + 1, which is positive: the exponential function below zero, and a line above it."""
    return np.exp(np.minimum(a, 0.0)) + np.maximum(a, 0.0)


class LinearAttention(zoo.Cell):
    """Linear attention: attention without softmax, which needs one matrix in place of all past inputs.

    Attention returns a mean of the values of all inputs so far. The weight of a value is the product of its
    key and the query after a positive function phi. Each head therefore stores two sums: of products of keys
    and values, S, and of keys, Z. The parts of the input product are, in order, the query q, the key k and
    the value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head, where phi is ``elu + 1``::

        phi(a) = exp(min(a, 0)) + max(a, 0)
        q, k, v = x Wx + b
        q, k = phi(q), phi(k)
        S' = S + outer(k, v)
        Z' = max(Z, 0) + k
        y  = (q S') / (q Z' + 1e-6)

    The parameter ``Wx (I, 3H)`` starts uniform within one over the root of I, and ``b (3H,)`` at zero. The
    states are ``S (heads, D, D)`` and ``Z (heads, D)``. Sums of keys are never negative, and zoo counts
    negative elements of a given Z as zero, so that no divisor is zero. The output ``y`` has size H and holds
    the heads side by side.

    Equations come from the code of the authors (https://github.com/idiap/fast-transformers,
    ``fast_transformers/recurrent/attention/self_attention/linear_attention.py``).
    """

    name = "linear_attention"
    family = "linear"
    card = zoo.Card(
        title="Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
        authors="Angelos Katharopoulos, Apoorv Vyas, Nikolaos Pappas, François Fleuret",
        year=2020,
        url="https://arxiv.org/abs/2006.16236",
        variant="This is causal linear attention with the function elu + 1 and the normaliser of the paper.",
        deviations="This is the recurrence alone. The block prenorm has the norm, the projection and the "
        "skip connection of a transformer around it, and no MLP after it. Biases start at zero, where "
        "nn.Linear in the official code draws them within 1 / sqrt(I) of zero. There is one head by default, "
        "and the official layer has no default.",
        history="Katharopoulos and others published it in 2020. They showed that a transformer without "
        "softmax is a recurrent network. RetNet (retnet) and gated linear attention (gla) replace the "
        "normaliser by a norm and add forgetting, and DeltaNet (delta_net) corrects the memory before it "
        "adds to it.",
        when_to_use="Use it as the baseline of matrix memories: it forgets nothing, and every answer is a "
        "mean of past values. The state has H² / heads + H elements, so memory and time grow with H².",
        trainability="It forgets nothing, so one symbol changes the sums over a long text little.",
        block="prenorm",
        related={
            "gla": "forgets, and has no normaliser.",
            "retnet": "fades at fixed rates, and has no normaliser.",
            "delta_net": "corrects the memory instead of adding to it.",
            "lightnet": "has a sum of weights for each element of a key.",
            "based": "has more features than elements in a key.",
            "rebased": "weights values by squares of products.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    b = zoo.Param("3H", help="bias of queries, keys and values")
    S = zoo.State("heads", "H/heads", "H/heads", help="sum of products of keys and values")
    Z = zoo.State("heads", "H/heads", help="sum of keys")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")

    def step(self, x: Array, S: Array, Z: Array) -> zoo.Output:
        q, k, v = (part.reshape(self.heads, -1) for part in zoo.split(x @ self.Wx + self.b, 3))
        q, k = phi(q), phi(k)
        S = S + k[:, :, None] * v[:, None]
        Z = np.maximum(Z, 0.0) + k
        y = (q[:, None] @ S)[:, 0] / (np.sum(q * Z, axis=-1, keepdims=True) + 1e-6)
        return zoo.Output(y.reshape(-1), S, Z)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register linear attention."""
    register(LinearAttention)
