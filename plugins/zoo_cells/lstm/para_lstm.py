"""ParaLSTM: an LSTM with coupled gates, peepholes and diagonal recurrent weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.gated.para_gru import falling, inputs_uniform, recurrent_normal

Array = Any


class ParaLSTM(zoo.Cell):
    """ParaLSTM: ``cifg_lstm`` in which every unit sees its own state and cell alone.

    Recurrent matrices are replaced by vectors, so the Jacobian of a step consists of four diagonal blocks.
    Newton's method can then compute all steps of a sequence in parallel, although the recurrence is
    nonlinear. zoo computes one step after another. The parts of the input product are, in order, the forget
    gate f, the output gate o and the candidate g, and ``a`` has a row for each. The rows of the peepholes
    ``p`` are for f and o, and o sees the new cell.

    Equations::

        f, o, g = x Wx + b
        f  = sigmoid(f + a[0] * h + p[0] * c)
        g  = tanh(g + a[2] * h)
        c' = f * c + (1 - f) * g
        o  = sigmoid(o + a[1] * h + p[1] * c')
        h' = o * tanh(c')

    The parameter ``Wx (I, 3H)`` starts Glorot uniform in each gate, and ``a (3, H)`` and ``p (2, H)`` normal
    with variance ``4 / (5 H)``. ``b (3H,)`` starts from 0 to -1 along the units of the forget gate, and at
    zero in the other parts. The states are the output ``h (H,)`` and the cell ``c (H,)``.

    Equations and initial values come from ``LSTMCIFGDiagMH`` in https://github.com/apple/ml-pararnn, read in
    a copy of it, https://github.com/xaviergonzalez/ml-pararnn, with one head for the input.
    """

    name = "para_lstm"
    family = "lstm"
    card = zoo.Card(
        title="ParaRNN: Unlocking Parallel Training of Nonlinear RNNs for Large Language Models",
        authors="Federico Danieli, Pau Rodriguez, Miguel Sarabia, Xavier Suau, Luca Zappella",
        year=2025,
        url="https://arxiv.org/abs/2510.21450",
        variant="This is the recurrence alone, with one block of input weights and peepholes for the forget "
        "gate and the output gate.",
        deviations="The official cell divides the input into two heads by default. Here all units read all "
        "inputs. The solver that runs in parallel over time is left out. The block is left out, too: a "
        "short convolution, a gated RMS norm after the cell, a projection, and then an MLP. The block "
        "deltanet has no gate, and the scale of its skip connection is not trained.",
        history="Danieli and others published it in 2025 together with ParaGRU (para_gru). It is an LSTM "
        "with coupled input and forget gate (cifg_lstm) and peepholes (peephole_lstm) whose recurrent "
        "weights are diagonal, as in the independently recurrent LSTM (indy_lstm).",
        when_to_use="Use it where an LSTM is too slow: a step has no recurrent matrix product, but it is "
        "nonlinear in the state. Units are coupled by the layers above alone, so stack it. The state has 2H "
        "elements.",
        block="deltanet",
        related={
            "cifg_lstm": "has full recurrent matrices and no peepholes.",
            "indy_lstm": "has separate input and forget gates and no peepholes.",
            "para_gru": "is the GRU of the same paper.",
            "peephole_lstm": "has full recurrent matrices and three gates.",
        },
    )
    Wx = zoo.Param("I", "3H", init=inputs_uniform, help="input to forget gate f, output gate o, candidate g")
    a = zoo.Param("3", "H", init=recurrent_normal, help="own state to f, o and g")
    p = zoo.Param("2", "H", init=recurrent_normal, help="own cell to f and o")
    b = zoo.Param("3H", init=falling, help="bias of f, o and g")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="cells")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f", output_gate="o", candidate="g")

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        f, o, g = zoo.split(x @ self.Wx + self.b, 3)
        f = zoo.sigmoid(f + self.a[0] * h + self.p[0] * c)
        g = zoo.tanh(g + self.a[2] * h)
        c = f * c + (1 - f) * g
        o = zoo.sigmoid(o + self.a[1] * h + self.p[1] * c)
        return o * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the ParaLSTM."""
    register(ParaLSTM)
