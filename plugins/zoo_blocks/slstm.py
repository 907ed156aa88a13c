"""The block of the xLSTM around its scalar memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import zoo
from zoo_blocks._initializers import last_weights_of_xlstm, small_init, taps_uniform

Array = Any


def exact_gelu(x: Array) -> Array:
    """The Gaussian error linear unit with the error function, as PyTorch computes it by default."""
    return 0.5 * x * (1 + zoo.erf(x / math.sqrt(2)))


class SLSTM(zoo.Block):
    """sLSTM block of the xLSTM: short convolution, cell, norm of each head, then a gated MLP.

    Both halves have a norm and a skip connection of their own.

    Equations::

        n = layer_norm(x) * gain
        u = silu(short_convolution(n) + b)
        x = x + layer_norm(cell(u), of each head) * head_gain
        m = layer_norm(x) * mlp_gain
        y = x + (gelu(m @ Wg) * (m @ Wv)) @ Wd

    The last layer ends with another norm, ``layer_norm(y) * final_gain``. The gains start at one. ``Wg`` and
    ``Wv (D, mlp D / 4)`` start normal with variance ``2 / (5 D)``, ``Wd (mlp D / 4, D)`` normal with
    deviation ``2 / (layers sqrt(D))``, and ``taps (width, D)`` and ``b (D,)`` uniform within
    ``1 / sqrt(width)`` of zero. The state ``past (width - 1, D)`` holds the last inputs of the convolution.
    ``head_gain (heads, D / heads)`` needs a cell whose output has size D.

    Around a mixer, a cell such as ``gla`` that has projections of its own, the first half is
    ``x = x + cell(n)``.
    """

    name = "slstm"
    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="The residual block with projection after the cell, sLSTMBlock of "
        "https://github.com/NX-AI/xlstm.",
        deviations="In the code two of the four gates read the input before the convolution. Here the cell "
        "has one input. The MLP has 5/4 D units, and in the code 1.3 D, rounded up to a multiple of 64. The "
        "projection of the first layer has a bias and starts with variance 1 / I, and the code draws "
        "embeddings with variance 2 / (5 D).",
    )
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    heads = zoo.Option(4, low=1, help="parts of the output of the cell that are normalised on their own")
    mlp = zoo.Option(5, low=1, help="units of the gated MLP per four units of the model width")
    eps = zoo.Option(1e-5, low=0.0, help="added to the variance")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    taps = zoo.Param("width", "D", init=taps_uniform, help="convolution, the oldest step first")
    b = zoo.Param("D", init=taps_uniform, help="bias of the convolution")
    head_gain = zoo.Param("heads", "D/heads", init="ones", help="scale of the norm of each head")
    mlp_gain = zoo.Param("D", init="ones", help="scale of the norm before the MLP")
    Wg = zoo.Param("D", "mlp*D/4", init=small_init, help="gate of the MLP")
    Wv = zoo.Param("D", "mlp*D/4", init=small_init, help="values of the MLP")
    Wd = zoo.Param("mlp*D/4", "D", init=last_weights_of_xlstm, help="output of the MLP")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")
    past = zoo.State("width-1", "D", help="input of the convolution, the oldest step first")

    def step(self, x: Array, past: Array, cell: Callable[[Array], Array]) -> Any:
        n = zoo.layer_norm(x, eps=self.eps) * self.gain
        if self.is_mixer:
            x = x + cell(n)
        else:
            u, past = zoo.short_convolution(n, past, self.taps)
            h = cell(zoo.silu(u + self.b)).reshape(self.heads, -1)
            x = x + (zoo.layer_norm(h, eps=self.eps) * self.head_gain).reshape(-1)
        m = zoo.layer_norm(x, eps=self.eps) * self.mlp_gain
        return x + (exact_gelu(m @ self.Wg) * (m @ self.Wv)) @ self.Wd, past

    def finish(self, y: Array) -> Array:
        return zoo.layer_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(SLSTM)
