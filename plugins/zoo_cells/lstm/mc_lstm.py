"""Long short-term memory with a memory controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.lstm._initializers import uniform_per_gate

Array = Any


class MCLSTM(zoo.Cell):
    """Memory-controller LSTM: the gates read a control vector of their own in place of the output.

    A fifth gate k reads the control vector v from the memory, and only v is fed back. The output is then free
    for prediction. Do not confuse this cell with the mass-conserving LSTM, which has the same short name. The
    order in the weights is input i, forget f, candidate g, output o, controller k.

    Equations::

        i, f, g, o, k = x Wx + v Wv + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        v' = sigmoid(k) * tanh(c')
        y  = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 5H)`` and ``Wv (H, 5H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (5H,)`` zero.
    States: ``v (H,)`` and ``c (H,)``. The output ``y`` has size H and is not a state.

    There is no official code. The equations are from torchrecurrent and RecurrentLayers.jl
    (https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/136), which quote the workshop paper and
    call the gate k m and the candidate n. The initial values are the same as for ``lstm``.
    """

    name = "mc_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Sequence Modeling Using a Memory Controller Extension for LSTM",
        authors="Itamar Ben-Ari, Ravid Shwartz-Ziv",
        year=2017,
        url="https://www.ravid-shwartz-ziv.com/publication/squence2017/",
        variant="The cell has one memory, from which one gate reads the control vector and another the "
        "output.",
        deviations="No differences are known. The initial values are the same as for lstm.",
        history="Ben-Ari and Shwartz-Ziv presented this cell in 2017 at the time series workshop of NIPS. "
        "The idea comes from the Differentiable Neural Computer, in which a control vector is separate from "
        "the prediction. On two tasks of time series forecasting they report a loss up to 8 % lower than "
        "with the lstm.",
        when_to_use="Try it for time series forecasting, its purpose in the paper, if an lstm has to use its "
        "output both for the prediction and for its own control. It has five blocks of weights where the "
        "lstm has four. In our short run on text it is worse than the lstm. We know of no independent "
        "evidence for a gain.",
        related={
            "lstm": "feeds back the output itself.",
            "intersection_rnn": "also has an output that is not the state.",
        },
    )
    Wx = zoo.Param("I", "5H", init=uniform_per_gate(5), help="input to gates i, f, g, o, k")
    Wv = zoo.Param("H", "5H", init=uniform_per_gate(5), help="control vector to gates i, f, g, o, k")
    b = zoo.Param("5H", help="bias of gates i, f, g, o, k")
    v = zoo.State("H", help="control vector")
    c = zoo.State("H", help="memory cells")
    # As in lstm.py, which gives the reasons.
    forget_bias = zoo.Option(
        0.0, help="added to the forget gate, above zero to remember at first", customary=1.0
    )
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, v: Array, c: Array) -> zoo.Output:
        i, f, g, o, k = zoo.split(x @ self.Wx + v @ self.Wv + self.b, 5)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        shown = zoo.tanh(c)
        return zoo.Output(zoo.sigmoid(o) * shown, zoo.sigmoid(k) * shown, c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM with a memory controller."""
    register(MCLSTM)
