"""Long short-term memory with working memory connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_gates, uniform_per_gate

Array = Any


class WMCLSTM(zoo.Cell):
    """LSTM with working memory connections: the gates also read a squashed projection of all memory cells.

    What a gate learns from the memory is a projection of it through tanh, so that a large cell cannot force a
    gate. Input and forget gate see the cells before the step, the output gate those after it. The gates stand
    in the order input i, forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        Wci, Wcf, Wco = Wc
        c' = sigmoid(f + tanh(c Wcf)) * c + sigmoid(i + tanh(c Wci)) * tanh(g)
        h' = sigmoid(o + tanh(c' Wco)) * tanh(c')

    Parameters: ``Wx (I, 4H)``, ``Wh (H, 4H)`` and ``Wc (H, 3H)``, of gates i, f, o, uniform within
    ``1 / sqrt(H)`` of zero, ``b (4H,)`` zero. States: ``h (H,)``, which is the output, and ``c (H,)``.

    There is no official code; the equations are the paper's, as given in
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/108 too. The initialization is that of
    the ``lstm``.
    """

    name = "wmc_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Working Memory Connections for LSTM",
        authors="Federico Landi, Lorenzo Baraldi, Marcella Cornia, Rita Cucchiara",
        year=2021,
        url="https://arxiv.org/abs/2109.00020",
        variant="LSTM-WM: tanh(W c) added within each gate, the output gate seeing the new cell.",
        deviations="None in the equations. torchrecurrent adds a bias within that tanh, which the paper has "
        "not. The initialization is that of the lstm.",
        related={
            "peephole_lstm": "each gate sees its own memory cell only.",
            "lstm": "the gates do not see the memory cells.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=uniform_gates, help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", help="bias of gates i, f, g, o")
    Wc = zoo.Param("H", "3H", init=uniform_per_gate(3), help="memory to gates i, f, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        size = h.shape[-1]
        ci, cf = zoo.split(zoo.tanh(c @ self.Wc[:, : 2 * size]), 2)
        c = zoo.sigmoid(f + cf) * c + zoo.sigmoid(i + ci) * zoo.tanh(g)
        co = zoo.tanh(c @ self.Wc[:, 2 * size :])
        return zoo.sigmoid(o + co) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with working memory."""
    register(WMCLSTM)
