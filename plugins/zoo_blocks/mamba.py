"""The block of Mamba."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import zoo
from zoo_blocks._initializers import residual_uniform, taps_uniform

Array = Any


class Mamba(zoo.Block):
    """Mamba's block: norm, expansion, short convolution, cell, gate, projection and skip connection.

    The cell works on ``E = expand * D`` channels, each of which has passed a convolution over the last
    ``width`` steps.

    Equations::

        n = rms_norm(x) * gain
        u = silu(short_convolution(n @ Wu) + b)
        y = x + (cell(u) * silu(n @ Wz)) @ Wo

    The last layer ends with another norm, ``rms_norm(y) * final_gain``. The gains start at one.
    ``Wu (D, E)``, ``Wz (D, Y)``, ``taps (width, E)`` and ``b (E,)`` start uniform, within
    ``1 / sqrt(fan_in)`` of zero, as in PyTorch, and ``Wo (Y, D)`` within ``1 / sqrt(Y layers)``. The state
    ``past (width - 1, E)`` holds the channels of the last steps.

    A mixer such as ``mamba`` already has projections, convolutions or gates. Around it the block is the norm
    and the skip connection alone, ``y = x + cell(rms_norm(x) * gain)``. The output projections of the cells
    ``mamba``, ``mamba2`` and ``longhorn`` are divided by the root of the number of layers, as in the code.
    """

    card = zoo.Card(
        title="Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
        authors="Albert Gu, Tri Dao",
        year=2023,
        url="https://arxiv.org/abs/2312.00752",
        variant="Block and Mamba of https://github.com/state-spaces/mamba (mamba_ssm/modules), RMS norms.",
        deviations="The projection of the first layer starts with variance 1 / I, where the code draws "
        "embeddings with deviation 0.02.",
    )
    expand = zoo.Option(2, low=1, help="channels of the cell per unit of the model width")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    eps = zoo.Option(1e-5, low=0.0, help="added to the mean square")
    cell_input = cell_hidden = "expand*D"
    cell_init = MappingProxyType(dict.fromkeys(("mamba.Wo", "mamba2.Wo", "longhorn.Wo"), residual_uniform))
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    Wu = zoo.Param("D", "expand*D", init="fan_in_uniform", help="channels of the cell")
    Wz = zoo.Param("D", "Y", init="fan_in_uniform", help="gate of the output of the cell")
    taps = zoo.Param("width", "expand*D", init=taps_uniform, help="convolution, the oldest step first")
    b = zoo.Param("expand*D", init=taps_uniform, help="bias of the convolution")
    Wo = zoo.Param("Y", "D", init=residual_uniform, help="output projection")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")
    past = zoo.State("width-1", "expand*D", help="channels before the convolution, the oldest first")

    def step(self, x: Array, past: Array, cell: Callable[[Array], Array]) -> Any:
        n = zoo.rms_norm(x, eps=self.eps) * self.gain
        if self.is_mixer:
            return x + cell(n), past
        u, past = zoo.short_convolution(n @ self.Wu, past, self.taps)
        return x + (cell(zoo.silu(u + self.b)) * zoo.silu(n @ self.Wz)) @ self.Wo, past

    def finish(self, y: Array) -> Array:
        return zoo.rms_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(Mamba)
