"""The block of RWKV-4: time mixing and channel mixing."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

import zoo
from zoo_blocks._initializers import residual_normal

Array = Any
Shape = tuple[int, ...]


def rising(_rng: np.random.Generator, shape: Shape, _block: Any) -> Array:
    """From zero to almost one over the features, as in the first layer of the code."""
    return np.arange(shape[0]) / shape[0]


class RWKV(zoo.Block):
    """Block of RWKV-4: norm, cell and skip connection, then channel mixing with a shift by one step.

    Channel mixing is an MLP with squared rectified units and a gate. Each of its features is a trained
    mixture of this step and of the one before.

    Equations::

        x = x + cell(layer_norm(x) * gain + shift) @ Wo
        m = layer_norm(x) * mlp_gain + mlp_shift
        k = relu((mix_k * m + (1 - mix_k) * past) @ Wk)²
        r = sigmoid((mix_r * m + (1 - mix_r) * past) @ Wr)
        y = x + r * (k @ Wv)
        past' = m

    The first layer also normalises its input, with ``in_gain`` and ``in_shift``, and the last one its output,
    with ``final_gain`` and ``final_shift``. Gains start at one and shifts at zero. ``mix_k`` and ``mix_r``
    rise from zero to almost one over the features. ``Wk (D, mlp D)`` starts with orthogonal blocks. ``Wv (mlp
    D, D)`` and ``Wr (D, D)`` start at zero, so that the second half adds nothing at first. ``Wo (Y, D)``
    starts normal with variance ``1 / (Y layers)``. The state is ``past (D,)``.

    Around a mixer, a cell such as ``gla`` that has projections of its own, there is no ``Wo``. The output
    projections of the cells ``rwkv4``, ``rwkv5``, ``rwkv6`` and ``rwkv7`` start at zero, as in the code.
    """

    name = "rwkv"
    card = zoo.Card(
        title="RWKV: Reinventing RNNs for the Transformer Era",
        authors="Bo Peng, Eric Alcaide, Quentin Anthony, and others",
        year=2023,
        url="https://arxiv.org/abs/2305.13048",
        variant="Block with RWKV_ChannelMix of https://github.com/BlinkDL/RWKV-LM, RWKV-v4neo.",
        deviations="All layers start with the mixtures of the first layer. In the code the exponent of the "
        "mixtures falls from layer to layer, and the exponent of the cell's decays rises. Inference halves "
        "the features after every sixth layer. Wk starts as orthogonal blocks side by side, and in the code "
        "as one orthogonal matrix times the root of mlp. The projection of the first layer has a bias and "
        "starts with variance 1 / I. The code draws embeddings within 0.0006 of zero, its first learning "
        "rate, and the norm of the input removes the scale. The code starts its output projection at zero, "
        "and the block does so for the Wo of rwkv4 to rwkv7. Around a cell without projections, the Wo of "
        "the block starts with variance 1 / (Y layers). Golden values are from the code of RWKV-4.",
    )
    mlp = zoo.Option(4, low=1, help="units of the channel mixing per unit of the model width")
    eps = zoo.Option(1e-5, low=0.0, help="added to the variance")
    cell_init = MappingProxyType({f"rwkv{version}.Wo": "zeros" for version in (4, 5, 6, 7)})
    in_gain = zoo.Param("D", init="ones", help="scale of the norm of the input of the first layer")
    in_shift = zoo.Param("D", help="shift of the norm of the input of the first layer")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    shift = zoo.Param("D", help="shift of the norm")
    Wo = zoo.Param("Y", "D", init=residual_normal, help="output projection")
    mlp_gain = zoo.Param("D", init="ones", help="scale of the norm before the channel mixing")
    mlp_shift = zoo.Param("D", help="shift of the norm before the channel mixing")
    mix_k = zoo.Param("D", init=rising, help="share of this step in the input of k")
    mix_r = zoo.Param("D", init=rising, help="share of this step in the input of r")
    Wk = zoo.Param("D", "mlp*D", init="orthogonal", help="units of the channel mixing")
    Wv = zoo.Param("mlp*D", "D", init="zeros", help="output of the channel mixing")
    Wr = zoo.Param("D", "D", init="zeros", help="gate of the channel mixing")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")
    final_shift = zoo.Param("D", help="shift of the final norm")
    past = zoo.State("D", help="input of the channel mixing in the step before")

    def step(self, x: Array, past: Array, cell: Callable[[Array], Array]) -> Any:
        y = cell(zoo.layer_norm(x, eps=self.eps) * self.gain + self.shift)
        x = x + (y if self.is_mixer else y @ self.Wo)
        m = zoo.layer_norm(x, eps=self.eps) * self.mlp_gain + self.mlp_shift
        k = zoo.relu((self.mix_k * m + (1 - self.mix_k) * past) @ self.Wk)
        r = zoo.sigmoid((self.mix_r * m + (1 - self.mix_r) * past) @ self.Wr)
        return x + r * ((k * k) @ self.Wv), m

    def project(self, x: Array) -> Array:
        return zoo.layer_norm(super().project(x), eps=self.eps) * self.in_gain + self.in_shift

    def finish(self, y: Array) -> Array:
        return zoo.layer_norm(y, eps=self.eps) * self.final_gain + self.final_shift


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(RWKV)
