"""Long short-term memory with a recurrent projection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells._initializers import uniform_gates

Array = Any


class LSTMProjected(zoo.Cell):
    """LSTM whose output is projected to fewer units, which the next step reads.

    The output has the size ``proj``, and the memory has size H, as in PyTorch's ``nn.LSTM`` with
    ``proj_size``. The order of the gates in the weights is input i, forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = (sigmoid(o) * tanh(c')) Wp

    Parameters: ``Wx (I, 4H)``, ``Wh (proj, 4H)`` and ``Wp (H, proj)`` uniform within ``1 / sqrt(H)`` of zero,
    ``b (4H,)`` zero. States: ``h (proj,)``, which is the output, and ``c (H,)``. PyTorch draws biases as it
    draws weights.
    """

    family = "lstm"
    card = zoo.Card(
        title="Long Short-Term Memory Based Recurrent Neural Network Architectures for Large Vocabulary "
        "Speech Recognition",
        authors="Haşim Sak, Andrew Senior, Françoise Beaufays",
        year=2014,
        url="https://arxiv.org/abs/1402.1128",
        variant="This is LSTMP of the paper, with a recurrent projection layer and without peepholes, as in "
        "PyTorch.",
        deviations="The gates of the paper have peepholes, and the paper adds a second projection that is "
        "not recurrent. Both are left out here.",
        history="Sak, Senior and Beaufays introduced the projection in 2014 at Google, to spend fewer "
        "parameters on the recurrent weights of acoustic models for speech with a large vocabulary. The "
        "residual LSTM of 2017 reuses the projection for a shortcut. PyTorch offers it as the argument "
        "``proj_size``.",
        when_to_use="Use it for a large memory at low cost: the recurrent weights grow with H times ``proj`` "
        "and not with the square of H. The output has only ``proj`` units, so the layers above are smaller, "
        "too. Choose ``proj`` well below H, since otherwise an lstm is smaller and faster. Each step needs "
        "the output of the step before, so the steps of a sequence cannot run in parallel.",
        related={
            "lstm": "does not project the output.",
            "res_lstm": "adds the input to the projection by a shortcut.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("proj", "4H", init=uniform_gates, help="projection to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    Wp = zoo.Param("H", "proj", init="fan_in_uniform", help="hidden units to projection")
    h = zoo.State("proj", help="projection of the hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    proj = zoo.Option(32, help="size of the projection, usually well below H", low=1)
    # As in lstm.py, which gives the reasons.
    forget_bias = zoo.Option(
        0.0, help="added to the forget gate, above zero to remember at first", customary=1.0
    )
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return (zoo.sigmoid(o) * zoo.tanh(c)) @ self.Wp, c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with a recurrent projection."""
    register(LSTMProjected)
