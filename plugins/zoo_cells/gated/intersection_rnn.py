"""The intersection RNN, +RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class IntersectionRNN(zoo.Cell):
    """Intersection RNN (+RNN): one gate carries the state through time, another the input through the layers.

    The output is not the state. The order in the weights is state gate gh, state candidate s, output gate gy,
    output candidate y.

    Equations::

        u = x Wp + bp
        gh, s, gy, y = u Wx + h Wh + b
        gh, gy = sigmoid(gh + forget_bias), sigmoid(gy + forget_bias)
        h' = gh * h + (1 - gh) * tanh(s)
        output = gy * u + (1 - gy) * relu(y)

    Parameters: ``Wp (I, H)`` and ``Wx (H, 4H)`` Glorot uniform, ``Wh (H, 4H)`` orthogonal for each part,
    ``bp (H,)`` and ``b (4H,)`` zero. State: ``h (H,)``. Output: ``(H,)``.

    The output gate blends input and output, so both must have one size. In the paper I = H in all layers
    except the first. TensorFlow's ``IntersectionRNNCell`` projects the input where I differs from H
    (``num_in_proj``), and adds 1 to both gates. Here every layer projects.
    """

    family = "gated"
    card = zoo.Card(
        title="Capacity and Trainability in Recurrent Neural Networks",
        authors="Jasmine Collins, Jascha Sohl-Dickstein, David Sussillo",
        year=2016,
        url="https://arxiv.org/abs/1611.09913",
        variant="This is the +RNN of the paper, with relu for the output and tanh for the state.",
        deviations="Every layer projects its input, even if I = H.",
        history="Collins, Sohl-Dickstein and Sussillo proposed the cell in 2016 together with the ugrnn. It "
        "has a gate along time and a gate along depth, which cross like the bars of a plus sign. In their "
        "study it was easier to train than the LSTM and the GRU in deep stacks.",
        when_to_use="Use it for stacks of many layers, its purpose in the paper. In our short run on text, "
        "with one layer, it is among the very best cells, but it also has nearly twice the parameters of the "
        "gru. It has eight blocks of H by H weights, four of them recurrent. The output is not bounded, "
        "because relu and the input enter it.",
        related={
            "ugrnn": "has only the gate of the state, and the state is its output.",
            "rhn": "has several gated layers within one step.",
            "res_lstm": "adds the input to the output of an LSTM by a shortcut.",
            "mc_lstm": "is an LSTM whose output is not the state either.",
        },
    )
    Wp = zoo.Param("I", "H", init="glorot_uniform", help="input to projected input u")
    bp = zoo.Param("H", help="bias of the projected input")
    Wx = zoo.Param("H", "4H", init="glorot_uniform", help="projected input to gh, s, gy, y")
    Wh = zoo.Param("H", "4H", init="orthogonal", help="state to gh, s, gy, y")
    b = zoo.Param("4H", help="bias of gh, s, gy, y")
    h = zoo.State("H", help="hidden units, from step to step")
    forget_bias = zoo.Option(1.0, help="added to both gates, above zero to carry state and input at first")
    gates = zoo.Gates(input_gate="1 - gh", forget_gate="gh", candidate="tanh_s")

    def step(self, x: Array, h: Array) -> zoo.Output:
        u = x @ self.Wp + self.bp
        gh, s, gy, y = zoo.split(u @ self.Wx + h @ self.Wh + self.b, 4)
        gh, gy = zoo.sigmoid(gh + self.forget_bias), zoo.sigmoid(gy + self.forget_bias)
        h = gh * h + (1 - gh) * zoo.tanh(s)
        return zoo.Output(gy * u + (1 - gy) * zoo.relu(y), h)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the intersection RNN."""
    register(IntersectionRNN)
