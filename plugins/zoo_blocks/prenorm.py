"""The pre-norm residual block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_blocks._initializers import residual_normal

Array = Any


class Prenorm(zoo.Block):
    """Pre-norm residual block: normalise, run the cell, project to the model width, add the input.

    Equations::

        u = rms_norm(x) * gain
        y = x + cell(u) @ Wo

    The last layer ends with another norm, ``rms_norm(y) * final_gain``. The gains start at one. ``Wo (Y, D)``
    starts normal with variance ``1 / (Y layers)``, as GPT-2 scales the last weights of residual branches.
    Around a mixer, which ends with a projection of its own, there is no ``Wo``.
    """

    card = zoo.Card(
        title="On Layer Normalization in the Transformer Architecture",
        authors="Ruibin Xiong, Yunchang Yang, Di He, Kai Zheng, Shuxin Zheng, Chen Xing, Huishuai Zhang, "
        "Yanyan Lan, Liwei Wang, Tie-Yan Liu",
        year=2020,
        url="https://arxiv.org/abs/2002.04745",
        variant="Pre-norm with root mean square norms.",
        deviations="The paper has layer norms around attention. Here an RMS norm and an output projection "
        "surround a recurrent cell, as in today's linear recurrent networks. No official code has this "
        "block, so its golden values come from the equations of the papers.",
        also=(
            zoo.Card(
                title="Root Mean Square Layer Normalization",
                authors="Biao Zhang, Rico Sennrich",
                year=2019,
                url="https://arxiv.org/abs/1910.07467",
            ),
        ),
    )
    eps = zoo.Option(1e-5, low=0.0, help="added to the mean square")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    Wo = zoo.Param("Y", "D", init=residual_normal, help="output projection")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")

    def step(self, x: Array, cell: Callable[[Array], Array]) -> Array:
        y = cell(zoo.rms_norm(x, eps=self.eps) * self.gain)
        return x + (y if self.is_mixer else y @ self.Wo)

    def finish(self, y: Array) -> Array:
        return zoo.rms_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(Prenorm)
