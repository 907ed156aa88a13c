"""The Euler state network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def antisymmetric(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """The difference of a matrix, uniform within ``recurrent_scale`` of zero, and its transpose."""
    W = rng.uniform(-cell.recurrent_scale, cell.recurrent_scale, shape)
    return W - W.T


def scaled(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform within ``scale`` of zero."""
    return rng.uniform(-cell.scale, cell.scale, shape)


class EuSN(zoo.Cell):
    """Euler state network: an untrained reservoir in Euler steps of an antisymmetric differential equation.

    An antisymmetric matrix has imaginary eigenvalues only, so the state neither decays nor explodes. Training
    changes only the readout of the model and ``Wo``, which leads from the input to the readout.

    Equations::

        h' = h + eps * tanh(x Wx + h Wh - gamma * h + b)
        y  = h' + x Wo

    The only parameter, ``Wo (I, H)``, starts at zero. The buffer ``Wh (H, H)`` is the difference of a matrix,
    uniform within ``recurrent_scale`` of zero, and its transpose. The buffers ``Wx (I, H)`` and ``b (H,)``
    are uniform within ``scale`` of zero. The state is ``h (H,)``, and the output ``y`` has size H.

    Equations, initial values and defaults come from https://github.com/gallicch/EulerStateNetworks
    (``EulerReservoirCell``), the code of the paper.
    """

    name = "eusn"
    family = "classic"
    card = zoo.Card(
        title="Euler State Networks: Non-dissipative Reservoir Computing",
        authors="Claudio Gallicchio",
        year=2024,
        url="https://doi.org/10.1016/j.neucom.2024.127411",
        variant="The activation is tanh, and input weights and bias have one scale.",
        deviations="The weights of the readout for the input are a product of Wo and the weights of the "
        "readout for the units, as in esn, and model.fit_readout leaves Wo at zero. The paper reads the last "
        "state for classification.",
        history="Gallicchio made a reservoir of the antisymmetric RNN (antisymmetric), whose weights are "
        "trained. The official code compares both with other reservoirs on the classification of time "
        "series.",
        when_to_use="Use it in place of esn where the task depends on inputs far back. A small eps makes "
        "slow units, so search over eps, gamma and the scales. A step costs the products of esn.",
        trainability="Its reservoir is fixed, and only the readout is trained.",
        related={
            "antisymmetric": "has the same equation with trained weights.",
            "esn": "has leaky units with a full matrix.",
            "es2n": "has a rotation of the state.",
        },
    )
    Wo = zoo.Param("I", "H", help="input to the readout, past the reservoir")
    Wx = zoo.Buffer("I", "H", init=scaled, help="input to hidden, not trained")
    Wh = zoo.Buffer("H", "H", init=antisymmetric, help="hidden to hidden, antisymmetric, not trained")
    b = zoo.Buffer("H", init=scaled, help="bias, not trained")
    h = zoo.State("H", help="hidden units")
    eps = zoo.Option(0.01, low=1e-6, help="length of an Euler step")
    gamma = zoo.Option(0.001, low=0.0, help="diffusion, which damps the state")
    recurrent_scale = zoo.Option(1.0, low=0.0, help="largest entry of the matrix before its difference")
    scale = zoo.Option(1.0, low=0.0, help="largest input weight and bias")

    def step(self, x: Array, h: Array) -> zoo.Output:
        h = h + self.eps * zoo.tanh(x @ self.Wx + h @ self.Wh - self.gamma * h + self.b)
        return zoo.Output(h + x @ self.Wo, h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the Euler state network."""
    register(EuSN)
