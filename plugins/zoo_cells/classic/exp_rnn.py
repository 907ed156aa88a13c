"""A recurrent network whose recurrent matrix stays orthogonal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def planes(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Angles of rotations of pairs of units, above the diagonal. They become tangents for the Cayley map."""
    count = shape[0] // 2
    if cell.map == "expm":
        angles = rng.uniform(-math.pi, math.pi, count)
    else:
        cosines = np.cos(rng.uniform(0, math.pi / 2, count))
        angles = -np.sqrt((1 - cosines) / (1 + cosines))
    A = np.zeros(shape)
    first = 2 * np.arange(count)
    A[first, first + 1] = angles
    return A


def kaiming_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, with a variance of two over the number of rows."""
    return rng.normal(size=shape) * math.sqrt(2 / shape[0])


def small(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform within 0.01 of zero."""
    return rng.uniform(-0.01, 0.01, shape)


class ExpRNN(zoo.Cell):
    """expRNN: a recurrent network with an orthogonal matrix, which keeps the size of the state.

    The matrix is the exponential of a skew-symmetric matrix of parameters, so every update leaves it
    orthogonal. With ``map="cayley"`` it is the Cayley map of that matrix, as in scoRNN. The activation keeps
    the sign and shifts the magnitude.

    Equations, where U is the part of ``A`` above the diagonal::

        U  = triu(A, 1)
        B  = expm(U - U^T)
        a  = x Wx + h B
        h' = sign(a) * relu(abs(a) + b)

    The parameter ``A (H, H)`` starts with rotations of pairs of units: angles uniform within pi of zero, or
    for the Cayley map angles between 0 and pi / 2. Its entries below the diagonal have no effect
    and start at zero. ``Wx (I, H)`` starts normal with a variance of ``2 / I``, and ``b (H,)`` uniform within
    0.01 of zero. The state ``h (H,)`` is the output.

    This is ``OrthogonalRNN`` of https://github.com/Lezcano/expRNN (MIT), the code of the paper, in its static
    mode. Train A at a tenth of the learning rate, as the authors do:
    ``param_groups={"A": {"lr_factor": 0.1}}``.
    """

    name = "exp_rnn"
    family = "classic"
    card = zoo.Card(
        title="Cheap Orthogonal Constraints in Neural Networks: A Simple Parametrization of the Orthogonal "
        "and Unitary Group",
        authors="Mario Lezcano-Casado, David Martínez-Rubio",
        year=2019,
        url="https://arxiv.org/abs/1901.08428",
        variant="The matrix is orthogonal and not unitary, and the basis of the parametrisation is the "
        "identity (static).",
        deviations="A has H² entries, of which H (H - 1) / 2 count, as in the official code.",
        history="Orthogonal recurrent matrices followed the unitary ones of Arjovsky, Shah and Bengio "
        "(urnn) and solve the vanishing gradient of long sequences. Lezcano-Casado and Martínez-Rubio "
        "introduced the exponential map in 2019 and compare it with the Cayley map. Their later dynamic "
        "mode changes the basis during training.",
        when_to_use="Use it to copy and recall over many steps, where all information must be kept. It "
        "cannot forget, so a gated cell is better on text. A step costs the products of vanilla, and each "
        "sequence costs one exponential of an H × H matrix and its gradient.",
        related={
            "urnn": "has a unitary matrix made of few rotations and Fourier transforms.",
            "vanilla": "has an unrestricted matrix and tanh.",
            "antisymmetric": "takes Euler steps of an antisymmetric matrix, which keep the size of the "
            "state approximately.",
        },
    )
    A = zoo.Param("H", "H", init=planes, help="its part above the diagonal makes the recurrent matrix")
    Wx = zoo.Param("I", "H", init=kaiming_normal, help="input to hidden")
    b = zoo.Param("H", init=small, help="shift of the magnitudes")
    h = zoo.State("H", help="hidden units, and the output")
    map = zoo.Option(
        "expm", choices=("expm", "cayley"), help="map from skew-symmetric to orthogonal matrices"
    )

    def step(self, x: Array, h: Array) -> Array:
        U = self.A * np.triu(np.ones_like(self.A), 1)
        B = zoo.expm(U - U.T) if self.map == "expm" else zoo.cayley(U - U.T)
        a = x @ self.Wx + h @ B
        return np.sign(a) * zoo.relu(np.abs(a) + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the orthogonal network."""
    register(ExpRNN)
