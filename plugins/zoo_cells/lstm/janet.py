"""JANET: an LSTM that is nothing but its forget gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def chrono(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Logarithms of spans between one and ``t_max`` for the gate, zero for the candidate."""
    width = shape[0] // 2
    return np.concatenate([np.log(rng.uniform(1, cell.t_max, width)), np.zeros(width)])


class JANET(zoo.Cell):
    """JANET: an LSTM with a forget gate only, whose biases start with different time scales.

    Of the LSTM's gates only the forget gate stays; the memory itself is shown. ``beta`` lets in a little more
    than the gate forgets. The weights stand in the order gate s, candidate g.

    Equations::

        s, g = x Wx + h Wh + b
        h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * tanh(g)

    Parameters: ``Wx (I, 2H)`` and ``Wh (H, 2H)`` Glorot uniform; ``b (2H,)`` for the gate the logarithm of a
    uniform draw between 1 and ``t_max``, for the candidate zero. State and output: ``h (H,)``, which the
    paper calls c as well.

    The initializer of the bias is called chrono initialisation: a unit whose gate rests at
    ``sigmoid(log(t))`` forgets within about t steps. Equations and initialization are those of the official
    code (https://github.com/JosvanderWesthuizen/janet), where the gate stands second and ``t_max`` is the
    length of the task's sequences, 200 by default.
    """

    family = "lstm"
    card = zoo.Card(
        title="The unreasonable effectiveness of the forget gate",
        authors="Jos van der Westhuizen, Joan Lasenby",
        year=2018,
        url="https://arxiv.org/abs/1804.04849",
        variant="JANET with beta constant at 1 and chrono-initialised biases.",
        deviations="The official code leaves the chrono initialization to a flag, and draws the same biases "
        "in every layer; without the flag the gate's bias is 1. Dropout on the outputs is left to the "
        "training program.",
        related={
            "cifg_lstm": "adds an output gate.",
            "lstm": "adds input and output gate.",
            "ugrnn": "has one gate, too, without an offset between what is kept and what is written.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to gate s and candidate g")
    Wh = zoo.Param("H", "2H", init="glorot_uniform", help="hidden to gate s and candidate g")
    b = zoo.Param("2H", init=chrono, help="bias of gate s and candidate g")
    h = zoo.State("H", help="memory cells, and the output")
    beta = zoo.Option(1.0, help="taken from the gate where it guards what is new")
    t_max = zoo.Option(200.0, low=1.0, help="longest span that a unit remembers at the start, in steps")
    gates = zoo.Gates(input_gate="1 - sigmoid_s_2", forget_gate="sigmoid_s", candidate="tanh_g")

    def step(self, x: Array, h: Array) -> Array:
        s, g = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 2)
        return zoo.sigmoid(s) * h + (1 - zoo.sigmoid(s - self.beta)) * zoo.tanh(g)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the JANET."""
    register(JANET)
