"""The Lipschitz recurrent network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def around(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Normal with standard deviation ``init_std / H``."""
    return rng.normal(0, cell.init_std / shape[-1], shape)


def glorot_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance ``2 / (I + H)``."""
    return rng.normal(0, math.sqrt(2 / sum(shape)), shape)


class Lipschitz(zoo.Cell):
    """Lipschitz RNN: small steps along a flow whose linear part is there to make it stable.

    Both matrices are mixtures of a symmetric and an antisymmetric one: ``beta = 1`` gives imaginary
    eigenvalues, less of it real ones too, and ``gamma`` moves all of them to the left.

    Equations::

        S(M) = (1 - beta) * (M + M^T) + beta * (M - M^T) - gamma I
        h'   = h + eps * (h S(Ma) + tanh(h S(Mw) + x Wx + b))

    Parameters: ``Ma (H, H)`` and ``Mw (H, H)`` normal with standard deviation ``init_std / H``, ``Wx (I, H)``
    Glorot normal, ``b (H,)`` zero. State and output: ``h (H,)``.

    Equations, start and defaults are those of https://github.com/erichson/LipschitzRNN, its model
    ``LipschitzRNN`` and its ``driver.py``, which is run with other values for each task. At this start the
    linear part has eigenvalues above zero, and a state grows by about one per cent at every step: no
    harm in sequences of some hundred steps, but in text, which is read without an end, ``gamma = 1`` does
    better.
    """

    family = "classic"
    card = zoo.Card(
        title="Lipschitz Recurrent Neural Networks",
        authors="N. Benjamin Erichson, Omri Azencot, Alejandro Queiruga, Liam Hodgkinson, Michael W. Mahoney",
        year=2020,
        url="https://arxiv.org/abs/2006.12070",
        variant="One forward Euler step, without a gate; tanh; one beta and gamma for both matrices, "
        "as in the official code.",
        trainability="At the official start the state grows by a hundredth a step on an endless text.",
    )
    Wx = zoo.Param("I", "H", init=glorot_normal, help="input to hidden")
    Ma = zoo.Param("H", "H", init=around, help="hidden to hidden, linear part")
    Mw = zoo.Param("H", "H", init=around, help="hidden to hidden, inside the tanh")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    eps = zoo.Option(0.05, low=0.0, help="size of a step")
    beta = zoo.Option(0.7, low=0.0, high=1.0, help="share of the antisymmetric part")
    gamma = zoo.Option(0.001, low=0.0, help="damping")
    init_std = zoo.Option(6.0, low=0.0, help="H times the standard deviation of Ma and Mw at the start")

    def mixed(self, M: Array) -> Array:
        """Part symmetric, part antisymmetric, and damped."""
        symmetric, antisymmetric = M + M.T, M - M.T
        return (1 - self.beta) * symmetric + self.beta * antisymmetric - self.gamma * zoo.eye(M.shape[-1])

    def step(self, x: Array, h: Array) -> Array:
        """One step of one row."""
        drive = zoo.tanh(h @ self.mixed(self.Mw) + x @ self.Wx + self.b)
        return h + self.eps * (h @ self.mixed(self.Ma) + drive)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the Lipschitz network."""
    register(Lipschitz)
