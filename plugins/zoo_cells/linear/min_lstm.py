"""The minimal LSTM, whose gates do not read the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class MinLSTM(zoo.Cell):
    """Minimal LSTM: input and forget gate read the input alone and add up to one.

    The cell is linear in the state: it is a running average with a rate that two gates choose. This is the
    form of Feng and others 2024 that does not depend on the length. The parts of the input product are, in
    order, the forget gate f, the input gate i and the candidate n.

    Equations::

        f, i, n = x Wx + b
        n = g(n)                 if positive, where g(n) = n + 1/2 for n >= 0, else sigmoid(n)
        f = sigmoid(f) / (sigmoid(f) + sigmoid(i))
        h' = f * h + (1 - f) * n

    The share of the input gate is ``1 - f = sigmoid(i) / (sigmoid(f) + sigmoid(i))``. The quotient is
    computed from logarithms, which do not vanish where both gates are closed.

    The parameter ``Wx (I, 3H)`` starts uniform within ``1 / sqrt(I)`` of zero, as in PyTorch's ``nn.Linear``,
    and ``b (3H,)`` starts at zero. The state ``h (H,)`` is the output.

    Without ``positive`` the candidate has no squashing function. With ``positive`` it has the function of the
    form that the paper trains by a scan over logarithms. https://github.com/lucidrains/minGRU-pytorch has the
    latter form without a bias and in another order: n, f, i. The code of the authors,
    https://github.com/BorealisAI/minRNNs, has this form alone, and draws ``b`` as ``Wx``. Its options add a
    number to the bias of the forget gate.
    """

    name = "min_lstm"
    family = "linear"
    card = zoo.Card(
        title="Were RNNs All We Needed?",
        authors="Leo Feng, Frederick Tung, Mohamed Osama Ahmed, Yoshua Bengio, Hossein Hajimirsadeghi",
        year=2024,
        url="https://arxiv.org/abs/2410.01201",
        variant="This is the minLSTM with normalised gates, in its sequential form. The positive candidates "
        "of the log-space form are an option.",
        deviations="The convolution, residual connection and normalisation around the recurrence are left "
        "out. The block prenorm has no convolution.",
        history="It is the second cell in the paper of Feng, Tung, Ahmed, Bengio and Hajimirsadeghi (2024). "
        "It keeps the forget and the input gate of an LSTM, drops the output gate, and normalises the two "
        "gates so that the size of the state does not depend on the length of the sequence.",
        when_to_use="Use it like min_gru where one gate is not enough: it has three projections of the "
        "input where min_gru has two, and the same state. Stack at least two layers with residual "
        "connections. Use lstm where gates must read the state.",
        block="prenorm",
        related={
            "min_gru": "has one gate.",
            "lstm": "has gates that read the state, and an output gate.",
            "qrnn": "reads several inputs and has an output gate.",
            "hgrn": "has one gate with a lower bound.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to gates f, i and candidate n")
    b = zoo.Param("3H", help="bias of gates f, i and candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    positive = zoo.Option(False, help="keep the candidate above zero by g, as the log-space form does")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        f, i, n = zoo.split(x @ self.Wx + self.b, 3)
        if self.positive:
            n = np.where(n >= 0, n + 0.5, zoo.sigmoid(n))
        f = zoo.sigmoid(zoo.log_sigmoid(f) - zoo.log_sigmoid(i))
        return f * h + (1 - f) * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the minLSTM."""
    register(MinLSTM)
