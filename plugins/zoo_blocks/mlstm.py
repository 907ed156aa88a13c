"""The block of the xLSTM around its matrix memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

import zoo
from zoo_blocks._initializers import last_weights_of_xlstm, small_init, taps_uniform

Array = Any


def small_init_of_width(rng: np.random.Generator, shape: tuple[int, ...], block: Any) -> Array:
    """Normal with variance ``2 / (5 D)``, as the code draws the projections of the cell."""
    return rng.normal(0, math.sqrt(2 * block.expand / (5 * shape[0])), shape)


class MLSTM(zoo.Block):
    """mLSTM block of the xLSTM: expansion, short convolution, cell, norm of each head, gate and projection.

    The cell works on ``E = expand * D`` channels. The convolved channels also bypass the cell, each with a
    trained weight.

    Equations::

        n = layer_norm(x) * gain
        u = silu(short_convolution(n @ Wu) + b)
        h = layer_norm(cell(u), of each head) * head_gain + skip * u
        y = x + (h * silu(n @ Wz)) @ Wo

    The last layer ends with another norm, ``layer_norm(y) * final_gain``. The gains and ``skip (E,)`` start
    at one. ``Wu (D, E)`` and ``Wz (D, E)`` start normal with variance ``2 / (5 D)``, ``Wo (E, D)`` normal
    with deviation ``2 / (layers sqrt(D))``, and ``taps (width, E)`` and ``b (E,)`` uniform within
    ``1 / sqrt(width)`` of zero. The state ``past (width - 1, E)`` holds the channels of the last steps.
    ``head_gain (heads, E / heads)`` needs a cell whose output has size E. The projections ``Wx`` of
    ``matrix_lstm`` start with variance ``2 / (5 D)`` as well.

    Around a mixer, a cell such as ``gla`` that has projections of its own, the block is the norm and the skip
    connection alone, ``y = x + cell(n)``.
    """

    name = "mlstm"
    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="The residual block with projection before the cell, mLSTMBlock of "
        "https://github.com/NX-AI/xlstm. Its cell in zoo is matrix_lstm.",
        deviations="In the code values are computed from the channels before the convolution, and queries, "
        "keys and values by blocks of four channels. Here the cell has one input, the convolved channels, "
        "and its own projections. matrix_lstm has an output gate of its own in addition. The projection of "
        "the first layer has a bias and starts with variance 1 / I, and the code draws embeddings with "
        "variance 2 / (5 D).",
    )
    expand = zoo.Option(2, low=1, help="channels of the cell per unit of the model width")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    heads = zoo.Option(4, low=1, help="parts of the output of the cell that are normalised on their own")
    eps = zoo.Option(1e-5, low=0.0, help="added to the variance")
    cell_input = cell_hidden = "expand*D"
    cell_init = MappingProxyType({"matrix_lstm.Wx": small_init_of_width})
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    Wu = zoo.Param("D", "expand*D", init=small_init, help="channels of the cell")
    Wz = zoo.Param("D", "expand*D", init=small_init, help="gate")
    taps = zoo.Param("width", "expand*D", init=taps_uniform, help="convolution, the oldest step first")
    b = zoo.Param("expand*D", init=taps_uniform, help="bias of the convolution")
    head_gain = zoo.Param("heads", "expand*D/heads", init="ones", help="scale of the norm of each head")
    skip = zoo.Param("expand*D", init="ones", help="weight of the channels that bypass the cell")
    Wo = zoo.Param("expand*D", "D", init=last_weights_of_xlstm, help="output projection")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")
    past = zoo.State("width-1", "expand*D", help="channels before the convolution, the oldest first")

    def step(self, x: Array, past: Array, cell: Callable[[Array], Array]) -> Any:
        n = zoo.layer_norm(x, eps=self.eps) * self.gain
        if self.is_mixer:
            return x + cell(n), past
        u, past = zoo.short_convolution(n @ self.Wu, past, self.taps)
        u = zoo.silu(u + self.b)
        h = zoo.layer_norm(cell(u).reshape(self.heads, -1), eps=self.eps) * self.head_gain
        return x + ((h.reshape(-1) + self.skip * u) * zoo.silu(n @ self.Wz)) @ self.Wo, past

    def finish(self, y: Array) -> Array:
        return zoo.layer_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(MLSTM)
