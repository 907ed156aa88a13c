"""Comba: the gated delta rule with feedback from the state and from the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import l2_normalised
from zoo_cells.linear.gated_delta_net import rates

Array = Any


class Comba(zoo.Cell):
    """Comba: ``gated_delta_net`` that corrects with a shorter key and subtracts the key from the query.

    In terms of control theory the memory is a plant with two feedback loops. The first reads the memory at
    the key times a trained factor below one, so that less than the whole old value is removed. The second
    subtracts a share of the key from the query. The parts of the input product are, in order, the query q,
    the key k and the value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        share = sigmoid(s)
        q  = q - d * share * k
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        alpha = exp(-exp(A) * softplus(x Wa + ba))
        S' = alpha * S
        S' = S' + outer(k, beta * (v - share * k S'))
        y  = (q S') / sqrt(D)

    The parameters ``Wx (I, 3H)``, ``Wb (I, heads)`` and ``Wa (I, heads)`` start uniform within one over the
    root of I. ``s (heads,)`` and ``d (heads,)`` start at one. ``A (heads,)`` starts as the logarithm of a
    number that is uniform between 0 and 16. ``ba (heads,)`` starts such that its softplus is between 0.001
    and 0.1, uniform in the logarithm. The state ``S (heads, D, D)`` maps keys to values. The output ``y`` has
    size H and holds the heads side by side.

    Equations, initial values and defaults, except for the number of heads, come from
    https://github.com/fla-org/flash-linear-attention (``fla/layers/comba.py`` and
    ``fla/ops/comba/naive.py``), except that the key of the correction is not normalised a second time. The
    same parts of the layer are left out as in ``gated_delta_net``.
    """

    name = "comba"
    family = "linear"
    card = zoo.Card(
        title="Comba: Improving Bilinear RNNs with Closed-loop Control",
        authors="Jiaxi Hu, Yongqi Pan, Jusen Du, Disen Lan, Xiaqiang Tang, Qingsong Wen, Yuxuan Liang, "
        "Weigao Sun",
        year=2025,
        url="https://arxiv.org/abs/2506.02475",
        variant="This is Comba with both feedback loops, one gate and one rate of writing for each head. "
        "Keys, queries and values pass through silu, keys and queries are normalised to length one, and the "
        "output is scaled.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, sigmoid output gate and projection after it are left out, and "
        "the block deltanet has no gate. Values are as wide as keys, where the official layer has values "
        "twice as wide. The official layer normalises share * k, which cancels the share in the correction. "
        "Here it is not cancelled (entry 3 of docs/errata.md). There is one head by default, and the "
        "official layer has six of size 256.",
        history="Hu and others published it in 2025. They described the delta rule of Gated DeltaNet "
        "(gated_delta_net) as closed-loop control and added the feedback from the output.",
        when_to_use="Use it in place of gated_delta_net to see what the two feedback loops change. The "
        "state has H² / heads elements, so memory and time grow with H². The official layer warns that 0.02 "
        "may be better than one for the first value of d in small models.",
        trainability="It learns slowly without the norm that follows it in a block.",
        block="deltanet",
        related={
            "gated_delta_net": "corrects with the whole key and has no feedback from the output.",
            "momentum_delta_net": "has a momentum of the corrections, too.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the rate of writing")
    Wa = zoo.Param("I", "heads", init="fan_in_uniform", help="input to the rate of forgetting")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of forgetting")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of forgetting")
    s = zoo.Param("heads", init="ones", help="share of the key in the correction, before a sigmoid")
    d = zoo.Param("heads", init="ones", help="share of the key that is subtracted from the query")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = (part.reshape(self.heads, 1, -1) for part in zoo.split(zoo.silu(x @ self.Wx), 3))
        share = zoo.sigmoid(self.s).reshape(self.heads, 1, 1)
        q = l2_normalised(q - self.d.reshape(self.heads, 1, 1) * (share * k))
        k = l2_normalised(k)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(x @ self.Wa + self.ba))
        S = alpha[:, None, None] * S
        S = S + k.swapaxes(1, 2) * (beta * (v - (share * k) @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Comba."""
    register(Comba)
