"""MesaNet: ridge regression of values on keys, solved at every time step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._norms import l2_normalised

Array = Any
# The smallest diagonal that is added before the system is solved, and the 1e-5 of the official solver.
LOWEST, TINY = 0.25, 1e-5


def one_in_all(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Such that its softplus plus 0.25 is one."""
    return np.full(shape, math.log(math.expm1(1 - LOWEST)))


class MesaNet(zoo.Cell):
    """MesaNet: a memory that answers with the best linear map from keys to values of the past.

    Each head keeps two decaying sums of products: of keys with keys, G, and of keys with values, S. The
    answer to a query is that of ridge regression, ``q (G + diag(l))⁻¹ S`` with trained l, so that the memory
    is optimal at every step, where the delta rule takes one step towards it. ``iterations`` steps of the
    method of conjugate gradients solve the system. The parts of the input product are, in order, the query q,
    the key k and the value v, each ``heads`` times ``D = H / heads``, and the parts of the gates are beta and
    alpha, one of each for each head.

    Equations, for each head::

        q, k, v = x Wx
        q, k = silu(q), silu(k)
        q, k = q / |q|, k / |k|
        beta, alpha = sigmoid(x Wg + b)
        G' = alpha * G + beta * outer(k, k)
        S' = alpha * S + beta * outer(k, v)
        l  = softplus(ridge) + 0.25
        y  = a S'  where  a (G' + diag(l)) = q

    The solver starts from ``a = q / (diag(G') + l)``. Divisors in it have 1e-5 added.

    The parameters ``Wx (I, 3H)`` and ``Wg (I, 2 heads)`` start uniform within one over the root of I,
    ``b (2 heads,)`` at zero, and ``ridge (H,)`` such that l is one. The states are ``G (heads, D, D)`` and
    ``S (heads, D, D)``. The output ``y`` has size H and holds the heads side by side.

    Equations come from https://github.com/fla-org/flash-linear-attention (``fla/layers/mesa_net.py`` and
    ``fla/ops/mesa_net/naive.py``), including its constant ``1e-6`` under the root of the lengths.
    """

    name = "mesa_net"
    family = "linear"
    card = zoo.Card(
        title="MesaNet: Sequence Modeling by Locally Optimal Test-Time Training",
        authors="Johannes von Oswald, Nino Scherrer, Seijin Kobayashi, Luca Versari, Songlin Yang, and "
        "others",
        year=2025,
        url="https://arxiv.org/abs/2506.05233",
        variant="This is the Mesa layer with the official solver for single steps. Keys and queries pass "
        "through silu and are normalised to length one.",
        deviations="This is the recurrence alone. The short convolutions of queries and keys before it and "
        "the RMS norm and projection after it are left out. The solver takes four steps by default, and the "
        "official one 30. The bias of the gates starts at zero, where nn.Linear in the official code draws "
        "it within 1 / sqrt(I) of zero. There is one head by default, and the library has 16 of size 128.",
        history="Von Oswald and others published it in 2025. It is a form of their Mesa layer of 2023 that "
        "can be trained in parallel on GPUs. The delta rule of DeltaNet (delta_net) and Gated DeltaNet "
        "(gated_delta_net) takes one gradient step on the same kind of loss.",
        when_to_use="Use it to study memories that learn at test time: it shows what the best linear memory "
        "could recall. The state has 2 H² / heads elements, and each iteration costs a product with a D × D "
        "matrix. With as many iterations as a head has units, the solution is accurate to about three "
        "digits, because the divisors have 1e-5 added.",
        block="deltanet",
        related={
            "gated_delta_net": "takes one step towards the solution.",
            "delta_net": "takes one step towards the solution and does not forget.",
            "kalman_delta": "follows the solution with one precision for each row of the memory.",
            "precond_kda": "approximates the problem by a diagonal.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wg = zoo.Param("I", "2*heads", init="fan_in_uniform", help="input to the gates beta and alpha")
    b = zoo.Param("2*heads", help="bias of the gates")
    ridge = zoo.Param("H", init=one_in_all, help="diagonal that is added to the products of keys")
    G = zoo.State("heads", "H/heads", "H/heads", help="sum of products of keys with keys")
    S = zoo.State("heads", "H/heads", "H/heads", help="sum of products of keys with values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    iterations = zoo.Option(4, low=0, high=64, help="steps of the method of conjugate gradients")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, G: Array, S: Array) -> zoo.Output:
        q, k, v = (part.reshape(self.heads, 1, -1) for part in zoo.split(x @ self.Wx, 3))
        q, k = l2_normalised(zoo.silu(q)), l2_normalised(zoo.silu(k))
        beta, alpha = zoo.split(zoo.sigmoid(x @ self.Wg + self.b), 2)
        weighted = beta[:, None, None] * k.swapaxes(1, 2)
        G = alpha[:, None, None] * G + weighted * k
        S = alpha[:, None, None] * S + weighted * v
        ridge = (zoo.softplus(self.ridge) + LOWEST).reshape(self.heads, 1, -1)
        diagonal = np.sum(G * zoo.eye(G.shape[-1]), axis=1, keepdims=True)
        a = q / (np.maximum(diagonal, 0.0) + ridge)
        rest = q - a @ G - ridge * a
        direction, size = rest, np.sum(rest * rest, axis=-1, keepdims=True)
        for _ in range(self.iterations):
            turned = direction @ G + ridge * direction
            # At least this large in all states that sequences reach. In others, nothing is divided by zero.
            least = LOWEST * np.sum(direction * direction, axis=-1, keepdims=True)
            curvature = np.maximum(np.sum(direction * turned, axis=-1, keepdims=True), least)
            stride = size / (curvature + TINY)
            a, rest = a + stride * direction, rest - stride * turned
            old, size = size, np.sum(rest * rest, axis=-1, keepdims=True)
            direction = rest + (size / (old + TINY)) * direction
        return zoo.Output((a @ S).reshape(-1), G, S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register MesaNet."""
    register(MesaNet)
