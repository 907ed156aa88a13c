"""Titans: a linear memory that learns at test time, with momentum and forgetting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.linear._norms import l2_normalised

Array = Any


class Titans(zoo.Cell):
    """The neural memory of Titans, with a linear model: gradient descent with momentum and weight decay.

    Each head stores a matrix M that maps keys to values. Its loss at a pair is ``|k M - v|²``, and the
    gradient measures the surprise of the pair. The momentum P of past surprises changes the memory, which
    also forgets. Rates of learning, forgetting and momentum depend on the input. The parts of the input
    product are, in order, the query q, the key k and the value v, each ``heads`` times ``D = H / heads``, and
    the parts of the gates are theta, alpha and eta, one of each for each head.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        theta, alpha, eta = sigmoid(x Wg + b)
        P' = eta * P - theta * 2 * outer(k, k M - v)
        M' = (1 - alpha) * M + P'
        y  = q M'

    The parameters ``Wx (I, 3H)`` and ``Wg (I, 3 heads)`` start uniform within one over the root of I, and
    ``b (3 heads,)`` at zero. The states are the memory ``M (heads, D, D)`` and the momentum
    ``P (heads, D, D)``. The output ``y`` has size H and holds the heads side by side.

    The equations come from the paper (sections 3.1 and 3.2), with the 1e-6 of other cells here under the
    root of the lengths.
    """

    name = "titans"
    family = "linear"
    card = zoo.Card(
        title="Titans: Learning to Memorize at Test Time",
        authors="Ali Behrouz, Peilin Zhong, Vahab Mirrokni",
        year=2024,
        url="https://arxiv.org/abs/2501.00663",
        variant="This is the long-term memory with a linear model, one gradient step for every time step, "
        "and gates for each head.",
        deviations="There is no official code. In the paper the memory may have several layers, and "
        "gradients of several time steps are taken at one memory. The convolutions before it (see the "
        "modifier short_convolution), the norm and gate after it, and the attention and persistent memory "
        "of the whole model are left out. The block deltanet has no gate, and its MLP is not in the paper. "
        "The paper does not state initial values. Expected outputs in the tests come from automatic "
        "differentiation of the loss.",
        history="Behrouz, Zhong and Mirrokni published it at the end of 2024. TTT-Linear (ttt_linear) and "
        "the delta rule of DeltaNet (delta_net) learn by plain gradient descent. Titans adds momentum, so "
        "that a surprise has an effect on later steps, and weight decay as forgetting.",
        when_to_use="Use it to study memories that learn at test time: without momentum it is "
        "gated_delta_net with another scale of the rate. The state has 2 H² / heads elements. It is the "
        "recurrence alone, without the parts around it, so outputs are small at first. If the same key comes "
        "at every step, the memory stays bounded for 2 theta < (2 - alpha) (1 + eta), and long sequences "
        "overflow where training leaves this region.",
        block="deltanet",
        related={
            "ttt_linear": "has a norm in its model, no momentum and no forgetting.",
            "gated_delta_net": "has no momentum.",
            "momentum_delta_net": "has gates that keep the momentum stable.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    Wg = zoo.Param("I", "3*heads", init="fan_in_uniform", help="input to theta, alpha and eta")
    b = zoo.Param("3*heads", help="bias of theta, alpha and eta")
    M = zoo.State("heads", "H/heads", "H/heads", help="memory, from keys to values")
    P = zoo.State("heads", "H/heads", "H/heads", help="momentum of the changes of the memory")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    gates = zoo.Gates(input_gate="theta", forget_gate="1 - alpha")

    def step(self, x: Array, M: Array, P: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        rates = zoo.sigmoid(x @ self.Wg + self.b)
        theta, alpha, eta = zoo.split(rates, 3)
        P = eta[:, None, None] * P - k.swapaxes(1, 2) * (2 * theta[:, None, None] * (k @ M - v))
        M = (1 - alpha)[:, None, None] * M + P
        return zoo.Output((q @ M).reshape(-1), M, P)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the linear memory of Titans."""
    register(Titans)
