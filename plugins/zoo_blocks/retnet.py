"""The block of RetNet and of gated linear attention: pre-norm with a gated MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_blocks._initializers import residual_normal

Array = Any


class RetNet(zoo.Block):
    """Block of RetNet and GLA: norm, cell and skip connection, then norm, SwiGLU and skip connection.

    Equations::

        x = x + cell(rms_norm(x) * gain) @ Wo
        m = rms_norm(x) * mlp_gain
        y = x + (silu(m @ Wg) * (m @ Wv)) @ Wd

    The last layer ends with another norm, ``rms_norm(y) * final_gain``. The gains start at one. ``Wg`` and
    ``Wv (D, mlp D)`` and ``Wd (mlp D, D)`` start uniform within ``1 / sqrt(fan_in)`` of zero, as in PyTorch.
    ``Wo (Y, D)`` starts normal with variance ``1 / (Y layers)``.

    Around a mixer, a cell such as ``gla`` that has projections of its own, there is no ``Wo``.
    """

    name = "retnet"
    card = zoo.Card(
        title="Retentive Network: A Successor to Transformer for Large Language Models",
        authors="Yutao Sun, Li Dong, Shaohan Huang, Shuming Ma, Yuqing Xia, Jilong Xue, Jianyong Wang, "
        "Furu Wei",
        year=2023,
        url="https://arxiv.org/abs/2307.08621",
        variant="DecoderLayer of https://github.com/microsoft/torchscale with the norm before each half. "
        "The models of https://github.com/fla-org/flash-linear-attention for GLA and RetNet have the same "
        "equations.",
        deviations="The MLP has 3 D units. In torchscale they are 5/3 D by default, and the library rounds "
        "8/3 D for GLA and 4/3 D for RetNet up to a multiple of 256. torchscale has GELU by default, and its "
        "example of a language model SiLU, as here. The library starts embeddings and all matrices with "
        "deviation 0.02. Here, as in torchscale, the deviation depends on the fan-in: 0.0128 at width 2048, "
        "and 0.072 at width 64. The example of torchscale multiplies embeddings by the root of the width. "
        "Both papers have no projection around a bare recurrence. All norms of the library have one "
        "constant, 1e-6 by default, and the norm inside the cell gla has 1e-5.",
        also=(
            zoo.Card(
                title="Gated Linear Attention Transformers with Hardware-Efficient Training",
                authors="Songlin Yang, Bailin Wang, Yikang Shen, Rameswar Panda, Yoon Kim",
                year=2023,
                url="https://arxiv.org/abs/2312.06635",
            ),
        ),
    )
    mlp = zoo.Option(3, low=1, help="units of the gated MLP per unit of the model width")
    eps = zoo.Option(1e-6, low=0.0, help="added to the mean square")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    Wo = zoo.Param("Y", "D", init=residual_normal, help="output projection")
    mlp_gain = zoo.Param("D", init="ones", help="scale of the norm before the MLP")
    Wg = zoo.Param("D", "mlp*D", init="fan_in_uniform", help="gate of the MLP")
    Wv = zoo.Param("D", "mlp*D", init="fan_in_uniform", help="values of the MLP")
    Wd = zoo.Param("mlp*D", "D", init="fan_in_uniform", help="output of the MLP")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")

    def step(self, x: Array, cell: Callable[[Array], Array]) -> Array:
        y = cell(zoo.rms_norm(x, eps=self.eps) * self.gain)
        x = x + (y if self.is_mixer else y @ self.Wo)
        m = zoo.rms_norm(x, eps=self.eps) * self.mlp_gain
        return x + (zoo.silu(m @ self.Wg) * (m @ self.Wv)) @ self.Wd

    def finish(self, y: Array) -> Array:
        return zoo.rms_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(RetNet)
