"""Long short-term memory with a memory controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class MCLSTM(zoo.Cell):
    """Memory-controller LSTM: the gates read a control vector of their own in place of the output.

    A fifth gate k makes a second reading of the memory, the control vector v, and only that is fed back. The
    output is free to predict. Not to be confused with the mass-conserving LSTM, which shares the short name.
    The gates stand in the order input i, forget f, candidate g, output o, controller k.

    Equations::

        i, f, g, o, k = x Wx + v Wv + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        v' = sigmoid(k) * tanh(c')
        y  = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 5H)`` and ``Wv (H, 5H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (5H,)`` zero.
    States: ``v (H,)`` and ``c (H,)``. The output ``y``, of size H, is none of them.

    There is no official code. The equations are those that torchrecurrent and RecurrentLayers.jl
    (https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/136) give for the workshop paper, which
    call the gate k m and the candidate n. The initialization is that of the ``lstm``.
    """

    name = "mc_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Sequence Modeling Using a Memory Controller Extension for LSTM",
        authors="Itamar Ben-Ari, Ravid Shwartz-Ziv",
        year=2017,
        url="https://www.ravid-shwartz-ziv.com/publication/squence2017/",
        variant="One memory; control vector and output read from it by a gate each.",
        deviations="None known. The initialization is that of the lstm.",
        related={
            "lstm": "feeds back its output, not a control vector of its own.",
        },
    )
    Wx = zoo.Param("I", "5H", init=uniform_per_gate(5), help="input to gates i, f, g, o, k")
    Wv = zoo.Param("H", "5H", init=uniform_per_gate(5), help="control vector to gates i, f, g, o, k")
    b = zoo.Param("5H", help="bias of gates i, f, g, o, k")
    v = zoo.State("H", help="control vector")
    c = zoo.State("H", help="memory cells")
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, v: Array, c: Array) -> zoo.Output:
        i, f, g, o, k = zoo.split(x @ self.Wx + v @ self.Wv + self.b, 5)
        c = zoo.sigmoid(f) * c + zoo.sigmoid(i) * zoo.tanh(g)
        shown = zoo.tanh(c)
        return zoo.Output(zoo.sigmoid(o) * shown, zoo.sigmoid(k) * shown, c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with a memory controller."""
    register(MCLSTM)
