"""The block of Griffin and Hawk."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def last_weights(rng: np.random.Generator, shape: Shape, block: Any) -> Array:
    """Normal with variance ``2 / (fan_in layers)``, as the code draws the last weights of a branch."""
    return rng.normal(0, math.sqrt(2 / (shape[0] * block.num_layers)), shape)


def small_taps(rng: np.random.Generator, shape: Shape, block: Any) -> Array:
    """Normal with variance ``0.01 / width``."""
    return rng.normal(0, math.sqrt(0.01 / block.width), shape)


class Griffin(zoo.Block):
    """Griffin's recurrent block: a convolution, the cell and a gated branch, then a gated MLP.

    Both halves have a norm and a skip connection of their own.

    Equations::

        n = rms_norm(x) * gain
        u = short_convolution(n @ Wu + bu) + b
        x = x + (cell(u) * gelu(n @ Wz + bz)) @ Wo + bo
        m = rms_norm(x) * mlp_gain
        y = x + (gelu(m @ Wg + bg) * (m @ Wv + bv)) @ Wd + bd

    The last layer ends with another norm, ``rms_norm(y) * final_gain``. The gains start at one and the biases
    at zero. ``Wu (D, D)``, ``Wz (D, Y)``, ``Wg`` and ``Wv (D, mlp D)`` start normal with variance ``1 / D``,
    the last weights ``Wo (Y, D)`` and ``Wd (mlp D, D)`` normal with variance ``2 / (fan_in layers)``, and
    ``taps (width, D)`` normal with variance ``0.01 / width``. The state ``past (width - 1, D)`` holds the
    last inputs of the convolution.

    Around a mixer such as ``mamba``, which already has projections and gates, the first half is
    ``x = x + cell(n)``.
    """

    card = zoo.Card(
        title="Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
        authors="Soham De, Samuel L. Smith, Anushan Fernando, Aleksandar Botev, George Cristian-Muraru, "
        "Albert Gu, Ruba Haroun, Leonard Berrada, Yutian Chen, Srivatsan Srinivasan, Guillaume Desjardins, "
        "Arnaud Doucet, David Budden, Yee Whye Teh, Razvan Pascanu, Nando De Freitas, Caglar Gulcehre",
        year=2024,
        url="https://arxiv.org/abs/2402.19427",
        variant="ResidualBlock with a RecurrentBlock of https://github.com/google-deepmind/recurrentgemma. "
        "The recurrence is as wide as the model, as in the released models.",
        deviations="The projection of the first layer has a bias and starts with variance 1 / I. The code "
        "draws embeddings with variance 1 / D, and its released models multiply them by the root of the "
        "width. The gains multiply directly, where the code stores the gain minus one. rg_lru multiplies its "
        "input by a matrix, which the code does not have after the convolution.",
    )
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")
    mlp = zoo.Option(3, low=1, help="units of the gated MLP per unit of the model width")
    eps = zoo.Option(1e-6, low=0.0, help="added to the mean square")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    Wu = zoo.Param("D", "D", init="lecun_normal", help="input of the convolution")
    bu = zoo.Param("D", help="bias of the input of the convolution")
    Wz = zoo.Param("D", "Y", init="lecun_normal", help="gated branch")
    bz = zoo.Param("Y", help="bias of the gated branch")
    taps = zoo.Param("width", "D", init=small_taps, help="convolution, the oldest step first")
    b = zoo.Param("D", help="bias of the convolution")
    Wo = zoo.Param("Y", "D", init=last_weights, help="output projection")
    bo = zoo.Param("D", help="bias of the output projection")
    mlp_gain = zoo.Param("D", init="ones", help="scale of the norm before the MLP")
    Wg = zoo.Param("D", "mlp*D", init="lecun_normal", help="gate of the MLP")
    bg = zoo.Param("mlp*D", help="bias of the gate")
    Wv = zoo.Param("D", "mlp*D", init="lecun_normal", help="values of the MLP")
    bv = zoo.Param("mlp*D", help="bias of the values")
    Wd = zoo.Param("mlp*D", "D", init=last_weights, help="output of the MLP")
    bd = zoo.Param("D", help="bias of the output of the MLP")
    final_gain = zoo.Param("D", init="ones", help="scale of the final norm")
    past = zoo.State("width-1", "D", help="input of the convolution, the oldest step first")

    def step(self, x: Array, past: Array, cell: Callable[[Array], Array]) -> Any:
        n = zoo.rms_norm(x, eps=self.eps) * self.gain
        if self.is_mixer:
            x = x + cell(n)
        else:
            u, past = zoo.short_convolution(n @ self.Wu + self.bu, past, self.taps)
            gate = zoo.gelu(n @ self.Wz + self.bz)
            x = x + (cell(u + self.b) * gate) @ self.Wo + self.bo
        m = zoo.rms_norm(x, eps=self.eps) * self.mlp_gain
        y = x + (zoo.gelu(m @ self.Wg + self.bg) * (m @ self.Wv + self.bv)) @ self.Wd + self.bd
        return y, past

    def finish(self, y: Array) -> Array:
        return zoo.rms_norm(y, eps=self.eps) * self.final_gain


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(Griffin)
