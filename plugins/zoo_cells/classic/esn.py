"""The echo state network: a reservoir that is not trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def reservoir(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform, thinned out, and scaled to the spectral radius."""
    W = rng.uniform(-0.5, 0.5, shape) * (rng.uniform(size=shape) < cell.density)
    radius = np.abs(np.linalg.eigvals(W)).max()
    return W * (cell.radius / radius) if radius > 0 else W  # a very sparse one may have no cycle at all


def scaled(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform within ``scale`` of zero."""
    return rng.uniform(-cell.scale, cell.scale, shape)


class ESN(zoo.Cell):
    """Echo state network: random recurrent units that are not trained, and a trained readout.

    The reservoir is never trained: the readout is, which is a part of the model, and what leads straight from
    the input to it, which is ``Wo``. The eigenvalues of ``Wh`` say for how long an echo is heard: with a
    spectral radius below one it fades, as a rule, and the first state is forgotten.

    Equations::

        h' = (1 - leak) * h + leak * tanh(x Wx + h Wh + b)
        y  = h' + x Wo

    Parameter: ``Wo (I, H)`` zero. Buffers: ``Wx (I, H)`` and ``b (H,)`` uniform within ``scale`` of zero;
    ``Wh (H, H)`` uniform within 0.5 of zero, each entry kept with probability ``density`` and zero otherwise,
    then scaled such that its eigenvalue of largest modulus has modulus ``radius``. State: ``h (H,)``. The
    output ``y`` is of size H.

    Leaky units came later (H. Jaeger et al. 2007, https://doi.org/10.1016/j.neunet.2007.04.016). The
    equation, with the bias as an input that is always one, and the defaults are those of M. Lukoševičius's
    demonstration, https://mantas.info/code/simple_esn/, whose radius is more than one: its input keeps the
    reservoir from echoing for ever. ``leaky_rnn`` is the same cell with trained weights.
    """

    name = "esn"
    family = "classic"
    card = zoo.Card(
        title='The "echo state" approach to analysing and training recurrent neural networks',
        authors="Herbert Jaeger",
        year=2001,
        url="https://www.ai.rug.nl/minds/uploads/EchoStatesTechRep.pdf",
        variant="Leaky tanh units with a random bias, without feedback from the output and without noise.",
        deviations="The readout's weights for the input are a product, of Wo and its weights for the units. "
        "A model trains the readout by gradients, where linear regression is usual.",
        trainability="Its reservoir is fixed; only what reads it is trained.",
    )
    Wo = zoo.Param("I", "H", help="input to the readout, past the reservoir")
    Wx = zoo.Buffer("I", "H", init=scaled, help="input to hidden, not trained")
    Wh = zoo.Buffer("H", "H", init=reservoir, help="hidden to hidden, not trained")
    b = zoo.Buffer("H", init=scaled, help="bias, not trained")
    h = zoo.State("H", help="hidden units")
    leak = zoo.Option(0.3, low=0.0, high=1.0, help="share of a unit that is new at every step")
    radius = zoo.Option(1.25, low=0.0, help="spectral radius of Wh")
    density = zoo.Option(1.0, low=0.0, high=1.0, help="share of the entries of Wh that are not zero")
    scale = zoo.Option(0.5, low=0.0, help="largest input weight and bias")

    def step(self, x: Array, h: Array) -> zoo.Output:
        h = (1 - self.leak) * h + self.leak * zoo.tanh(x @ self.Wx + h @ self.Wh + self.b)
        return zoo.Output(h + x @ self.Wo, h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the echo state network."""
    register(ESN)
