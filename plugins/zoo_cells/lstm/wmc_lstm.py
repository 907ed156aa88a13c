"""Long short-term memory with working memory connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells._initializers import uniform_gates
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class WMCLSTM(zoo.Cell):
    """LSTM with working memory connections: the gates also read a squashed projection of all memory cells.

    A matrix and tanh project the memory before a gate reads it, so that a large memory cell cannot dominate a
    gate. The input gate and the forget gate read the cells before the step, and the output gate reads those
    after it. The order of the gates in the weights is input i, forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        Wci, Wcf, Wco = Wc
        c' = sigmoid(f + forget_bias + tanh(c Wcf)) * c + sigmoid(i + tanh(c Wci)) * tanh(g)
        h' = sigmoid(o + tanh(c' Wco)) * tanh(c')

    Parameters: ``Wx (I, 4H)``, ``Wh (H, 4H)`` and ``Wc (H, 3H)``, for gates i, f, o, uniform within
    ``1 / sqrt(H)`` of zero, ``b (4H,)`` zero. States: ``h (H,)``, which is the output, and ``c (H,)``.

    There is no official code. The equations are from the paper, and
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/108 quotes them. The initial values are
    the same as for ``lstm``.
    """

    name = "wmc_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Working Memory Connections for LSTM",
        authors="Federico Landi, Lorenzo Baraldi, Marcella Cornia, Rita Cucchiara",
        year=2021,
        url="https://arxiv.org/abs/2109.00020",
        variant="This is LSTM-WM of the paper: tanh(W c) is added within each gate, and the output gate "
        "reads the new cell.",
        deviations="The equations do not differ. torchrecurrent adds a bias within that tanh, which the "
        "paper does not have. The initial values are the same as for lstm.",
        history="Landi et al. proposed this cell in 2021. They found that the peepholes of 2002 feed an "
        "unbounded memory into the gates, which limits their benefit, and squash a learned projection of it "
        "instead. Their paper reports better results than the lstm on the adding and copying tasks, on "
        "pixels of digits, on text and on image captions.",
        when_to_use="Try it for long sequences where an lstm is close but not stable, which is the case that "
        "the paper describes. It has seven blocks of recurrent weights where the lstm has four, so a step "
        "costs nearly twice as much. In our short run on text it is no better than the lstm with fewer "
        "parameters.",
        related={
            "peephole_lstm": "has gates that read only their own memory cell, without tanh.",
            "lstm": "has gates that do not read the memory cells.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=uniform_gates, help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    Wc = zoo.Param("H", "3H", init=uniform_per_gate(3), help="memory to gates i, f, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    # As in lstm.py, which gives the reasons.
    forget_bias = zoo.Option(
        0.0, help="added to the forget gate, above zero to remember at first", customary=1.0
    )
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        size = h.shape[-1]
        ci, cf = zoo.split(zoo.tanh(c @ self.Wc[:, : 2 * size]), 2)
        c = zoo.sigmoid(f + self.forget_bias + cf) * c + zoo.sigmoid(i + ci) * zoo.tanh(g)
        co = zoo.tanh(c @ self.Wc[:, 2 * size :])
        return zoo.sigmoid(o + co) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with working memory."""
    register(WMCLSTM)
