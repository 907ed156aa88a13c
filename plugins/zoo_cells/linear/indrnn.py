"""Independently recurrent neural networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def unit_interval(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform between zero and one, so that some units forget at once and some remember."""
    return rng.uniform(0, 1, shape)


class IndRNN(zoo.Cell):
    """Independently recurrent network: each unit reads the input and its own last output only.

    Equations::

        h' = activation(x Wx + u * h + b)

    The parameter ``Wx (I, H)`` starts uniform within ``1 / sqrt(I)`` of zero, ``u (H,)`` uniform between 0
    and 1, and ``b (H,)`` at zero. The state ``h (H,)`` is the output. Units of one layer do not mix, and the
    next layer mixes them.

    With relu, gradients over T steps are bounded as long as ``|u|`` stays below the T-th root of the largest
    factor that is allowed. The authors' code clips u after every update, and zoo does not.
    """

    name = "indrnn"
    family = "linear"
    card = zoo.Card(
        title="Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
        authors="Shuai Li, Wanqing Li, Chris Cook, Ce Zhu, Yanbo Gao",
        year=2018,
        url="https://arxiv.org/abs/1803.04831",
        variant="This is one plain layer with relu or tanh. The recurrent weights start as in the authors' "
        "code.",
        deviations="The recurrent weights are not clipped. The authors' networks draw the input weights "
        "within 0.3 / sqrt(I) of zero.",
        history="Li, Li, Cook, Zhu and Gao published it in 2018. It makes the recurrent matrix diagonal, so "
        "that the gradient of each unit over time is a power of one number that can be controlled. The "
        "authors process sequences of over 5,000 steps and stack 21 layers. Later linear recurrences such "
        "as lru keep the diagonal and drop the nonlinearity.",
        when_to_use="Use it in stacks of at least two layers, because one layer does not mix its units. "
        "With relu, use a small learning rate and gradient clipping, or keep u below one yourself, because "
        "a weight above one makes the state grow without bound. A step has no recurrent matrix product, so "
        "it is cheap for large H. It is not linear in the state, so a parallel scan does not apply.",
        related={
            "rtu": "rotates pairs of states.",
            "para_gru": "has gates.",
            "vanilla": "has a full recurrent matrix.",
            "irnn": "starts with eigenvalues of one and has a full recurrent matrix.",
            "unicornn": "also has one recurrent weight for each unit, in an oscillator.",
            "indy_lstm": "is an LSTM with a diagonal recurrent matrix.",
            "lru": "has a diagonal recurrence without a nonlinearity.",
            "brc": "also has recurrent weights within units only, and gates.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to hidden")
    u = zoo.Param("H", init=unit_interval, help="each unit to itself")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    activation = zoo.Option("relu", help="activation function", choices=("relu", "tanh"))

    def step(self, x: Array, h: Array) -> Array:
        a = x @ self.Wx + self.u * h + self.b
        return zoo.relu(a) if self.activation == "relu" else zoo.tanh(a)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the independently recurrent network."""
    register(IndRNN)
