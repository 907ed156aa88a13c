"""The tau-GRU: a gated cell with delayed feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells._initializers import uniform_gates

Array = Any


class TauGRU(zoo.Cell):
    """tau-GRU: a gated unit with weighted feedback from its state ``delay`` steps before.

    The cell is a delay differential equation, discretised. The delayed state is a short cut for gradients,
    which a second gate opens. The order in the weights is candidate u, delayed candidate z, update gate g,
    feedback gate a.

    Equations, where ``h[-delay]`` is the state ``delay`` steps before ``h``::

        u, z, g, a = x Wx + b
        hu, hg, ha = h Wh
        u, z = tanh(u + hu), tanh(z + h[-delay] Wd)
        g, a = sigmoid(g + hg), sigmoid(a + ha)
        h' = (1 - g) * h + g * (u + a * z)

    Parameters: ``Wx (I, 4H)``, ``Wh (H, 3H)``, ``Wd (H, H)`` and ``b (4H,)``, all uniform within
    ``1 / sqrt(H)`` of zero. States: ``h (H,)``, which is the output, and ``past (delay, H)``.

    ``past`` contains the states before ``h``, the latest first. Before the sequence they are zero. The
    equations are from torchrecurrent (``cells/taugru_cell.py``), where the delay belongs to the layer and is
    1 by default. The initial values are those of PyTorch's recurrent layers. torchrecurrent draws Glorot
    uniform weights and has biases of zero.
    """

    name = "tau_gru"
    family = "gated"
    card = zoo.Card(
        title="Gated Recurrent Neural Networks with Weighted Time-Delay Feedback",
        authors="N. Benjamin Erichson, Soon Hoe Lim, Michael W. Mahoney",
        year=2022,
        url="https://arxiv.org/abs/2212.00228",
        variant="Both gates read the present input and state, and only the second candidate reads the "
        "delayed state.",
        deviations="Each of the four parts has one bias. torchrecurrent has a second, redundant one.",
        history="Erichson, Lim and Mahoney proposed the unit in 2022. They start from a differential "
        "equation with a delay, prove that its solution exists and is unique, and discretise it to a gated "
        "unit. They report faster convergence and better generalization than other recurrent units on time "
        "series, activity recognition and speech.",
        when_to_use="Use it for signals with a known delay or period: set ``delay`` to it, since the "
        "feedback reads exactly that step. It has four blocks of recurrent weights where the gru has three, "
        "and it stores ``delay`` more state vectors per layer. In our short run on text it is a little worse "
        "than the gru.",
        related={
            "gru": "has a reset gate, and no feedback from a delayed state.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to candidates u, z and gates g, a")
    Wh = zoo.Param("H", "3H", init="fan_in_uniform", help="hidden to candidate u and gates g, a")
    Wd = zoo.Param("H", "H", init="fan_in_uniform", help="delayed hidden to candidate z")
    b = zoo.Param("4H", init=uniform_gates, help="bias of candidates u, z and gates g, a")
    h = zoo.State("H", help="hidden units, and the output")
    past = zoo.State("delay", "H", help="the hidden units before, the latest first")
    delay = zoo.Option(10, low=1, high=4096, help="delay of the feedback in steps")
    gates = zoo.Gates(input_gate="g", forget_gate="1 - g")

    def step(self, x: Array, h: Array, past: Array) -> tuple[Array, Array]:
        u, z, g, a = zoo.split(x @ self.Wx + self.b, 4)
        hu, hg, ha = zoo.split(h @ self.Wh, 3)
        u, z = zoo.tanh(u + hu), zoo.tanh(z + past[-1] @ self.Wd)
        g, a = zoo.sigmoid(g + hg), zoo.sigmoid(a + ha)
        past = np.concatenate([h[None], past])[:-1]
        return (1 - g) * h + g * (u + a * z), past


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the tau-GRU."""
    register(TauGRU)
