"""The deep echo state network: reservoirs on top of each other, none of them trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def reservoirs(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform, such that ``(1 - leak) I + leak W`` of each reservoir has the spectral radius ``radius``."""
    rest = (1 - cell.leak) * np.eye(shape[-1])
    W = rest + cell.leak * rng.uniform(-1, 1, shape)
    W *= cell.radius / np.abs(np.linalg.eigvals(W)).max(axis=-1)[:, None, None]
    return (W - rest) / cell.leak


def scaled(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Uniform within ``scale`` of zero."""
    return rng.uniform(-cell.scale, cell.scale, shape)


class DeepESN(zoo.Cell):
    """Deep echo state network: each reservoir reads the one below it, and the readout reads all of them.

    Only the first reservoir reads the input. The H units are divided into ``layers`` reservoirs of equal
    size. Training changes only the readout of the model and ``Wo``, which leads from the input to the
    readout.

    Equations, with ``below = x Wx`` for the first reservoir and ``below = h'[l - 1] Wl[l - 1]`` for
    reservoir l::

        h'[l] = (1 - leak) * h[l] + leak * tanh(below + h[l] Wh[l] + b[l])
        y     = h' + x Wo

    The only parameter, ``Wo (I, H)``, starts at zero. With ``N = H / layers``, the buffers ``Wx (I, N)``,
    ``Wl (layers - 1, N, N)`` and ``b (layers, N)`` are uniform within ``scale`` of zero. The buffer
    ``Wh (layers, N, N)`` is uniform within one of zero, then changed such that ``(1 - leak) I + leak Wh[l]``
    has the spectral radius ``radius``. The state is ``h (layers, N)``, and the output ``y`` has size H and
    holds the reservoirs side by side.

    Equations and initial values come from the code of an author,
    https://github.com/lucapedrelli/DeepESN, without its intrinsic plasticity, and leak, radius and scale from
    its configuration of the Mackey-Glass task.
    """

    name = "deep_esn"
    family = "classic"
    card = zoo.Card(
        title="Deep reservoir computing: A critical experimental analysis",
        authors="Claudio Gallicchio, Alessio Micheli, Luca Pedrelli",
        year=2017,
        url="https://www.sciencedirect.com/science/article/pii/S0925231217307567",
        variant="This is the network in which only the first reservoir reads the input. All reservoirs have "
        "one size, leak, radius and scale.",
        deviations="The readout also reads the input, whose weights are a product of Wo and the weights of "
        "the readout for the units, as in esn. model.fit_readout fits the readout by linear regression, as "
        "is usual, and leaves Wo at zero. Intrinsic plasticity, which adapts gains and biases before the "
        "training of the readout, is left out.",
        history="Gallicchio, Micheli and Pedrelli compared it in 2017 with reservoirs of the same size that "
        "are not stacked. They report a longer memory and time scales that grow with the layer.",
        when_to_use="Use it in place of esn where the input has several time scales. Several layers of esn "
        "in a model are another network: the readout reads the last layer only, and a trained Wo leads past "
        "each reservoir. A step costs about 2 / layers of the products of esn, and the reservoirs run one "
        "after the other.",
        trainability="Its reservoirs are fixed, and only the readout is trained.",
        related={
            "esn": "has one reservoir.",
            "es2n": "remembers longer by a rotation.",
        },
    )
    Wo = zoo.Param("I", "H", help="input to the readout, past the reservoirs")
    Wx = zoo.Buffer("I", "H/layers", init=scaled, help="input to the first reservoir, not trained")
    Wl = zoo.Buffer(
        "layers-1", "H/layers", "H/layers", init=scaled, help="each reservoir to the next, not trained"
    )
    Wh = zoo.Buffer(
        "layers", "H/layers", "H/layers", init=reservoirs, help="hidden to hidden of each, not trained"
    )
    b = zoo.Buffer("layers", "H/layers", init=scaled, help="bias, not trained")
    h = zoo.State("layers", "H/layers", help="hidden units of each reservoir")
    layers = zoo.Option(4, low=2, high=64, help="number of reservoirs, a divisor of H")
    leak = zoo.Option(1.0, low=1e-3, high=1.0, help="share of the new value in a unit at every step")
    radius = zoo.Option(0.9, low=0.0, help="spectral radius of a reservoir with its leak")
    scale = zoo.Option(0.1, low=0.0, help="largest input weight and bias")

    def step(self, x: Array, h: Array) -> zoo.Output:
        below = x @ self.Wx
        new: list[Array] = []
        for layer in range(self.layers):
            if layer:
                below = new[-1] @ self.Wl[layer - 1]
            drive = zoo.tanh(below + h[layer] @ self.Wh[layer] + self.b[layer])
            new.append((1 - self.leak) * h[layer] + self.leak * drive)
        h = np.stack(new)
        return zoo.Output(h.reshape(-1) + x @ self.Wo, h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the deep echo state network."""
    register(DeepESN)
