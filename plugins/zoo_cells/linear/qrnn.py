"""The quasi-recurrent neural network: convolutions along time, and a recurrent pooling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def window_uniform(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Uniform within ``1 / sqrt(k I)`` of zero."""
    rows = shape[0] if len(shape) == 2 else shape[1]
    limit = 1 / math.sqrt(cell.k * rows)
    return rng.uniform(-limit, limit, shape)


class QRNN(zoo.Cell):
    """Quasi-recurrent network: gates that read the last ``k`` inputs and no state.

    Only the pooling is recurrent: it is a running average with a rate that the gate f sets anew at every
    step. The parts of the convolution are, in order, the candidate z, the forget gate f and the output gate
    o.

    Equations, where ``past`` holds the inputs before x, the latest first::

        z, f, o = x Wx + past[0] Wp[0] + ... + past[k - 2] Wp[k - 2] + b
        z, f, o = tanh(z), sigmoid(f), sigmoid(o)
        c' = f * c + (1 - f) * z
        h  = o * c'
        past' = x, past[0], ..., past[k - 3]

    The parameters ``Wx (I, 3H)`` and ``Wp (k - 1, I, 3H)`` are together the filter and start uniform within
    ``1 / sqrt(k I)`` of zero. ``b (3H,)`` starts at zero. The states are ``c (H,)`` and ``past (k - 1, I)``,
    which is zero before the sequence, like the padding in the paper. The output ``h`` has size H.

    A convolution of width k that does not look ahead is computed one step at a time, with its window in
    ``past``. The equations are taken from the paper, where f near one keeps the memory. In the authors' code,
    https://github.com/salesforce/pytorch-qrnn, ``1 - f`` keeps it. The order of the parts and the initial
    values, except for the bias, come from that code.
    """

    family = "linear"
    card = zoo.Card(
        title="Quasi-Recurrent Neural Networks",
        authors="James Bradbury, Stephen Merity, Caiming Xiong, Richard Socher",
        year=2016,
        url="https://arxiv.org/abs/1611.01576",
        variant="This is fo-pooling over a causal convolution of width k, without zoneout and dense "
        "connections.",
        deviations="Each part has a bias, as in the authors' code. It starts at zero, and there it starts "
        "uniformly. The paper has none. The forget gate has the meaning of the paper, which is the opposite "
        "of the meaning in the authors' code.",
        history="Bradbury, Merity, Xiong and Socher published it in 2016. It moves all products out of the "
        "recurrence: gates come from a convolution along time, and an average with the gate as its rate is "
        "the only recurrent part, called dynamic average pooling by Balduzzi and Ghifary (2016). The paper "
        "reports up to 16 times the speed of an LSTM on GPUs. SRU, HGRN and minGRU continue this line.",
        when_to_use="Use it where speed matters more than gates that read the state, for example for stacks "
        "of layers on text. A step has no recurrent matrix product, and the products of all steps can be "
        "computed together. A larger k replaces some memory by a longer window, and each further input "
        "costs I * 3H weights. The output gate lets a layer hide what it stores.",
        related={
            "t_rnn": "reads one input and has no output gate.",
            "t_lstm": "reads two inputs and has a candidate without a squashing function.",
            "sru": "has gates that read their own state, and a highway.",
            "hgrn": "reads one input and has a lower bound of the forget gate.",
            "min_gru": "reads one input and has no output gate.",
            "min_lstm": "reads one input and has an input gate.",
        },
    )
    Wx = zoo.Param("I", "3H", init=window_uniform, help="input to z, f, o")
    Wp = zoo.Param(
        "k-1", "I", "3H", init=window_uniform, help="previous inputs, the latest first, to z, f, o"
    )
    b = zoo.Param("3H", help="bias of z, f, o")
    c = zoo.State("H", help="memory cells")
    past = zoo.State("k-1", "I", help="the previous inputs, the latest first")
    k = zoo.Option(2, low=2, high=64, help="inputs in the window of the convolution, with the present one")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", output_gate="sigmoid_o", candidate="tanh_z")

    def step(self, x: Array, c: Array, past: Array) -> zoo.Output:
        Wp = self.Wp.reshape(-1, self.Wp.shape[-1])
        z, f, o = zoo.split(x @ self.Wx + past.reshape(-1) @ Wp + self.b, 3)
        f = zoo.sigmoid(f)
        c = f * c + (1 - f) * zoo.tanh(z)
        return zoo.Output(zoo.sigmoid(o) * c, c, np.concatenate([x[None], past])[:-1])


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the QRNN."""
    register(QRNN)
