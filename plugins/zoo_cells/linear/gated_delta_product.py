"""Gated DeltaProduct: several corrections by the delta rule at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import l2_normalised
from zoo_cells.linear.gated_delta_net import rates

Array = Any


class GatedDeltaProduct(zoo.Cell):
    """Gated DeltaProduct: ``gated_delta_net`` with several keys and values at every step.

    Each correction multiplies the memory by a generalised Householder matrix ``I - rate outer(k, k)``, and
    ``corrections`` of them follow each other at every step. A product of two reflections is a rotation, and a
    longer product can permute more elements. Rates of writing up to two, the default here, give such a matrix
    the eigenvalue minus one, a reflection.

    Equations, for each head, with keys, values and rates ``k[j]``, ``v[j]`` and ``beta[j]`` for j from 0 to
    ``corrections - 1``::

        q, k, v = silu(x Wq), silu(x Wk), silu(x Wv)
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        rate = 2 * beta                       beta without negative_eigenvalues
        alpha = exp(-exp(A) * softplus(x Wa + ba))
        S' = alpha * S
        S' = S' + outer(k[j], rate[j] * (v[j] - k[j] S'))      for every j in turn
        y  = (q S') / sqrt(D)

    The parameters ``Wq (I, H)``, ``Wk (I, corrections * H)``, ``Wv (I, corrections * H)``,
    ``Wb (I, corrections * heads)`` and ``Wa (I, heads)`` start uniform within one over the root of I. In
    ``Wk``, ``Wv`` and ``Wb``, all heads of the first correction come first. ``A (heads,)`` starts as the
    logarithm of a number that is uniform between 0 and 16. ``ba (heads,)`` starts such that its softplus is
    between 0.001 and 0.1, uniform in the logarithm. The state ``S (heads, D, D)`` with ``D = H / heads`` maps
    keys to values. The output ``y`` has size H and holds the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from
    https://github.com/fla-org/flash-linear-attention (``fla/layers/gated_deltaproduct.py`` and
    ``fla/ops/gated_delta_product/naive.py``), including its constant ``1e-6`` under the root of the lengths.
    The same parts of the layer are left out as in ``gated_delta_net``.
    """

    name = "gated_delta_product"
    family = "linear"
    card = zoo.Card(
        title="DeltaProduct: Improving State-Tracking in Linear RNNs via Householder Products",
        authors="Julien Siems, Timur Carstensen, Arber Zela, Frank Hutter, Massimiliano Pontil, Riccardo "
        "Grazzi",
        year=2025,
        url="https://arxiv.org/abs/2502.10297",
        variant="This is the gated form with two corrections for each step and negative eigenvalues, the "
        "defaults of the layer in flash-linear-attention. With one correction and without negative "
        "eigenvalues it is gated_delta_net.",
        deviations="This is the recurrence alone. The short convolutions before it and the RMS norm, output "
        "gate and projection after it are left out, and the block deltanet has no gate. Values are as wide "
        "as keys, where the official layer has values twice as wide. The cell has one head by default, and "
        "the official layer has six of size 256.",
        history="Siems and others published it in 2025. Grazzi and others had shown in 2024 that linear "
        "recurrences whose eigenvalues are all positive cannot solve parity, and that one generalised "
        "Householder matrix for each step cannot track every finite group. DeltaProduct multiplies several.",
        when_to_use="Use it for tasks that track a state, such as permutations of few elements: more "
        "corrections track larger groups. Time grows with their number, and the state has H² / heads "
        "elements for any number. The official block has a short convolution, a norm and a gate around it, "
        "and this cell is the recurrence alone.",
        also=(
            zoo.Card(
                title="Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues",
                authors="Riccardo Grazzi, Julien Siems, Arber Zela, Jörg K.H. Franke, Frank Hutter, "
                "Massimiliano Pontil",
                year=2024,
                url="https://arxiv.org/abs/2411.12537",
            ),
        ),
        block="deltanet",
        related={
            "slice": "tracks states by blocks along the diagonal.",
            "gated_delta_net": "has one correction for each step.",
            "delta_net": "has one correction for each step and does not forget.",
            "rwkv7": "has one correction for each step, at a rate for every row.",
        },
    )
    Wq = zoo.Param("I", "H", init="fan_in_uniform", help="input to queries")
    Wk = zoo.Param("I", "corrections*H", init="fan_in_uniform", help="input to keys, one after another")
    Wv = zoo.Param("I", "corrections*H", init="fan_in_uniform", help="input to values, one after another")
    Wb = zoo.Param("I", "corrections*heads", init="fan_in_uniform", help="input to the rates of writing")
    Wa = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the rate of forgetting")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of forgetting")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of forgetting")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    corrections = zoo.Option(2, low=1, high=16, help="corrections of the memory at every step")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    negative_eigenvalues = zoo.Option(True, help="whether the rates of writing go up to two, not one")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        shape = (self.corrections, self.heads, 1, -1)
        q = l2_normalised(zoo.silu(x @ self.Wq).reshape(self.heads, 1, -1))
        k = l2_normalised(zoo.silu(x @ self.Wk).reshape(shape))
        v = zoo.silu(x @ self.Wv).reshape(shape)
        beta = zoo.sigmoid(x @ self.Wb)
        rate = (2 * beta if self.negative_eigenvalues else beta).reshape(shape)
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(x @ self.Wa + self.ba))
        S = alpha[:, None, None] * S
        for j in range(self.corrections):
            S = S + k[j].swapaxes(1, 2) * (rate[j] * (v[j] - k[j] @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Gated DeltaProduct."""
    register(GatedDeltaProduct)
