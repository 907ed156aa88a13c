"""The mLSTM: a matrix for a memory cell, with exponential gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells._initializers import small_init

Array = Any
Shape = tuple[int, ...]


def keeping(rng: np.random.Generator, shape: Shape) -> Array:
    """Input gates normal with deviation 0.1, forget gates evenly from 3 to 6."""
    heads = shape[0] // 2
    return np.concatenate([rng.normal(0, 0.1, heads), np.linspace(3, 6, heads)])


class MatrixLSTM(zoo.Cell):
    """mLSTM: an LSTM whose memory is a matrix from keys to values, with an exponential input gate.

    The gates read the input alone. Each head has one input gate and one forget gate. The value that the query
    reads is divided by the product of the query with ``n``, a sum of keys with the same weights. All sums are
    divided by ``exp(m)``, the largest weight so far, so that no exponential overflows. The parts of the
    products are, in order, the query q, the key k, the value v and the output gate o, each ``heads`` times
    ``D = H / heads``, and the gates i and f, each ``heads``.

    Equations, for each head::

        q, k, v, o = x Wx + b
        i, f = x Wg + bg
        m' = max(log sigmoid(f) + m, i)
        keep, write = exp(log sigmoid(f) + m - m'), exp(i - m')
        C' = keep * C + write * outer(k, v) / sqrt(D)
        n' = keep * n + write * k / sqrt(D)
        h  = (q C') / (max(|q · n'|, exp(-m')) + 1e-6)
        y  = sigmoid(o) * h

    The parameter ``Wx (I, 4H)`` starts normal with variance ``2 / (5 I)``, and ``b (4H,)`` and
    ``Wg (I, 2 heads)`` start at zero. ``bg (2 heads,)`` starts normal with deviation 0.1 for i, and evenly
    from 3 to 6 for f. The states are ``C (heads, D, D)``, which maps keys to values, ``n (heads, D)`` and
    ``m (heads,)``, all zero at first. The output ``y`` has size H.

    The recurrence is ``recurrent_step_stabilized_simple`` of the official code
    (https://github.com/NX-AI/xlstm, ``xlstm/blocks/mlstm``), and the initial values come from its ``cell.py``
    and ``layer.py``. In the step, both parts of the fraction for h are multiplied by ``exp(min(m', 0))``,
    which changes no value and keeps ``exp(-m')`` from overflowing. The first state ``m = 0`` changes nothing
    either: the paper divides by at least one, which becomes ``exp(-m')`` when everything is divided by
    ``exp(m')``.
    """

    family = "linear"
    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="This is the mLSTM with sigmoid forget gate, exponential input gate, stabiliser and sigmoid "
        "output gate.",
        deviations="This is the recurrence with projections straight from the input. The convolution, norm, "
        "skip connection and projections around it are left out. In the official block the gates i and f "
        "read q, k and v. Here they read the input, of which q, k and v are linear functions. The output of "
        "the official block is gated by silu. The 1e-6 is taken from the official code. There is one head by "
        "default, and the official block has four.",
        history="Beck, Pöppel and others, with Hochreiter, published the xLSTM in 2024, 27 years after the "
        "LSTM. It has two cells: the sLSTM (slstm) with a scalar memory, and the mLSTM with a matrix "
        "memory, which can be trained in parallel. Both have exponential gates.",
        when_to_use="Use it where the past must be searched by content at a fixed memory size: the state "
        "has about H² / heads elements. The paper builds language models from residual blocks around it, "
        "and this cell is the recurrence alone. Without the norm after it, outputs are small at first and "
        "text is learned slowly. Use slstm where gates must read the state.",
        block="mlstm",
        related={
            "slstm": "has a vector memory and gates that read the state.",
            "lstm": "has a vector memory and no normaliser.",
            "gla": "has a forget gate for each row and no normaliser.",
            "delta_net": "corrects the value at a key instead of adding to it.",
            "gated_delta_net": "corrects the value at a key and has a forget gate.",
            "rwkv4": "has a vector memory, exponential weights and the same stabiliser.",
            "multiplicative_lstm": "is also called mLSTM, and multiplies input and state.",
        },
    )
    Wx = zoo.Param("I", "4H", init=small_init, help="input to q, k, v and output gate o")
    b = zoo.Param("4H", help="bias of q, k, v and output gate o")
    Wg = zoo.Param("I", "2*heads", help="input to gates i, f, for each head")
    bg = zoo.Param("2*heads", init=keeping, help="bias of gates i, f, for each head")
    C = zoo.State("heads", "H/heads", "H/heads", help="memory, a weighted sum of keys times values")
    n = zoo.State("heads", "H/heads", help="weighted sum of keys")
    m = zoo.State("heads", help="logarithm of the largest weight, by which C and n are divided")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    gates = zoo.Gates(input_gate="write", forget_gate="keep", output_gate="sigmoid_o")

    def step(self, x: Array, C: Array, n: Array, m: Array) -> zoo.Output:
        q, k, v, o = (part.reshape(self.heads, -1) for part in zoo.split(x @ self.Wx + self.b, 4))
        k = k / np.sqrt(k.shape[-1])
        i, f = zoo.split(x @ self.Wg + self.bg, 2)
        kept = zoo.log_sigmoid(f) + m
        m = np.maximum(kept, i)
        keep, write = zoo.exp(kept - m)[:, None], zoo.exp(i - m)[:, None]
        C = keep[..., None] * C + (write * k)[..., None] * v[:, None]
        n = keep * n + write * k
        low = np.minimum(m, 0.0)
        scale = zoo.exp(low)
        floor = np.maximum(scale * np.abs(np.sum(q * n, axis=-1)), zoo.exp(low - m)) + 1e-6 * scale
        h = (q[:, None] @ C)[:, 0] * (scale / floor)[:, None]
        return zoo.Output((zoo.sigmoid(o) * h).reshape(-1), C, n, m)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the mLSTM."""
    register(MatrixLSTM)
