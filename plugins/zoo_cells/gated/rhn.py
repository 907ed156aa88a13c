"""Recurrent highway networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within ``1 / sqrt(H)`` of zero, where H is the number of rows of each matrix."""
    limit = 1 / math.sqrt(shape[-2])
    return rng.uniform(-limit, limit, shape)


class RHN(zoo.Cell):
    """Recurrent highway network: several gated layers within one step, of which the first reads the input.

    Carry gate and transform gate are coupled, ``c = 1 - t``. The order in the weights is candidate g,
    transform t.

    Equations::

        for layer l = 0 .. depth - 1:
            g, t = [l = 0] x Wx + h R[l] + b[l]
            t = sigmoid(t + transform_bias)
            h = t * tanh(g) + (1 - t) * h

    Parameters: ``Wx (I, 2H)`` Glorot uniform, ``R (depth, H, 2H)`` uniform within ``1 / sqrt(H)`` of zero,
    ``b (depth, 2H)`` zero. State and output: ``h (H,)``, the result of the last layer.

    The authors' code (https://github.com/jzilly/RecurrentHighwayNetworks) starts all weights and the bias of
    the candidates uniform within 0.04 of zero at about 1,000 units, and the bias of the transform gates at -2
    or -4. This bias is an option here, and not part of ``b``.
    """

    family = "gated"
    card = zoo.Card(
        title="Recurrent Highway Networks",
        authors="Julian Georg Zilly, Rupesh Kumar Srivastava, Jan Koutník, Jürgen Schmidhuber",
        year=2016,
        url="https://arxiv.org/abs/1607.03474",
        variant="The carry gate is coupled to the transform gate, and the input enters the first layer. "
        "There is no dropout.",
        history="Zilly, Srivastava, Koutník and Schmidhuber carried highway layers over to the recurrent "
        "step in 2016, guided by an analysis of its eigenvalues. On the Penn Treebank, going from one to ten "
        "layers per step lowered the perplexity of words from 90.6 to 65.4 with the same number of "
        "parameters. Melis, Dyer and Blunsom later found that a well tuned LSTM is better.",
        when_to_use="Use it if the step itself has to compute a deep function, for example in language "
        "models. In our short run on text it is among the best cells, with about one and a half times the "
        "parameters of the gru. The layers of a step run one after the other, so a step takes ``depth`` "
        "times as long as with one layer.",
        related={
            "ugrnn": "has one gated layer in each step.",
            "intersection_rnn": "has a second gate, along the layers of a stack.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to g, t of the first layer")
    R = zoo.Param("depth", "H", "2H", init=uniform, help="hidden to g, t of every layer")
    b = zoo.Param("depth", "2H", help="bias of g, t of every layer")
    h = zoo.State("H", help="hidden units, and the output")
    depth = zoo.Option(3, help="layers within a step", low=1, high=64)
    transform_bias = zoo.Option(
        -2.0, help="added to the transform gates, below zero to carry the state at first"
    )
    gates = zoo.Gates(input_gate="t", forget_gate="1 - t", candidate="tanh_g")

    def step(self, x: Array, h: Array) -> Array:
        for layer in range(self.depth):
            a = h @ self.R[layer] + self.b[layer]
            g, t = zoo.split(a + x @ self.Wx if layer == 0 else a, 2)
            t = zoo.sigmoid(t + self.transform_bias)
            h = t * zoo.tanh(g) + (1 - t) * h
        return h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the recurrent highway network."""
    register(RHN)
