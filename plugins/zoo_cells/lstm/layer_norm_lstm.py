"""Long short-term memory with layer normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within 0.1 of zero."""
    return rng.uniform(-0.1, 0.1, shape)


class LayerNormLSTM(zoo.Cell):
    """LSTM with layer normalisation of its matrix products and of its memory.

    The product with the input, the product with the last output, and the memory before the output gate are
    each normalised to mean zero and variance one. For the products, the mean and the variance are over the 4H
    values of all gates together. The stored memory itself is not normalised. The order of the gates in the
    weights is input i, forget f, candidate g, output o.

    Equations::

        norm(a) = (a - mean(a)) / sqrt(mean((a - mean(a))^2) + 1e-5)
        i, f, g, o = gx * norm(x Wx) + gh * norm(h Wh) + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(gc * norm(c') + bc)

    Parameters: ``Wx (I, 4H)`` uniform within 0.1 of zero, ``Wh (H, 4H)`` orthogonal for each gate,
    ``b (4H,)`` and ``bc (H,)`` zero, the gains ``gx (4H,)``, ``gh (4H,)`` and ``gc (H,)`` one. States:
    ``h (H,)``, which is the output, and ``c (H,)``, not normalised.

    The equations are from the supplement of the paper. There, both norms of the gates have a shift in
    addition to the bias, three vectors that are only ever added. Here they are one vector, ``b``. The
    epsilon is from the official Theano code (https://github.com/ryankiros/layer-norm). It extends the GRU of
    skip-thoughts, from which the initial values are taken, and the LSTM of Attentive Reader, which has other
    ones.
    """

    family = "lstm"
    card = zoo.Card(
        title="Layer Normalization",
        authors="Jimmy Lei Ba, Jamie Ryan Kiros, Geoffrey E. Hinton",
        year=2016,
        url="https://arxiv.org/abs/1607.06450",
        variant="The products x W and h W and the memory at the output are normalised, with statistics over "
        "all four gates together. There are no peepholes.",
        deviations="The official Theano code adds b to x W both before and after its norm, while the paper "
        "adds it once. It starts Wx orthogonal for each gate where I = H. This cell has one bias in place of "
        "three that add up. TensorFlow's LayerNormBasicLSTMCell is another cell: it normalises each gate "
        "separately, and normalises the stored memory.",
        history="Ba, Kiros and Hinton introduced layer normalisation in 2016. Batch normalisation depends on "
        "the batch and is hard to apply to recurrent networks, so they normalise over the units of one "
        "example at each step. They found that it stabilises the hidden state and shortens training. "
        "Transformers later made layer normalisation a standard part.",
        when_to_use="Use it if an lstm trains slowly or is sensitive to the learning rate. In our short run "
        "on text it is far better than the lstm at the same size. It has the same matrices and state, but a "
        "step also computes three normalisations and stores more than twice the activations of an lstm. For "
        "other cells, use the modifier ``layer_norm``.",
        related={
            "lstm": "has no normalisation.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init="orthogonal", help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    gx = zoo.Param("4H", init="ones", help="gain of the product with the input")
    gh = zoo.Param("4H", init="ones", help="gain of the product with the hidden units")
    gc = zoo.Param("H", init="ones", help="gain of the memory at the output")
    bc = zoo.Param("H", help="shift of the memory at the output")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells, not normalised")
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        gates = self.gx * zoo.layer_norm(x @ self.Wx) + self.gh * zoo.layer_norm(h @ self.Wh)
        i, f, g, o = zoo.split(gates + self.b, 4)
        c = zoo.sigmoid(f) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(self.gc * zoo.layer_norm(c) + self.bc), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with layer normalisation."""
    register(LayerNormLSTM)
