"""A rate network whose recurrent matrix has a low rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal."""
    return rng.normal(size=shape)


class LowRankRNN(zoo.Cell):
    """Low-rank RNN: a rate network whose units interact through a few directions only.

    The activity is projected on each column of ``n``, and drives the units along the same column of ``m``.
    Without input, the state therefore converges to the space that the columns of ``m`` span, and the dynamics
    in that space can be analysed.

    Equations::

        h' = (1 - alpha) * h + alpha * (tanh(h) n m^T / H + x Wx)
        y  = tanh(h')

    The parameters ``m (H, rank)``, ``n (H, rank)`` and ``Wx (I, H)`` start standard normal. The state is
    ``h (H,)``, and the output ``y`` has size H.

    This is ``LowRankRNN`` of https://github.com/adrian-valente/lowrank_inference, by authors of the theory,
    with trained input weights (``train_wi=True``) and the time step of their experiments. Because weights
    have the size one and their product is divided by H, an update of Adam changes the recurrent matrix
    relative to its size, whatever H is. Their learning rate is 0.01, with gradients clipped at 1.
    """

    name = "low_rank_rnn"
    family = "classic"
    card = zoo.Card(
        title="Linking Connectivity, Dynamics, and Computations in Low-Rank Recurrent Neural Networks",
        authors="Francesca Mastrogiuseppe, Srdjan Ostojic",
        year=2018,
        url="https://doi.org/10.1016/j.neuron.2018.07.003",
        variant="The recurrent matrix has a low rank without a random part, and its two factors and the "
        "input weights are trained.",
        deviations="There is no noise and no bias. The paper adds a random matrix to the one of low rank "
        "and chooses both by theory. The readout of the official code is divided by H, and the readout in "
        "zoo is not.",
        history="Mastrogiuseppe and Ostojic showed in 2018 how connectivity of low rank determines dynamics "
        "and computations of a network. Later work of the same group trains the two factors by gradients on "
        "cognitive tasks, and fits them to recordings of neurons.",
        when_to_use="Use it to explain how a network solves a cognitive task: plot the trajectories in the "
        "space of the columns of m. Start with the smallest rank that solves the task, and train for at "
        "least 1,500 updates, because the loss of a decision task has a plateau at chance. It has 2 · rank "
        "· H recurrent weights instead of H².",
        trainability="Units with alpha = 0.2 follow their input over about five steps, so they mix the last "
        "symbols of a text.",
        related={
            "leaky_rnn": "has a full recurrent matrix. The modifier low_rank gives it two factors, too.",
            "ei_rnn": "has excitatory and inhibitory units and a full matrix.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal, help="input to units")
    m = zoo.Param("H", "rank", init=normal, help="directions that the recurrent input drives")
    n = zoo.Param("H", "rank", init=normal, help="directions that the recurrent input reads")
    h = zoo.State("H", help="units, before the tanh")
    rank = zoo.Option(1, low=1, help="rank of the recurrent matrix")
    alpha = zoo.Option(0.2, low=0.0, high=1.0, help="time step divided by the time constant")

    def step(self, x: Array, h: Array) -> zoo.Output:
        recurrent = zoo.tanh(h) @ self.n @ self.m.T / h.shape[-1]
        h = (1 - self.alpha) * h + self.alpha * (recurrent + x @ self.Wx)
        return zoo.Output(zoo.tanh(h), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the network of low rank."""
    register(LowRankRNN)
