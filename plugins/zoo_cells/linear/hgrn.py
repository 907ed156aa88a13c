"""The recurrence of the hierarchically gated recurrent network, with real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class HGRN(zoo.Cell):
    """Hierarchically gated recurrence: a gated average of inputs whose forget gate has a lower bound.

    The gate sees the input alone and cannot fall below ``lower_bound``. Layers with a higher floor keep
    longer: the paper lets it rise from layer to layer. The parts stand in the order forget gate f,
    candidate n.

    Equations::

        f, n = x Wx + b
        f = lower_bound + (1 - lower_bound) * sigmoid(f)
        h' = f * h + (1 - f) * silu(n)

    Parameters: ``Wx (I, 2H)`` uniform within ``1 / sqrt(I)`` of zero, as PyTorch's ``nn.Linear`` starts, and
    ``b (2H,)`` zero. State and output: ``h (H,)``.

    The real variant ``HgruRealV6`` of the authors, https://github.com/Doraemonzzz/hgru-pytorch, which has
    biases; flash-linear-attention, https://github.com/fla-org/flash-linear-attention, has the same recurrence
    without.
    """

    name = "hgrn"
    family = "linear"
    card = zoo.Card(
        title="Hierarchically Gated Recurrent Neural Network for Sequence Modeling",
        authors="Zhen Qin, Songlin Yang, Yiran Zhong",
        year=2023,
        url="https://arxiv.org/abs/2311.04823",
        variant="The HGRU with real states, as in flash-linear-attention; silu for the candidate.",
        deviations="The paper's states are complex and turn by a learned angle. Its lower bounds are learned "
        "over all layers together; here each layer's is an option. The bias starts at zero, where the "
        "nn.Linear of the official code draws it within 1 / sqrt(I) of zero. The cell alone: no "
        "normalisation, output gate and projection after the recurrence.",
    )
    Wx = zoo.Param("I", "2H", init="fan_in_uniform", help="input to forget gate f and candidate n")
    b = zoo.Param("2H", help="bias of forget gate f and candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    lower_bound = zoo.Option(0.0, low=0.0, below=1.0, help="what the forget gate cannot fall below")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="silu_n")

    def step(self, x: Array, h: Array) -> Array:
        f, n = zoo.split(x @ self.Wx + self.b, 2)
        f = self.lower_bound + (1 - self.lower_bound) * zoo.sigmoid(f)
        return f * h + (1 - f) * zoo.silu(n)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the HGRN."""
    register(HGRN)
