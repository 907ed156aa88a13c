"""The recurrence of the hierarchically gated recurrent network, with real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class HGRN(zoo.Cell):
    """Hierarchically gated recurrence: a gated average of inputs whose forget gate has a lower bound.

    The gate reads the input alone and cannot fall below ``lower_bound``. Layers with a higher bound remember
    longer, and in the paper the bound rises from layer to layer. The parts of the input product are, in
    order, the forget gate f and the candidate n.

    Equations::

        f, n = x Wx + b
        f = lower_bound + (1 - lower_bound) * sigmoid(f)
        h' = f * h + (1 - f) * silu(n)

    The parameter ``Wx (I, 2H)`` starts uniform within ``1 / sqrt(I)`` of zero, as in PyTorch's ``nn.Linear``,
    and ``b (2H,)`` starts at zero. The state ``h (H,)`` is the output.

    This is the real variant ``HgruRealV6`` of the authors, https://github.com/Doraemonzzz/hgru-pytorch, which
    has biases. https://github.com/fla-org/flash-linear-attention has the same recurrence without biases.
    """

    name = "hgrn"
    family = "linear"
    card = zoo.Card(
        title="Hierarchically Gated Recurrent Neural Network for Sequence Modeling",
        authors="Zhen Qin, Songlin Yang, Yiran Zhong",
        year=2023,
        url="https://arxiv.org/abs/2311.04823",
        variant="This is the HGRU with real states, as in flash-linear-attention, with silu for the "
        "candidate.",
        deviations="In the paper, states are complex and turn by a learned angle, and the lower bounds are "
        "learned over all layers together. Here the bound of each layer is an option. The bias starts at "
        "zero, where nn.Linear in the official code draws it within 1 / sqrt(I) of zero. The normalisation, "
        "output gate and projection after the recurrence are left out. Around it, the block retnet has the "
        "norms, residual connections and SwiGLU of flash-linear-attention.",
        history="Qin, Yang and Zhong published it in 2023. It has the gated average of QRNN and SRU and "
        "adds a lower bound of the forget gate that grows with the depth of the layer. HGRN2 (hgrn2, 2024) "
        "expands the state to a matrix by outer products.",
        when_to_use="Use it in stacks, with a larger lower_bound in higher layers, so that lower layers "
        "follow short patterns and higher layers long ones. The state has H elements, and no recurrent "
        "matrix product is needed, so a step is cheap. It is the recurrence alone: the paper's layer has a "
        "norm, an output gate and a projection after it.",
        block="retnet",
        related={
            "min_gru": "has no lower bound and no squashing function for the candidate.",
            "min_lstm": "has two gates and no lower bound.",
            "qrnn": "reads several inputs and has an output gate.",
            "sru": "has gates that read their own state, and a highway.",
            "rg_lru": "bounds the decay in another way and scales its input by it.",
            "hgrn2": "has a matrix state.",
            "gla": "has a matrix state.",
        },
    )
    Wx = zoo.Param("I", "2H", init="fan_in_uniform", help="input to forget gate f and candidate n")
    b = zoo.Param("2H", help="bias of forget gate f and candidate n")
    h = zoo.State("H", help="hidden units, and the output")
    lower_bound = zoo.Option(0.0, low=0.0, below=1.0, help="smallest value of the forget gate")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", candidate="silu_n")

    def step(self, x: Array, h: Array) -> Array:
        f, n = zoo.split(x @ self.Wx + self.b, 2)
        f = self.lower_bound + (1 - self.lower_bound) * zoo.sigmoid(f)
        return f * h + (1 - f) * zoo.silu(n)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the HGRN."""
    register(HGRN)
