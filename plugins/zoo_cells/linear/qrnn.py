"""The quasi-recurrent neural network: convolutions along time, and a pooling that is all the recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def window_uniform(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Uniform within ``1 / sqrt(k I)`` of zero, for the weights of one input or of all before it."""
    rows = shape[0] if len(shape) == 2 else shape[1]
    limit = 1 / math.sqrt(cell.k * rows)
    return rng.uniform(-limit, limit, shape)


class QRNN(zoo.Cell):
    """Quasi-recurrent network: gates that read the last ``k`` inputs and no state.

    What is recurrent is the pooling alone, a running average with a rate that the gate f sets anew at every
    step. The parts of the convolution stand in the order candidate z, forget gate f, output gate o.

    Equations, where ``past`` holds the inputs before x, the latest first::

        z, f, o = x Wx + past[0] Wp[0] + ... + past[k - 2] Wp[k - 2] + b
        z, f, o = tanh(z), sigmoid(f), sigmoid(o)
        c' = f * c + (1 - f) * z
        h  = o * c'
        past' = x, past[0], ..., past[k - 3]

    Parameters: ``Wx (I, 3H)`` and ``Wp (k - 1, I, 3H)``, together the filter, uniform within
    ``1 / sqrt(k I)`` of zero; ``b (3H,)`` zero. States: ``c (H,)``, and ``past (k - 1, I)``, zeros before the
    sequence as the paper's padding is. The output ``h`` has size H.

    A convolution of width k that does not look ahead, one step at a time: its window is kept in ``past``.
    Equations are those of the paper, where f near one keeps the memory; in the authors' code,
    https://github.com/salesforce/pytorch-qrnn, it is ``1 - f`` that keeps. Order of the parts and start are
    those of that code, but for the bias.
    """

    family = "linear"
    card = zoo.Card(
        title="Quasi-Recurrent Neural Networks",
        authors="James Bradbury, Stephen Merity, Caiming Xiong, Richard Socher",
        year=2016,
        url="https://arxiv.org/abs/1611.01576",
        variant="fo-pooling over a causal convolution of width k; no zoneout, no dense connections.",
        deviations="A bias for each part, as in the authors' code; it starts at zero, there uniformly. The "
        "paper has none. The forget gate has the paper's sense, which in the authors' code is the opposite.",
    )
    Wx = zoo.Param("I", "3H", init=window_uniform, help="input to z, f, o")
    Wp = zoo.Param("k-1", "I", "3H", init=window_uniform, help="inputs before, the latest first, to z, f, o")
    b = zoo.Param("3H", help="bias of z, f, o")
    c = zoo.State("H", help="memory cells")
    past = zoo.State("k-1", "I", help="the inputs before, the latest first")
    k = zoo.Option(2, low=2, high=64, help="inputs that the convolution sees, the present one included")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", output_gate="sigmoid_o", candidate="tanh_z")

    def step(self, x: Array, c: Array, past: Array) -> zoo.Output:
        Wp = self.Wp.reshape(-1, self.Wp.shape[-1])
        z, f, o = zoo.split(x @ self.Wx + past.reshape(-1) @ Wp + self.b, 3)
        f = zoo.sigmoid(f)
        c = f * c + (1 - f) * zoo.tanh(z)
        return zoo.Output(zoo.sigmoid(o) * c, c, np.concatenate([x[None], past])[:-1])


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the QRNN."""
    register(QRNN)
