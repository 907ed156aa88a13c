"""A rate network of excitatory and inhibitory units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def signs(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """One for the first, excitatory units, and minus one for the others."""
    return np.where(np.arange(shape[0]) < int(cell.excitatory * shape[0]), 1.0, -1.0)


def balanced(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform within ``1 / sqrt(H)`` of zero, less for excitatory units, such that both balance."""
    count, limit = int(cell.excitatory * shape[0]), 1 / math.sqrt(shape[1])
    W = rng.uniform(-limit, limit, shape)
    if count:
        W[:count] *= (shape[0] - count) / count
    return W


class EIRNN(zoo.Cell):
    """E-I RNN: a rate network of excitatory and inhibitory units, which obeys Dale's law.

    The absolute values of a row of ``Wh`` are the weights from one unit, and all have the sign of the unit.
    No unit connects to itself.

    Equations::

        W  = abs(Wh) * (1 - I)
        h' = (1 - alpha) * h + alpha * (x Wx + (sign * relu(h)) W + b)
        y  = relu(h')

    The parameter ``Wx (I, H)`` starts uniform within ``1 / sqrt(I)`` of zero, and ``b (H,)`` within
    ``1 / sqrt(H)``. ``Wh (H, H)`` starts uniform within ``1 / sqrt(H)`` of zero, and the rows of excitatory
    units are multiplied by the ratio of inhibitory to excitatory units. The buffer ``sign (H,)`` is one for
    the first units, the excitatory part, and minus one for the others. The state is ``h (H,)``, and the
    output ``y``, the firing rates, has size H.

    This is ``EIRNN`` of https://github.com/gyyang/nn-brain (EI_RNN.ipynb, MIT), with the time step of 20 ms
    and the time constant of 100 ms of the notebook.
    """

    name = "ei_rnn"
    family = "classic"
    card = zoo.Card(
        title="Training Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks: A Simple and "
        "Flexible Framework",
        authors="H. Francis Song, Guangyu R. Yang, Xiao-Jing Wang",
        year=2016,
        url="https://doi.org/10.1371/journal.pcbi.1004792",
        variant="Four of five units are excitatory, the input weights have both signs, and absolute values "
        "keep the recurrent weights positive.",
        deviations="There is no noise. The two biases of the notebook are one here. The readout of the "
        "notebook reads excitatory units only, and in zoo it reads all units: the constraint dale gives the "
        "readout the same signs.",
        history="Song, Yang and Wang published a framework in 2016 that trains networks of excitatory and "
        "inhibitory units by back-propagation, with structured connections. Yang and Wang published this "
        "form in PyTorch with a primer on neural networks for neuroscientists.",
        when_to_use="Use it as a model of cortical circuits in neuroscience, for example on the tasks "
        "decision_1 and delay_go. Choose alpha as the time step divided by the time constant of a neuron. "
        "The constraint dale does the same for any rate cell after each update. A step costs one product "
        "with an H × H matrix, like vanilla.",
        trainability="Units with alpha = 0.2 follow their input over about five steps, so they mix the last "
        "symbols of a text.",
        related={
            "leaky_rnn": "has weights of both signs from each unit.",
            "stsp_rnn": "has synapses that change their strength during a trial.",
            "low_rank_rnn": "has a recurrent matrix of low rank.",
            "ctrnn": "has a trained time constant for each unit.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to units")
    Wh = zoo.Param("H", "H", init=balanced, help="unit to other units, of which the absolute value counts")
    b = zoo.Param("H", init="hidden_uniform", help="bias")
    sign = zoo.Buffer("H", init=signs, help="one for excitatory units, minus one for inhibitory ones")
    h = zoo.State("H", help="synaptic input of the units")
    alpha = zoo.Option(0.2, low=0.0, high=1.0, help="time step divided by the time constant")
    excitatory = zoo.Option(0.8, low=0.0, high=1.0, help="part of the units that are excitatory")

    def step(self, x: Array, h: Array) -> zoo.Output:
        W = np.abs(self.Wh) * (1 - zoo.eye(h.shape[-1]))
        h = (1 - self.alpha) * h + self.alpha * (x @ self.Wx + (self.sign * zoo.relu(h)) @ W + self.b)
        return zoo.Output(zoo.relu(h), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the network of excitatory and inhibitory units."""
    register(EIRNN)
