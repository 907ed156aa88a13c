"""The edge of stability echo state network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def sparse_normal(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Normal, with a share ``density`` of nonzero entries, scaled to the spectral radius ``radius``."""
    W = rng.normal(size=shape) * (rng.uniform(size=shape) < cell.density)
    radius = np.abs(np.linalg.eigvals(W)).max()
    return W * (cell.radius / radius) if radius > 0 else W


def sparse_signs(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Plus or minus ``scale``, with a share ``density`` of nonzero entries."""
    return cell.scale * rng.choice((-1.0, 1.0), shape) * (rng.uniform(size=shape) < cell.density)


class ES2N(zoo.Cell):
    """Edge of stability echo state network: a mixture of a reservoir and a rotation, neither of them trained.

    The rotation keeps the size of the state, so the network remembers longer than an echo state network. A
    small ``proximity`` gives a long memory, and a large one more nonlinearity. Training changes only the
    readout of the model and ``Wo``, which leads from the input to the readout.

    Equations::

        h' = (1 - proximity) * (h Q) + proximity * tanh(x Wx + h Wh)
        y  = h' + x Wo

    The only parameter, ``Wo (I, H)``, starts at zero. The buffers are ``Q (H, H)``, which is orthogonal,
    ``Wx (I, H)``, plus or minus ``scale``, and ``Wh (H, H)``, which is normal and scaled such that its
    spectral radius is ``radius``. Wx and Wh keep each entry with probability ``density``. The state is
    ``h (H,)``, and the output ``y`` has size H.

    This is ``ES2N`` of ReservoirPy (https://github.com/reservoirpy/reservoirpy, version 0.4.2, MIT), without
    a bias, as there by default. proximity and radius come from its example, because its default proximity of
    1 leaves no rotation.
    """

    name = "es2n"
    family = "classic"
    card = zoo.Card(
        title="Edge of Stability Echo State Network",
        authors="Andrea Ceni, Claudio Gallicchio",
        year=2024,
        url="https://arxiv.org/abs/2308.02902",
        variant="There is no bias, and one proximity for all units.",
        deviations="The weights of the readout for the input are a product of Wo and the weights of the "
        "readout for the units, as in esn, and model.fit_readout leaves Wo at zero. The default proximity is "
        "0.2 in place of 1. The number of nonzero entries of Wx and Wh is random, and fixed in ReservoirPy.",
        history="Ceni and Gallicchio published a preprint in 2023 and the article in 2024. They prove that "
        "all eigenvalues of the Jacobian lie in a ring around a circle, and report that the network reaches "
        "the largest possible memory capacity.",
        when_to_use="Use it in place of esn where the task needs a long memory of the input. Search over "
        "proximity first. As with esn, a trained cell is better where features have to be learned.",
        trainability="Its reservoir is fixed, and only the readout is trained.",
        related={
            "esn": "has leaky units in place of the rotation.",
            "eusn": "has Euler steps in place of the rotation.",
            "deep_esn": "has several reservoirs and no rotation.",
        },
    )
    Wo = zoo.Param("I", "H", help="input to the readout, past the reservoir")
    Wx = zoo.Buffer("I", "H", init=sparse_signs, help="input to hidden, not trained")
    Wh = zoo.Buffer("H", "H", init=sparse_normal, help="hidden to hidden, not trained")
    Q = zoo.Buffer("H", "H", init="orthogonal", help="rotation of hidden, not trained")
    h = zoo.State("H", help="hidden units")
    proximity = zoo.Option(0.2, low=0.0, high=1.0, help="share of the nonlinear part")
    radius = zoo.Option(0.8, low=0.0, help="spectral radius of Wh")
    density = zoo.Option(0.1, low=0.0, high=1.0, help="share of the entries of Wx and Wh that are not zero")
    scale = zoo.Option(1.0, low=0.0, help="size of the input weights")

    def step(self, x: Array, h: Array) -> zoo.Output:
        new = zoo.tanh(x @ self.Wx + h @ self.Wh)
        h = (1 - self.proximity) * (h @ self.Q) + self.proximity * new
        return zoo.Output(h + x @ self.Wo, h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the edge of stability echo state network."""
    register(ES2N)
