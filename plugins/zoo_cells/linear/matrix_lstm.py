"""The mLSTM: a matrix for a memory cell, with exponential gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def small_init(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance ``2 / (5 fan_in)``, the official initializer of projections."""
    return rng.normal(0, math.sqrt(2 / (5 * shape[0])), shape)


def keeping(rng: np.random.Generator, shape: Shape) -> Array:
    """Input gates normal with deviation 0.1, forget gates evenly from 3 to 6."""
    heads = shape[0] // 2
    return np.concatenate([rng.normal(0, 0.1, heads), np.linspace(3, 6, heads)])


class MatrixLSTM(zoo.Cell):
    """mLSTM: an LSTM whose memory is a matrix from keys to values, with an exponential input gate.

    Gates see the input alone, one input and one forget gate for each head. What is read is divided by what
    the query finds in ``n``, a sum of keys with the same weights. All sums are divided by ``exp(m)``, the
    largest weight so far, so that no exponential overflows. The parts of the products stand in the order
    query q, key k, value v, output gate o, each ``heads`` times ``D = H / heads``; and input i, forget f,
    each ``heads``.

    Equations, for each head::

        q, k, v, o = x Wx + b
        i, f = x Wg + bg
        m' = max(log sigmoid(f) + m, i)
        keep, write = exp(log sigmoid(f) + m - m'), exp(i - m')
        C' = keep * C + write * outer(k, v) / sqrt(D)
        n' = keep * n + write * k / sqrt(D)
        h  = (q C') / (max(|q · n'|, exp(-m')) + 1e-6)
        y  = sigmoid(o) * h

    Parameters: ``Wx (I, 4H)`` normal with variance ``2 / (5 I)``; ``b (4H,)`` zero; ``Wg (I, 2 heads)`` zero;
    ``bg (2 heads,)`` normal with deviation 0.1 for i, from 3 to 6 for f. States: ``C (heads, D, D)``, from
    keys to values, ``n (heads, D)`` and ``m (heads,)``, all zero at the start. Output: ``y``, of size H.

    The recurrence is ``recurrent_step_stabilized_simple`` of the official code
    (https://github.com/NX-AI/xlstm, ``xlstm/blocks/mlstm``), the start that of ``cell.py`` and ``layer.py``
    there. In the step both parts of the fraction for h are multiplied by ``exp(min(m', 0))``, which changes
    no value and keeps ``exp(-m')`` from overflowing. Beginning at ``m = 0`` changes nothing either, since the
    paper divides by at least one, which is this ``exp(-m')`` when all is divided by ``exp(m')``. Without the
    norm after it outputs begin small, and text is learned slowly at first.
    """

    family = "linear"
    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="mLSTM with sigmoid forget gate, exponential input gate, stabiliser and sigmoid output gate.",
        deviations="The cell alone, with projections straight from the input: no convolution, norm, skip or "
        "projections around it. In the official block gates i and f see q, k and v, which here are linear in "
        "the input, as gates of the input are; its output is gated by silu. The 1e-6 is the official code's.",
    )
    Wx = zoo.Param("I", "4H", init=small_init, help="input to q, k, v and output gate o")
    b = zoo.Param("4H", help="bias of q, k, v and output gate o")
    Wg = zoo.Param("I", "2*heads", help="input to gates i, f, for each head")
    bg = zoo.Param("2*heads", init=keeping, help="bias of gates i, f, for each head")
    C = zoo.State("heads", "H/heads", "H/heads", help="memory, a weighted sum of keys times values")
    n = zoo.State("heads", "H/heads", help="weighted sum of keys")
    m = zoo.State("heads", help="logarithm of the largest weight, by which C and n are divided")
    heads = zoo.Option(1, low=1, help="independent memories; must divide H")
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
