"""The sLSTM: exponential gates, kept within the range of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]
# The logarithm of what an empty memory keeps: minus infinity, but for the differences taken from it.
EMPTY = -1e30


def small_init(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance ``2 / (5 fan_in)``, the official initializer of the input weights."""
    return rng.normal(0, math.sqrt(2 / (5 * shape[0])), shape)


def spread(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Forget biases from 5 down to -7 in every head, by a power law, so that memories differ in length."""
    width = shape[0] // (4 * cell.heads)
    place = np.arange(width) / max(width - 1, 1)
    bias = np.zeros((4, cell.heads, width))
    bias[1] = 5 - 12 * place**0.3
    return bias.reshape(-1)


class SLSTM(zoo.Cell):
    """sLSTM: an LSTM with an exponential input gate and a normaliser.

    The memory is an average with weights that sum up in ``n``, all of them divided by ``exp(m)``, the largest
    weight so far, so that no exponential overflows. Heads mix by their own recurrent weights and hear no
    other. The gates stand in the order input i, forget f, candidate z, output o, each of H in a row.

    Equations::

        i, f, z, o = x Wx + b + (h of each head) R
        kept = log sigmoid(f) + m         where n > 0; nothing is kept by an empty memory
        m' = max(i, kept)
        c' = exp(kept - m') * c + exp(i - m') * tanh(z)
        n' = exp(kept - m') * n + exp(i - m')
        h' = sigmoid(o) * c' / max(n', 1)

    Parameters: ``Wx (I, 4H)`` normal with variance ``2 / (5 I)``; ``R (heads, H/heads, 4H/heads)`` zero;
    ``b (4H,)`` zero, for the forget gate from 5 to -7 in every head. States: ``h (H,)``, which is the output,
    ``c (H,)``, ``n (H,)`` and ``m (H,)``.

    Equations and initialization are those of the official code's plain version
    (https://github.com/NX-AI/xlstm, first of several blocks), whose first step, too, takes ``m' = i``; there
    an overflowing ``exp(kept - m')`` may meet ``c = 0``, here it cannot. From an empty memory on ``n`` is at
    least one, so the ``max`` below the fraction changes nothing; it is for states that the cell cannot reach.
    FlashRNN (https://github.com/NX-AI/flashrnn) keeps ``n`` itself at one or more, which then comes to the
    same.
    """

    name = "slstm"
    family = "lstm"
    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="Sigmoid forget gate, exponential input gate, stabiliser state, block-diagonal recurrence.",
        deviations="The cell alone: no convolution, group norm or projections around it; full input weights "
        "where the official block has one block per head.",
        related={
            "matrix_lstm": "the memory is a matrix, and no gate sees the state.",
            "lstm": "has a sigmoid input gate, and no normaliser.",
        },
    )
    Wx = zoo.Param("I", "4H", init=small_init, help="input to gates i, f, z, o")
    R = zoo.Param("heads", "H/heads", "4H/heads", help="hidden to gates i, f, z, o, for each head")
    b = zoo.Param("4H", init=spread, help="bias of gates i, f, z, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory, a weighted sum")
    n = zoo.State("H", help="sum of the weights")
    m = zoo.State("H", help="logarithm of the largest weight, by which c and n are divided")
    heads = zoo.Option(1, low=1, help="blocks of the recurrent weights; must divide H")
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
