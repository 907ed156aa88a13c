"""The intersection RNN, +RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class IntersectionRNN(zoo.Cell):
    """Intersection RNN (+RNN): one gate carries the state through time, another the input through the layers.

    The output is not the state. The weights stand in the order state gate gh, state candidate s, output gate
    gy, output candidate y.

    Equations::

        u = x Wp + bp
        gh, s, gy, y = u Wx + h Wh + b
        gh, gy = sigmoid(gh + forget_bias), sigmoid(gy + forget_bias)
        h' = gh * h + (1 - gh) * tanh(s)
        output = gy * u + (1 - gy) * relu(y)

    Parameters: ``Wp (I, H)`` and ``Wx (H, 4H)`` Glorot uniform, ``Wh (H, 4H)`` orthogonal part by part,
    ``bp (H,)`` and ``b (4H,)`` zero. State: ``h (H,)``. Output: ``(H,)``.

    The gate through depth blends input with output, so both must be of one size. The paper has I = H in all
    layers but the first; TensorFlow's ``IntersectionRNNCell`` projects the input where I differs from H
    (``num_in_proj``), and adds 1 to both gates. Here every layer projects.
    """

    family = "gated"
    card = zoo.Card(
        title="Capacity and Trainability in Recurrent Neural Networks",
        authors="Jasmine Collins, Jascha Sohl-Dickstein, David Sussillo",
        year=2016,
        url="https://arxiv.org/abs/1611.09913",
        variant="+RNN with relu for the output and tanh for the state.",
        deviations="A projection of the input stands in every layer, also where I = H.",
        related={
            "ugrnn": "has the gate of the state alone, and the state as its output.",
        },
    )
    Wp = zoo.Param("I", "H", init="glorot_uniform", help="input to projected input u")
    bp = zoo.Param("H", help="bias of the projected input")
    Wx = zoo.Param("H", "4H", init="glorot_uniform", help="projected input to gh, s, gy, y")
    Wh = zoo.Param("H", "4H", init="orthogonal", help="state to gh, s, gy, y")
    b = zoo.Param("4H", help="bias of gh, s, gy, y")
    h = zoo.State("H", help="what passes through time")
    forget_bias = zoo.Option(1.0, help="added to both gates; above zero a new cell carries")
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
