"""Gated linear attention: a matrix of fast weights, with a forget gate for every row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.linear._norms import rms_norm

Array = Any


class GLA(zoo.Cell):
    """Gated linear attention: linear attention whose memory decays at rates that depend on the input.

    Each head stores a matrix that maps keys to values, with a forget gate for every row. The gates come from
    a product of low rank. They begin near one, because the sigmoid is raised to the power ``1 / tau``. Keys
    are half as wide as values. The parts of the input product are, in order, the query q and the key k (H/2
    each), the value v and the output gate g (H each). In all of them heads are side by side, with width
    ``K = H / (2 heads)`` in queries, keys and forget gates and ``D = H / heads`` in values.

    Equations, for each head::

        q, k, v, g = x Wx
        alpha = sigmoid((x Wa) Wr + b) ** (1 / tau)
        S' = alpha[:, None] * S + outer(k, v)
        o  = (q S') / sqrt(K)
        o  = gain * o / sqrt(mean(o²) + 1e-5)
        y  = (silu(g) * (o of all heads)) Wo

    The parameters ``Wx (I, 3H)``, ``Wa (I, rank)``, ``Wr (rank, H/2)`` and ``Wo (H, H)`` start uniform within
    one over the root of their first size. ``b (H/2,)`` starts at zero. ``gain (D,)``, which the heads share,
    starts at one. The state is ``S (heads, K, D)``, and the output ``y`` has size H.

    Equations and defaults, except for the number of heads, are taken from the authors' library
    (https://github.com/fla-org/flash-linear-attention, ``fla/layers/gla.py`` and ``fla/ops/gla/naive.py``).
    Its layer starts like PyTorch's ``nn.Linear``, as here, and its models set the bias to zero.
    """

    family = "linear"
    card = zoo.Card(
        title="Gated Linear Attention Transformers with Hardware-Efficient Training",
        authors="Songlin Yang, Bailin Wang, Yikang Shen, Rameswar Panda, Yoon Kim",
        year=2023,
        url="https://arxiv.org/abs/2312.06635",
        variant="This is the layer of the authors' library with its output gate and RMS norm, without "
        "feature map and short convolution.",
        deviations="The cell has one head by default, as other cells have, and the library has four. There "
        "is no feed-forward part.",
        history="Linear attention replaces the softmax of a Transformer, so that a matrix of fixed size "
        "sums up the past. RetNet (retnet, 2023) added fixed decay rates. Yang, Wang, Shen, Panda and Kim "
        "made the rates depend on the input in the same year and wrote fast kernels for it. DeltaNet "
        "(delta_net) and Gated DeltaNet (gated_delta_net) replace the sum by a correction.",
        when_to_use="Use it where the past must be searched by content at a fixed memory size: the state "
        "has H² / (2 heads) elements. It is the whole mixer of the paper, with norm, gate and projection, "
        "so it can be stacked with residual connections. The paper reports good generalisation to sequences "
        "that are longer than in training. zoo trains "
        "it in chunks of 16 steps, and generates step by step.",
        scope="mixer",
        block="retnet",
        related={
            "retnet": "has fixed decay rates.",
            "delta_net": "corrects the value at a key instead of adding to it.",
            "gated_delta_net": "corrects the value at a key and has one gate for each head.",
            "mamba2": "has one gate for each head.",
            "rwkv6": "has a token shift and a bonus for the present pair.",
            "hgrn2": "has no separate keys.",
            "gsa": "has slots for keys and values, and a softmax.",
            "kda": "corrects the value at a key.",
            "matrix_lstm": "has one gate for each head and an exponential input gate.",
            "hgrn": "has a vector state and the same kind of forget gate.",
            "rwkv4": "has a vector state and trained decay rates.",
            "lightnet": "weights values by a softmax over time.",
            "rodimus": "writes at rates that depend on its forget gates.",
            "linear_attention": "forgets nothing, and divides by the sum of weights.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys, values and output gate")
    Wa = zoo.Param("I", "rank", init="fan_in_uniform", help="input to the low rank of the forget gates")
    Wr = zoo.Param("rank", "H/2", init="fan_in_uniform", help="low rank to forget gates")
    b = zoo.Param("H/2", help="bias of the forget gates")
    gain = zoo.Param("H/heads", init="ones", help="gain of the norm, the same for every head")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="gated heads to output")
    S = zoo.State("heads", "H/(2*heads)", "H/heads", help="memory, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories. 2 * heads must divide H")
    rank = zoo.Option(16, low=1, help="rank of the product for the forget gates")
    tau = zoo.Option(16.0, low=1.0, help="root of the forget gates. A larger one forgets more slowly")
    gates = zoo.Gates(forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        qk, v, g = zoo.split(x @ self.Wx, 3)
        q, k = zoo.split(qk, 2)
        alpha = zoo.exp(zoo.log_sigmoid((x @ self.Wa) @ self.Wr + self.b) / self.tau)
        alpha, k = alpha.reshape(self.heads, -1, 1), k.reshape(self.heads, -1, 1)
        q, v = q.reshape(self.heads, 1, -1), v.reshape(self.heads, 1, -1)
        S = alpha * S + k * v
        o = self.gain * rms_norm(q @ S / S.shape[1] ** 0.5, 1e-5)
        return zoo.Output((zoo.silu(g) * o.reshape(-1)) @ self.Wo, S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register gated linear attention."""
    register(GLA)
