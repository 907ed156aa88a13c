"""The piecewise-linear recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def dominated(rng: np.random.Generator, shape: Shape) -> Array:
    """The identity and a random positive matrix, divided by the largest eigenvalue of their sum."""
    R = rng.normal(size=shape)
    both = np.eye(len(R)) + R.T @ R / len(R)
    return both / np.linalg.eigvalsh(both).max()


class PLRNN(zoo.Cell):
    """Piecewise-linear RNN: linear units coupled through rectifiers, whose dynamics can be analysed exactly.

    Fixed points and cycles of such a network can be computed, region by region: it is a model of systems that
    are measured, as neurons. A unit's own past passes by the rectifier.

    Equations, with A the diagonal of ``Wh`` and W what is beside it::

        h' = h A + relu(h - theta) W + x Wx
        y  = relu(h' - theta)

    Parameters: ``Wh (H, H)``, which holds A and W: the identity plus ``R^T R / H`` with R normal, divided by
    its largest eigenvalue; ``Wx (I, H)`` and ``theta (H,)`` uniform within ``1 / sqrt(rows)`` of zero. State:
    ``h (H,)``. The output ``y`` is of size H: the rectified units, which the paper's observation model sees.

    Equations are those of ``SimPLRNN.m`` in https://github.com/DurstewitzLab/PLRNNstsp, the paper's code.
    Start, and one matrix for A and W, are those of https://github.com/DurstewitzLab/dendPLRNN, which trains
    the cell by gradients, has a bias in place of the thresholds, and starts that as theta starts here.
    """

    name = "plrnn"
    family = "classic"
    card = zoo.Card(
        title="A state space approach for piecewise-linear recurrent neural networks for identifying "
        "computational dynamics from neural measurements",
        authors="Daniel Durstewitz",
        year=2017,
        url="https://doi.org/10.1371/journal.pcbi.1005542",
        variant="With thresholds and external inputs; the readout sees rectified units.",
        deviations="Deterministic: the paper infers the states, with noise on them and on what is observed, "
        "by expectation maximisation.",
    )
    Wh = zoo.Param("H", "H", init=dominated, help="unit to itself on the diagonal, to others beside it")
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
