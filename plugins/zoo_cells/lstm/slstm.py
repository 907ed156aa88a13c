"""The sLSTM: exponential gates without overflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells._initializers import small_init

Array = Any
Shape = tuple[int, ...]
# The logarithm of the weight of an empty memory. Minus infinity would make its differences NaN.
EMPTY = -1e30


def spread(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Zero, and for the forget gate from 5 down to -7 in every head by a power law."""
    width = shape[0] // (4 * cell.heads)
    position = np.arange(width) / max(width - 1, 1)
    bias = np.zeros((4, cell.heads, width))
    bias[1] = 5 - 12 * position**0.3
    return bias.reshape(-1)


class SLSTM(zoo.Cell):
    """sLSTM: an LSTM with an exponential input gate and a normaliser.

    The memory is a weighted average of candidates. The weights add up in ``n``, and all of them are divided
    by ``exp(m)``, the largest weight up to now, so that no exponential overflows. Each head has its own block
    of recurrent weights and does not read the other heads. The order of the gates in the weights is input i,
    forget f, candidate z, output o, each of size H.

    Equations::

        i, f, z, o = x Wx + b + (h of each head) R
        kept = log sigmoid(f) + m         where n > 0; nothing is kept by an empty memory
        m' = max(i, kept)
        c' = exp(kept - m') * c + exp(i - m') * tanh(z)
        n' = exp(kept - m') * n + exp(i - m')
        h' = sigmoid(o) * c' / max(n', 1)

    Parameters: ``Wx (I, 4H)`` normal with variance ``2 / (5 I)``, ``R (heads, H/heads, 4H/heads)`` zero,
    ``b (4H,)`` zero, for the forget gate from 5 to -7 in every head. States: ``h (H,)``, which is the output,
    ``c (H,)``, ``n (H,)`` and ``m (H,)``.

    The equations and the initial values are from the plain version of the official code
    (https://github.com/NX-AI/xlstm, first of several blocks), whose first step also takes ``m' = i``. There
    an overflowing ``exp(kept - m')`` can multiply ``c = 0``, which is impossible here. If the cell starts
    with an empty memory, ``n`` is at least one, so the ``max`` in the denominator changes nothing. It is for
    states that the cell cannot reach. FlashRNN (https://github.com/NX-AI/flashrnn) keeps ``n`` itself at one
    or more, with the same result.
    """

    name = "slstm"
    family = "lstm"
    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="The cell has a sigmoid forget gate, an exponential input gate, a stabiliser state and "
        "block-diagonal recurrent weights.",
        deviations="Only the cell is here, without the convolution, the group norm and the projections "
        "around it. The input weights are full, where the official block has one block per head. There is "
        "one head by default, and the official block has four.",
        history="Beck, Hochreiter and others published the xLSTM in 2024, 27 years after the LSTM. It has "
        "two cells: the sLSTM with scalar memories and recurrent weights, and the mLSTM with a matrix memory "
        "that can be computed in parallel. The exponential gate lets a new input outweigh everything stored "
        "before.",
        when_to_use="Use it where the state must be tracked step by step, which is the purpose of its "
        "recurrent weights in the xLSTM. In our short run on text it is better than the lstm with the same "
        "number of parameters. It has four state vectors, and it cannot run in parallel over time, which "
        "matrix_lstm can.",
        block="slstm",
        related={
            "matrix_lstm": "has a matrix as memory, and gates that do not read the state.",
            "lstm": "has a sigmoid input gate and no normaliser.",
        },
    )
    Wx = zoo.Param("I", "4H", init=small_init, help="input to gates i, f, z, o")
    R = zoo.Param("heads", "H/heads", "4H/heads", help="hidden to gates i, f, z, o, for each head")
    b = zoo.Param("4H", init=spread, help="bias of gates i, f, z, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory, a weighted sum")
    n = zoo.State("H", help="sum of the weights")
    m = zoo.State("H", help="logarithm of the largest weight, by which c and n are divided")
    heads = zoo.Option(1, low=1, help="blocks of the recurrent weights, a divisor of H")
    gates = zoo.Gates(input_gate="write", forget_gate="forget", output_gate="sigmoid_o", candidate="tanh_z")

    def step(self, x: Array, h: Array, c: Array, n: Array, m: Array) -> tuple[Array, Array, Array, Array]:
        mixed = (h.reshape(self.heads, 1, -1) @ self.R).reshape(self.heads, 4, -1).swapaxes(0, 1)
        i, f, z, o = zoo.split(x @ self.Wx + self.b + mixed.reshape(-1), 4)
        kept = np.where(n == 0, EMPTY, zoo.log_sigmoid(f) + m)
        m = np.maximum(i, kept)
        forget, write = zoo.exp(kept - m), zoo.exp(i - m)
        c = forget * c + write * zoo.tanh(z)
        n = forget * n + write
        return zoo.sigmoid(o) * c / np.maximum(n, 1.0), c, n, m


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the sLSTM."""
    register(SLSTM)
