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

    What comes from the input, what comes from the hidden units and what the memory shows are each normalised
    to mean zero and variance one; the first two over the 4H values of all gates together. The memory itself
    is left as it is. The gates stand in the order input i, forget f, candidate g, output o.

    Equations::

        norm(a) = (a - mean(a)) / sqrt(mean((a - mean(a))^2) + 1e-5)
        i, f, g, o = gx * norm(x Wx) + gh * norm(h Wh) + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(gc * norm(c') + bc)

    Parameters: ``Wx (I, 4H)`` uniform within 0.1 of zero, ``Wh (H, 4H)`` orthogonal for each gate,
    ``b (4H,)`` and ``bc (H,)`` zero, the gains ``gx (4H,)``, ``gh (4H,)`` and ``gc (H,)`` one. States:
    ``h (H,)``, which is the output, and ``c (H,)``, not normalised.

    Equations are the paper's (its supplement), in which both norms of the gates have a shift beside the bias,
    three vectors that are only ever added; here they are one, ``b``. Start and epsilon are those of the
    official Theano code (https://github.com/ryankiros/layer-norm, and skip-thoughts, which it extends).
    """

    family = "lstm"
    card = zoo.Card(
        title="Layer Normalization",
        authors="Jimmy Lei Ba, Jamie Ryan Kiros, Geoffrey E. Hinton",
        year=2016,
        url="https://arxiv.org/abs/1607.06450",
        variant="Normalised x W, h W and shown memory; statistics over all four gates together; no "
        "peepholes.",
        deviations="The official Theano code adds b to x W before its norm as well as after it, which the "
        "paper has not, and starts Wx orthogonal for each gate where I = H. One bias in place of three that "
        "add up. TensorFlow's LayerNormBasicLSTMCell, which is something else, normalises each gate apart, "
        "and the memory that is kept.",
        related={
            "lstm": "has no normalisation.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init="orthogonal", help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    gx = zoo.Param("4H", init="ones", help="gain of what comes from the input")
    gh = zoo.Param("4H", init="ones", help="gain of what comes from the hidden units")
    gc = zoo.Param("H", init="ones", help="gain of the memory that is shown")
    bc = zoo.Param("H", help="shift of the memory that is shown")
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
