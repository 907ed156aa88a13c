"""The stackable recurrent cell, STAR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def orthogonal_parts(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Two matrices ``(I, H)`` side by side, each with orthonormal rows or columns, whichever are fewer."""
    rows, columns = shape[0], shape[1] // 2
    parts = []
    for _ in range(2):
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
        parts.append(q if rows >= columns else q.T)
    return np.concatenate(parts, axis=1)


def chrono(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Minus the logarithm of a time between 1 and ``t_max`` for the gate, zero for the candidate."""
    units = shape[0] // 2
    return np.concatenate([-np.log(rng.uniform(1, cell.t_max, units)), np.zeros(units)])


class STAR(zoo.Cell):
    """Stackable recurrent cell: one gate, made so that gradients keep their size through many layers.

    The candidate comes from the input alone; the state is squashed once more in every step. The input weights
    and the bias stand in the order gate k, candidate z.

    Equations::

        xk, xz = x Wx + b
        k = sigmoid(xk + h Wh)
        z = tanh(xz)
        h' = tanh((1 - k) * h + k * z)

    Parameters: ``Wx (I, 2H)`` orthogonal part by part, ``Wh (H, H)`` orthogonal, ``b (2H,)`` minus the
    logarithm of a number uniform between 1 and ``t_max`` for k, so that the gate renews a unit in about that
    many steps, and zero for z. State and output: ``h (H,)``.

    The gate near one takes the candidate. Equations are those of the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/97 quotes them; the start, ``t_max`` with
    it, is that of the authors' https://github.com/0zgur0/STAckable-Recurrent-network.
    """

    family = "gated"
    card = zoo.Card(
        title="Gating Revisited: Deep Multi-layer RNNs That Can Be Trained",
        authors="Mehmet Ozgur Turkoglu, Stefano D'Aronco, Jan Dirk Wegner, Konrad Schindler",
        year=2019,
        url="https://arxiv.org/abs/1911.11033",
        variant="STAR as in the paper, with one gate; without batch normalisation.",
        deviations="The authors' code computes f = 1 - k, and lets 1 - sigmoid(a - 1) of the candidate in "
        "where sigmoid(a) of the state is kept, a the sum in the gate; here the two add up to one, as in the "
        "paper.",
        related={
            "ugrnn": "the candidate reads the state, too.",
            "light_ru": "the sum of old state and candidate is not squashed.",
        },
    )
    Wx = zoo.Param("I", "2H", init=orthogonal_parts, help="input to k, z")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate k")
    b = zoo.Param("2H", init=chrono, help="bias of k, z")
    h = zoo.State("H", help="hidden units, and the output")
    t_max = zoo.Option(784, help="the longest time that a new gate takes to renew a unit, in steps", low=1)
    gates = zoo.Gates(input_gate="k", forget_gate="1 - k", candidate="tanh_xz")

    def step(self, x: Array, h: Array) -> Array:
        xk, xz = zoo.split(x @ self.Wx + self.b, 2)
        k = zoo.sigmoid(xk + h @ self.Wh)
        return zoo.tanh((1 - k) * h + k * zoo.tanh(xz))


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the stackable recurrent cell."""
    register(STAR)
