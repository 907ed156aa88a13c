"""The update gate RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class UGRNN(zoo.Cell):
    """Update gate RNN: a vanilla RNN with an update gate.

    A highway layer through time. The candidate reads the whole state, and there is no reset gate. The order
    in the weights is gate g, candidate c.

    Equations::

        g, c = x Wx + h Wh + b
        g = sigmoid(g + forget_bias)
        h' = g * h + (1 - g) * tanh(c)

    Parameters: ``Wx (I, 2H)`` and ``Wh (H, 2H)`` Glorot uniform, ``b (2H,)`` zero. State and output:
    ``h (H,)``.

    A gate near one keeps the state. The equations are from the paper (numbers 2 to 4). The order of the
    weights and the ``forget_bias`` of 1 are from TensorFlow's ``UGRNNCell`` (``tensorflow/contrib/rnn`` of
    version 1), which draws both matrices as one of ``I + H`` rows, also Glorot uniform. The paper tunes their
    scale.
    """

    family = "gated"
    card = zoo.Card(
        title="Capacity and Trainability in Recurrent Neural Networks",
        authors="Jasmine Collins, Jascha Sohl-Dickstein, David Sussillo",
        year=2016,
        url="https://arxiv.org/abs/1611.09913",
        variant="This is the UGRNN of the paper, with tanh.",
        deviations="The paper uses tanh or relu, whichever trains better, and trains the first state. Here "
        "it is tanh, and the first state is zero.",
        history="Collins, Sohl-Dickstein and Sussillo introduced the cell in 2016 in a study of the capacity "
        "and the trainability of recurrent networks. They found that all common cells store about five bits "
        "per parameter, and that gated cells are mainly easier to train. The UGRNN is the simplest gated "
        "cell of the study, and the intersection RNN is its extension for deep stacks.",
        when_to_use="Use it as the simplest step from a vanilla network to a gated one, for example to study "
        "dynamics. It has two blocks of weights where the gru has three. In our short run on text it is "
        "better than the vanilla cell and a little worse than the gru. For deep stacks the paper recommends "
        "the intersection_rnn.",
        related={
            "gru": "adds a reset gate.",
            "ligru": "has a rectifier in place of tanh, and adds no constant to the gate.",
            "intersection_rnn": "adds a second gate for an output that passes from layer to layer.",
            "minimal_rnn": "has a candidate that does not read the state.",
            "star": "has a candidate that does not read the state, and squashes the new state.",
            "rhn": "has several gated layers within one step.",
            "janet": "has a gate that writes a little more than it forgets.",
            "fastgrnn": "shares the matrices between gate and candidate.",
            "vanilla": "has no gate.",
        },
    )
    Wx = zoo.Param("I", "2H", init="glorot_uniform", help="input to g, c")
    Wh = zoo.Param("H", "2H", init="glorot_uniform", help="hidden to g, c")
    b = zoo.Param("2H", help="bias of g, c")
    h = zoo.State("H", help="hidden units, and the output")
    forget_bias = zoo.Option(1.0, help="added to the gate, above zero to keep the state at first")
    gates = zoo.Gates(input_gate="1 - g", forget_gate="g", update_gate="g", candidate="tanh_c")

    def step(self, x: Array, h: Array) -> Array:
        g, c = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 2)
        g = zoo.sigmoid(g + self.forget_bias)
        return g * h + (1 - g) * zoo.tanh(c)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the update gate RNN."""
    register(UGRNN)
