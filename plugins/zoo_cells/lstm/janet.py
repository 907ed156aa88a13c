"""JANET: an LSTM with a forget gate only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def chrono(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Logarithm of a number uniform between 1 and ``t_max`` for the gate, zero for the candidate."""
    width = shape[0] // 2
    return np.concatenate([np.log(rng.uniform(1, cell.t_max, width)), np.zeros(width)])


class JANET(zoo.Cell):
    """JANET: an LSTM with a forget gate only, whose biases start with different time scales.

    Of the gates of the LSTM only the forget gate remains, and the memory is the output. Because of ``beta``
    the gate lets in a little more than it forgets. The order in the weights is gate s, candidate g.

    Equations::

        s, g = x Wx + h Wh + b
        h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * tanh(g)

    Parameters: ``Wx (I, 2H)`` and ``Wh (H, 2H)`` Glorot uniform, ``b (2H,)`` for the gate the logarithm of a
    uniform draw between 1 and ``t_max``, and for the candidate zero. State and output: ``h (H,)``, which the
    paper also calls c.

    The initial bias is called chrono initialization: a unit whose gate rests at ``sigmoid(log(t))`` forgets
    within about t steps. The equations and the initial values are from the official code
    (https://github.com/JosvanderWesthuizen/janet), where the gate comes second and ``t_max`` is the length of
    the sequences of the task, 200 by default.
    """

    family = "lstm"
    card = zoo.Card(
        title="The unreasonable effectiveness of the forget gate",
        authors="Jos van der Westhuizen, Joan Lasenby",
        year=2018,
        url="https://arxiv.org/abs/1804.04849",
        variant="Beta is constant at 1, and the biases have the chrono initialization.",
        deviations="In the official code a flag turns on the chrono initialization, and all layers draw the "
        "same biases. Without the flag the bias of the gate is 1. Dropout on the outputs is left to the "
        "training program.",
        history="Van der Westhuizen and Lasenby asked in 2018 which gates of an LSTM are necessary, after "
        "Greff et al. had found the forget gate to be the most important one. Their answer keeps this gate "
        "alone and starts its bias by the chrono initialization of Tallec and Ollivier. They report 99 % on "
        "pixels of MNIST digits and 92.5 % on permuted pixels, above their LSTM.",
        when_to_use="Use it for long sequences of known length with few parameters: it has half the weights "
        "of an lstm and one state vector. Set ``t_max`` to the length of the dependencies. In a text without "
        "end most units start out far too slow at the default of 200, and in our short run it learns slower "
        "than the lstm.",
        related={
            "lstm": "adds an input gate and an output gate.",
            "cifg_lstm": "adds an output gate.",
            "ugrnn": "also has one gate, without an offset between forgetting and writing.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to gate s and candidate g")
    Wh = zoo.Param("H", "2H", init="glorot_uniform", help="hidden to gate s and candidate g")
    b = zoo.Param("2H", init=chrono, help="bias of gate s and candidate g")
    h = zoo.State("H", help="memory cells, and the output")
    beta = zoo.Option(1.0, help="subtracted from the gate that weights the candidate")
    t_max = zoo.Option(200.0, low=1.0, help="longest time that a unit remembers at first, in steps")
    gates = zoo.Gates(input_gate="1 - sigmoid_s_2", forget_gate="sigmoid_s", candidate="tanh_g")

    def step(self, x: Array, h: Array) -> Array:
        s, g = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 2)
        return zoo.sigmoid(s) * h + (1 - zoo.sigmoid(s - self.beta)) * zoo.tanh(g)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the JANET."""
    register(JANET)
