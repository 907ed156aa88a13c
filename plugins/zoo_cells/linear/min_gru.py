"""The minimal gated recurrent unit, whose gate does not read the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class MinGRU(zoo.Cell):
    """Minimal gated recurrent unit: a GRU whose gate and candidate read the input alone.

    The cell is linear in the state: it is a running average with a rate that the input chooses. This is the
    sequential form of Feng and others 2024. The parts of the input product are, in order, the gate z and the
    candidate n.

    Equations::

        z, n = x Wx + b
        n = g(n)                 if positive, where g(n) = n + 1/2 for n >= 0, else sigmoid(n)
        z = sigmoid(z)
        h' = (1 - z) * h + z * n

    The parameter ``Wx (I, 2H)`` starts uniform within ``1 / sqrt(I)`` of zero, as in PyTorch's ``nn.Linear``,
    and ``b (2H,)`` starts at zero. The state ``h (H,)`` is the output.

    Without ``positive`` it is the plain form of the paper, whose candidate has no squashing function. With
    ``positive`` it is the form of its appendix B.3, which is trained by a scan over logarithms and therefore
    has positive candidates, as in https://github.com/lucidrains/minGRU-pytorch, which has no bias. The code
    of the authors, https://github.com/BorealisAI/minRNNs, has this form alone, and draws ``b`` as ``Wx``.
    """

    name = "min_gru"
    family = "linear"
    card = zoo.Card(
        title="Were RNNs All We Needed?",
        authors="Leo Feng, Frederick Tung, Mohamed Osama Ahmed, Yoshua Bengio, Hossein Hajimirsadeghi",
        year=2024,
        url="https://arxiv.org/abs/2410.01201",
        variant="This is the minGRU in its sequential form. The positive candidates of the log-space form "
        "are an option.",
        deviations="The convolution, residual connection and normalisation around the recurrence are left "
        "out. The block prenorm has no convolution.",
        history="Feng, Tung, Ahmed, Bengio and Hajimirsadeghi published it in 2024. They removed the state "
        "from the gates of the GRU and the LSTM, so that a parallel scan can train them, and report results "
        "that rival recent models such as Transformers. QRNN (2016), SRU (2017) and HGRN (2023) had gates "
        "without the state before.",
        when_to_use="Use it as the simplest gated linear recurrence: it has two projections of the input, "
        "one state of size H and no recurrent product. The gate of a layer does not read the state, so "
        "stack at least two layers with residual connections. The advantage of a parallel scan applies to "
        "GPUs, and zoo computes it step by step. Use gru where gates must read the state.",
        block="prenorm",
        related={
            "para_gru": "is nonlinear in its state.",
            "gru": "has gates that read the state, and a reset gate.",
            "min_lstm": "has separate forget and input gates.",
            "hgrn": "has a lower bound of the forget gate and a squashed candidate.",
            "qrnn": "reads several inputs and has an output gate.",
            "sru": "has gates that read their own state, and a highway.",
            "rg_lru": "has a trained rate of decay for each unit and scales the input by the decay.",
            "mamba": "has several integrators for each channel, a convolution and a gate after them.",
            "light_ru": "has a gate that reads the state.",
            "minimal_rnn": "has a gate that reads the state.",
            "t_rnn": "has the same equations, with 1 - z as its gate and no bias in the content.",
        },
    )
    Wx = zoo.Param("I", "2H", init="fan_in_uniform", help="input to gate z and candidate n")
    b = zoo.Param("2H", help="bias of gate z and candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    positive = zoo.Option(False, help="keep the candidate above zero by g, as the log-space form does")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        z, n = zoo.split(x @ self.Wx + self.b, 2)
        if self.positive:
            n = np.where(n >= 0, n + 0.5, zoo.sigmoid(n))
        z = zoo.sigmoid(z)
        return (1 - z) * h + z * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minGRU."""
    register(MinGRU)
