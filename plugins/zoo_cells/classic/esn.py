"""The echo state network: a reservoir that is not trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def reservoir(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform, with a share ``density`` of nonzero entries, scaled to the spectral radius ``radius``."""
    W = rng.uniform(-0.5, 0.5, shape) * (rng.uniform(size=shape) < cell.density)
    radius = np.abs(np.linalg.eigvals(W)).max()
    return W * (cell.radius / radius) if radius > 0 else W  # a very sparse one may have no cycle at all


def scaled(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform within ``scale`` of zero."""
    return rng.uniform(-cell.scale, cell.scale, shape)


class ESN(zoo.Cell):
    """Echo state network: random recurrent units that are not trained, and a trained readout.

    The recurrent units are called the reservoir. Training changes only the readout of the model and ``Wo``,
    which leads from the input to the readout. The eigenvalues of ``Wh`` determine how long the reservoir
    remembers an input. With a spectral radius below one, memory usually fades and the first state is
    forgotten.

    Equations::

        h' = (1 - leak) * h + leak * tanh(x Wx + h Wh + b)
        y  = h' + x Wo

    The only parameter, ``Wo (I, H)``, starts at zero. The buffers ``Wx (I, H)`` and ``b (H,)`` are uniform
    within ``scale`` of zero. The buffer ``Wh (H, H)`` is uniform within 0.5 of zero, keeps each entry with
    probability ``density``, and is scaled such that its spectral radius is ``radius``. The state is
    ``h (H,)``, and the output ``y`` has size H.

    The equation, with the bias as an input that is always one, and the defaults are taken from M.
    Lukoševičius's demonstration, https://mantas.info/code/simple_esn/. Its spectral radius is more than one,
    and its input keeps the reservoir from echoing without end. The cell ``leaky_rnn`` has the same equation
    with trained weights.
    """

    name = "esn"
    family = "classic"
    card = zoo.Card(
        title='The "echo state" approach to analysing and training recurrent neural networks',
        authors="Herbert Jaeger",
        year=2001,
        url="https://www.ai.rug.nl/minds/uploads/EchoStatesTechRep.pdf",
        variant="The units are leaky tanh units with a random bias. There is no feedback from the output "
        "and no noise.",
        deviations="The weights of the readout for the input are a product of Wo and the weights of the "
        "readout for the units. Training by gradients changes Wo and the readout. model.fit_readout fits the "
        "readout by linear regression, as is usual, and leaves Wo at zero.",
        history="Jaeger introduced echo state networks in 2001. Maass, Natschläger and Markram proposed "
        "liquid state machines independently at the same time, and both are now called reservoir computing. "
        "The form with leaky units comes from the paper of 2007, and libraries such as ReservoirPy use it.",
        when_to_use="Use it for a fast baseline on time series, or to measure how much training the "
        "recurrent weights adds. Its memory depends on leak, radius and scale, so search over these "
        "options. It does not learn features, so a trained cell is better on text. A step costs the products "
        "of vanilla and one more product of the input, but only Wo and the readout have gradients to store "
        "in the optimizer.",
        trainability="Its reservoir is fixed, and only the readout is trained.",
        also=(
            zoo.Card(
                title="Optimization and applications of echo state networks with leaky-integrator neurons",
                authors="Herbert Jaeger, Mantas Lukoševičius, Dan Popovici, Udo Siewert",
                year=2007,
                url="https://doi.org/10.1016/j.neunet.2007.04.016",
            ),
        ),
        related={
            "leaky_rnn": "has the same equation with trained weights.",
            "vanilla": "has trained weights and no leak.",
            "deep_esn": "has several reservoirs, all of which the readout reads, unlike layers of esn.",
            "es2n": "mixes the reservoir with a rotation.",
            "nvar": "has products of recent inputs in place of a reservoir.",
            "eusn": "has Euler steps of an antisymmetric matrix.",
        },
    )
    Wo = zoo.Param("I", "H", help="input to the readout, past the reservoir")
    Wx = zoo.Buffer("I", "H", init=scaled, help="input to hidden, not trained")
    Wh = zoo.Buffer("H", "H", init=reservoir, help="hidden to hidden, not trained")
    b = zoo.Buffer("H", init=scaled, help="bias, not trained")
    h = zoo.State("H", help="hidden units")
    leak = zoo.Option(0.3, low=0.0, high=1.0, help="share of the new value in a unit at every step")
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
