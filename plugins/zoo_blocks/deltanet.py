"""The block of DeltaNet and Gated DeltaNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_blocks._initializers import taps_uniform

Array = Any


class DeltaNet(zoo.Block):
    """Block of the delta networks: norm, short convolution, cell, norm of each head, projection, then SwiGLU.

    Both halves have a skip connection of their own.

    Equations::

        n = rms_norm(x) * gain
        u = silu(short_convolution(n))
        x = x + (rms_norm(cell(u), of each head) * head_gain) @ Wo
        m = rms_norm(x) * mlp_gain
        y = x + (silu(m @ Wg) * (m @ Wv)) @ Wd

    The last layer ends with another norm, ``rms_norm(y) * final_gain``. The gains start at one. ``Wo (D,
    D)``, ``Wg`` and ``Wv (D, mlp D)`` and ``Wd (mlp D, D)`` start uniform within ``1 / sqrt(fan_in)`` of zero
    and ``taps (width, D)`` within ``1 / sqrt(width)``, as in PyTorch. The state ``past (width - 1, D)`` holds
    the last inputs of the convolution. ``head_gain (D / heads,)``, which the heads share, needs a cell whose
    output has size D.

    Around a mixer, a cell such as ``gla`` that has projections of its own, the first half is
    ``x = x + cell(n)``. Without ``convolution``, ``u`` is n, for cells with the modifier
    ``short_convolution``, which convolves queries, keys and values as the paper does:
    ``deltanet(delta_net+short_convolution)``.
    """

    name = "deltanet"
    card = zoo.Card(
        title="Parallelizing Linear Transformers with the Delta Rule over Sequence Length",
        authors="Songlin Yang, Bailin Wang, Yu Zhang, Yikang Shen, Yoon Kim",
        year=2024,
        url="https://arxiv.org/abs/2406.06484",
        variant="DeltaNetBlock of https://github.com/fla-org/flash-linear-attention.",
        deviations="The library convolves queries, keys and values after their projections, each with taps "
        "of its own. Here the cell holds the projections, and by default the convolution acts on its input, "
        "because this suits all cells. The modifier short_convolution has the library's place. The MLP has "
        "3 D units, and in the library 8/3 D, rounded up to a multiple of 256. By default the library has "
        "16 heads at a width of 2048, and here one. The library starts embeddings and all matrices with "
        "deviation 0.02, and taps too. Here the deviation depends on the fan-in: 0.0128 at width 2048, and "
        "0.072 at width 64.",
        also=(
            zoo.Card(
                title="Gated Delta Networks: Improving Mamba2 with Delta Rule",
                authors="Songlin Yang, Jan Kautz, Ali Hatamizadeh",
                year=2024,
                url="https://arxiv.org/abs/2412.06464",
            ),
        ),
    )
    convolution = zoo.Option(True, help="whether the input of the cell is convolved")
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    heads = zoo.Option(1, low=1, help="parts of the output of the cell that are normalised on their own")
    mlp = zoo.Option(3, low=1, help="units of the gated MLP per unit of the model width")
    eps = zoo.Option(1e-6, low=0.0, help="added to the mean square")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    taps = zoo.Param("width", "D", init=taps_uniform, help="convolution, the oldest step first")
    head_gain = zoo.Param("D/heads", init="ones", help="scale of the norm of each head")
    Wo = zoo.Param("D", "D", init="fan_in_uniform", help="output projection")
    mlp_gain = zoo.Param("D", init="ones", help="scale of the norm before the MLP")
    Wg = zoo.Param("D", "mlp*D", init="fan_in_uniform", help="gate of the MLP")
    Wv = zoo.Param("D", "mlp*D", init="fan_in_uniform", help="values of the MLP")
    Wd = zoo.Param("mlp*D", "D", init="fan_in_uniform", help="output of the MLP")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")
    past = zoo.State("width-1", "D", help="input of the convolution, the oldest step first")

    def step(self, x: Array, past: Array, cell: Callable[[Array], Array]) -> Any:
        n = zoo.rms_norm(x, eps=self.eps) * self.gain
        if self.is_mixer:
            x = x + cell(n)
        else:
            if self.convolution:
                u, past = zoo.short_convolution(n, past, self.taps)
                y = cell(zoo.silu(u))
            else:
                y = cell(n)
            h = zoo.rms_norm(y.reshape(self.heads, -1), eps=self.eps) * self.head_gain
            x = x + h.reshape(-1) @ self.Wo
        m = zoo.rms_norm(x, eps=self.eps) * self.mlp_gain
        return x + (zoo.silu(m @ self.Wg) * (m @ self.Wv)) @ self.Wd, past

    def finish(self, y: Array) -> Array:
        return zoo.rms_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(DeltaNet)
