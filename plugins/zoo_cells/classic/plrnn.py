"""The piecewise-linear recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def dominated(rng: np.random.Generator, shape: Shape) -> Array:
    """The sum of the identity and a random positive matrix, divided by its largest eigenvalue."""
    R = rng.normal(size=shape)
    both = np.eye(len(R)) + R.T @ R / len(R)
    return both / np.linalg.eigvalsh(both).max()


class PLRNN(zoo.Cell):
    """Piecewise-linear RNN: linear units coupled through rectifiers, whose dynamics can be analysed exactly.

    Fixed points and cycles of such a network can be computed region by region. It serves as a model of
    measured systems, such as neurons. The past of a unit reaches the unit itself without the rectifier.

    Equations, where A is the diagonal of ``Wh`` and W is ``Wh`` without its diagonal::

        h' = h A + relu(h - theta) W + x Wx
        y  = relu(h' - theta)

    The parameter ``Wh (H, H)`` holds A and W. It starts as the identity plus ``R^T R / H`` with R normal,
    divided by its largest eigenvalue. ``Wx (I, H)`` and ``theta (H,)`` start uniform within one over the root
    of their first size of zero. The state is ``h (H,)``. The output ``y`` has size H and holds the rectified
    units, which the observation model of the paper reads.

    The equations are taken from ``SimPLRNN.m`` in https://github.com/DurstewitzLab/PLRNNstsp, the code of the
    paper. One matrix for A and W, and the initial values of ``Wh`` and ``theta``, are taken from
    https://github.com/DurstewitzLab/dendPLRNN, which trains the cell by gradients. It has a bias in place of
    the thresholds, and no input.
    """

    name = "plrnn"
    family = "classic"
    card = zoo.Card(
        title="A state space approach for piecewise-linear recurrent neural networks for identifying "
        "computational dynamics from neural measurements",
        authors="Daniel Durstewitz",
        year=2017,
        url="https://doi.org/10.1371/journal.pcbi.1005542",
        variant="The cell has thresholds and external inputs, and its readout reads rectified units.",
        deviations="The cell is deterministic. The paper has noise on the states and on the observations, "
        "and infers the states by expectation maximisation.",
        history="Durstewitz published it in 2017 to recover the dynamics of neural systems from recordings, "
        "such as the spikes of several neurons. Later versions are trained by back-propagation through time, "
        "and the dendritic PLRNN of 2022 adds a basis expansion of the units.",
        when_to_use="Use it to fit a dynamical system to measurements and then analyse it: within each "
        "region the map is linear, so fixed points and cycles can be computed. zoo.analysis.fixed_points "
        "finds them numerically. For prediction alone, a gated cell is the usual choice. A step costs one "
        "product with an H × H matrix, like vanilla.",
        also=(
            zoo.Card(
                title="Tractable Dendritic RNNs for Reconstructing Nonlinear Dynamical Systems",
                authors="Manuel Brenner, Florian Hess, Jonas M. Mikhaeil, Leonard Bereska, Zahra Monfared, "
                "Po-Chen Kuo, Daniel Durstewitz",
                year=2022,
                url="https://arxiv.org/abs/2207.02542",
            ),
        ),
        related={
            "vanilla": "has saturating units, which cannot be analysed region by region.",
            "ctrnn": "has continuous dynamics with logistic units.",
            "dendritic_plrnn": "has several thresholds for each unit.",
            "shallow_plrnn": "has a layer of rectified units between two matrices.",
            "al_rnn": "has few rectified units.",
        },
    )
    Wh = zoo.Param("H", "H", init=dominated, help="unit to itself on the diagonal, to other units off it")
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to hidden")
    theta = zoo.Param("H", init="fan_in_uniform", help="thresholds of the rectifiers")
    h = zoo.State("H", help="hidden units, before the rectifier")

    def step(self, x: Array, h: Array) -> zoo.Output:
        diagonal = self.Wh * zoo.eye(h.shape[-1])
        h = h * np.sum(diagonal, axis=0) + zoo.relu(h - self.theta) @ (self.Wh - diagonal) + x @ self.Wx
        return zoo.Output(zoo.relu(h - self.theta), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the piecewise-linear network."""
    register(PLRNN)
