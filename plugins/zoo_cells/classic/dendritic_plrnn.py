"""The dendritic piecewise-linear recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.classic.plrnn import dominated

Array = Any


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal."""
    return rng.normal(size=shape)


class DendriticPLRNN(zoo.Cell):
    """Dendritic PLRNN: each unit reads other units through a sum of rectifiers with several thresholds.

    The sum of rectifiers is a piecewise-linear function of a unit, like the dendrite of a neuron. Fewer units
    than in ``plrnn`` follow the same dynamics, and fixed points and cycles can still be computed region by
    region. With ``clipped=True`` the orbits stay bounded where all diagonal elements are below one.

    Equations, where A is the diagonal of ``Wh`` and W is ``Wh`` without its diagonal, and the clipped form
    subtracts ``relu(h)`` from each rectifier::

        z_b = relu(h + theta_b)
        h'  = h A + (alpha_1 * z_1 + ... + alpha_B * z_B) W + bias + x Wx

    The parameter ``Wh (H, H)`` starts as in ``plrnn``. ``alpha (bases,)`` and ``bias (H,)`` start uniform
    within one over the root of their size of zero, and ``theta (H, bases)`` starts standard normal.
    ``Wx (I, H)`` starts Glorot uniform. The state ``h (H,)`` is the output.

    Equations, initial values and the default of five bases come from
    https://github.com/DurstewitzLab/dendPLRNN (GPL-3.0), the code of the paper. This code has no external
    input. Initial input weights come from the same authors' code in Julia,
    https://github.com/DurstewitzLab/GTF-shPLRNN.
    """

    name = "dendritic_plrnn"
    family = "classic"
    card = zoo.Card(
        title="Tractable Dendritic RNNs for Reconstructing Nonlinear Dynamical Systems",
        authors="Manuel Brenner, Florian Hess, Jonas M. Mikhaeil, Leonard Bereska, Zahra Monfared, Po-Chen "
        "Kuo, Daniel Durstewitz",
        year=2022,
        url="https://arxiv.org/abs/2207.02542",
        variant="The form without mean centring is the default, with external inputs, and an option chooses "
        "the clipped form.",
        deviations="The default of the official code is plrnn, without bases and with mean centring. States "
        "are not cut at 10, where the official code cuts the states of the plain form. Thresholds start "
        "standard normal, which is the official choice where no data are given, and not uniform over the "
        "range of the data. The initial state is zero.",
        history="Brenner and others published it in 2022. It extends plrnn by a basis of thresholds, and "
        "they train it by back-propagation with sparse teacher forcing. The shallow PLRNN of 2023 "
        "(shallow_plrnn) replaces the bases by a hidden layer.",
        when_to_use="Use it to reconstruct a dynamical system from a time series with few units. Raise "
        "bases before units. The paper trains it with teacher forcing and centres the units or regularises "
        "some of them. Analyse it with zoo.analysis.fixed_points.",
        related={
            "plrnn": "has one threshold for each unit.",
            "shallow_plrnn": "has a layer of rectified units.",
            "al_rnn": "has few rectified units.",
        },
    )
    Wh = zoo.Param("H", "H", init=dominated, help="unit to itself on the diagonal, to other units off it")
    alpha = zoo.Param("bases", init="hidden_uniform", help="weights of the bases")
    theta = zoo.Param("H", "bases", init=normal, help="thresholds of the bases")
    bias = zoo.Param("H", init="hidden_uniform", help="bias of the units")
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to units")
    h = zoo.State("H", help="units, and the output")
    bases = zoo.Option(5, low=1, help="thresholds of each unit")
    clipped = zoo.Option(False, help="whether orbits are bounded")

    def step(self, x: Array, h: Array) -> Array:
        diagonal = self.Wh * zoo.eye(h.shape[-1])
        z = zoo.relu(h[:, None] + self.theta)
        if self.clipped:
            z = z - zoo.relu(h)[:, None]
        return (
            h * np.sum(diagonal, axis=0) + (z @ self.alpha) @ (self.Wh - diagonal) + self.bias + x @ self.Wx
        )


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the dendritic piecewise-linear network."""
    register(DendriticPLRNN)
