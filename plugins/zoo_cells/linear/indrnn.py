"""Independently recurrent neural networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def unit_interval(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform between zero and one: some units forget at once, some remember."""
    return rng.uniform(0, 1, shape)


class IndRNN(zoo.Cell):
    """Independently recurrent network: each unit reads the input and its own last output only.

    Equations::

        h' = activation(x Wx + u * h + b)

    Parameters: ``Wx (I, H)`` uniform within ``1 / sqrt(I)`` of zero, ``u (H,)`` uniform between 0 and 1,
    ``b (H,)`` zero. State and output: ``h (H,)``. Units of one layer do not mix; the next layer mixes them.

    With relu, gradients over T steps are bounded as long as ``|u|`` stays below the T-th root of the largest
    factor one allows; the authors' code clips u after every update, which here is up to the training.
    """

    name = "indrnn"
    family = "linear"
    card = zoo.Card(
        title="Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
        authors="Shuai Li, Wanqing Li, Chris Cook, Ce Zhu, Yanbo Gao",
        year=2018,
        url="https://arxiv.org/abs/1803.04831",
        variant="One plain layer with relu or tanh; recurrent weights start as in the authors' code.",
        deviations="The recurrent weights are not clipped.",
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to hidden")
    u = zoo.Param("H", init=unit_interval, help="each unit to itself")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    activation = zoo.Option("relu", help="what a unit makes of its sum", choices=("relu", "tanh"))

    def step(self, x: Array, h: Array) -> Array:
        a = x @ self.Wx + self.u * h + self.b
        return zoo.relu(a) if self.activation == "relu" else zoo.tanh(a)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the independently recurrent network."""
    register(IndRNN)
