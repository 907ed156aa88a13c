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

    Each head stores a matrix that maps keys to values. A new pair does not add up with old pairs at the same
    key. The cell first reads the value that the memory returns for the key, and writes only the difference,
    at a learned rate. The parts of the input product are, in order, the query q, the key k and the value v,
    each ``heads`` times ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        S' = S + outer(k, beta * (v - k S))
        y  = (q S') / sqrt(D)

    With ``negative_eigenvalues``, the rate of writing is ``2 beta``, so that a key can change the sign of the
    value that it finds (Grazzi and others 2024).

    The parameters ``Wx (I, 3H)`` and ``Wb (I, heads)`` start Glorot uniform. The state is
    ``S (heads, D, D)``. The output ``y`` has size H and holds the heads side by side.

    This is the delta rule of Schlag and others with keys and queries of length one after silu, as in S. Yang
    and others 2024 and in https://github.com/fla-org/flash-linear-attention, including its constant ``1e-6``
    under the root. Schlag and others propose another feature map for the keys.
    """

    name = "delta_net"
    family = "linear"
    card = zoo.Card(
        title="Linear Transformers Are Secretly Fast Weight Programmers",
        authors="Imanol Schlag, Kazuki Irie, Jürgen Schmidhuber",
        year=2021,
        url="https://arxiv.org/abs/2102.11174",
        variant="Queries, keys and values pass through silu, and the first two are normalised to length "
        "one. Each head has one rate of writing, and the output is scaled (Yang and others 2024).",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm and output projection after it are left out.",
        history="Schlag, Irie and Schmidhuber showed in 2021 that linear attention is a network with fast "
        "weights, an idea of the early 1990s, and replaced its sum by the delta rule. Yang and others found "
        "an algorithm in 2024 that trains it in parallel over the sequence. Gated DeltaNet "
        "(gated_delta_net) adds forgetting.",
        when_to_use="Use it to study associative recall: the memory overwrites the value at a key instead "
        "of adding to it. The state has H² / heads elements, so memory and time grow with H². Language "
        "models need the parts of the block around it: the official layer warns that the short convolution "
        "is crucial, and without a norm the outputs are small at first. zoo trains it in chunks of 16 "
        "steps, and generates step by step.",
        trainability="It learns slowly without the norm that follows it in a block, and it forgets nothing. "
        "With an RMS norm it learns faster, and with the forget gate of gated_delta_net in addition even "
        "faster.",
        also=(
            zoo.Card(
                title="Parallelizing Linear Transformers with the Delta Rule over Sequence Length",
                authors="Songlin Yang, Bailin Wang, Yu Zhang, Yikang Shen, Yoon Kim",
                year=2024,
                url="https://arxiv.org/abs/2406.06484",
            ),
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
            "longhorn": "solves for the change of its memory, with a diagonal in place of a matrix.",
            "gated_delta_net": "adds a gate that forgets.",
            "ttt_linear": "has a norm and a bias in its memory.",
            "mesa_net": "solves for the best memory at every step.",
            "gated_delta_product": "adds a gate and makes several corrections at every step.",
            "gla": "adds pairs without a correction, and forgets by rows.",
            "retnet": "adds pairs without a correction, and forgets at fixed rates.",
            "matrix_lstm": "adds pairs without a correction, with LSTM gates.",
            "srwm": "is one matrix that also computes its own keys, queries and rates.",
            "linear_attention": "adds to the memory without a correction.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="glorot_uniform", help="input to the rate of writing")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    negative_eigenvalues = zoo.Option(False, help="whether the rate of writing goes up to two, not one")
    gates = zoo.Gates(input_gate="beta")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        rate = 2 * beta if self.negative_eigenvalues else beta
        S = S + k.swapaxes(1, 2) * (rate * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register DeltaNet."""
    register(DeltaNet)
