"""Long short-term memory with a forget gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells._initializers import uniform_gates
from zoo_cells.lstm._initializers import chrono_biases

Array = Any


class LSTM(zoo.Cell):
    """Long short-term memory: three gates control what a memory cell stores, keeps and outputs.

    The LSTM of today's libraries, with a forget gate, no peepholes and one bias per gate. The order of the
    gates in the weights is input i, forget f, candidate g, output o.

    Equations::

        i, f, g, o = x Wx + h Wh + b
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    Parameters: ``Wx (I, 4H)`` and ``Wh (H, 4H)`` uniform within ``1 / sqrt(H)`` of zero, ``b (4H,)`` zero.
    States: ``h (H,)``, which is the output, and ``c (H,)``.

    With ``t_max`` above 2, the biases have the chrono initialisation of Tallec and Ollivier 2018
    (https://arxiv.org/abs/1804.11188, equation 16): for gate f the logarithm of a uniform draw between 1 and
    ``t_max - 1``, and for gate i its negative. Then units forget within about 1 to ``t_max`` steps at first.
    ``forget_bias`` has no effect then: ``b`` starts lower by this number.

    The equations and the order of the gates are the same in PyTorch's ``nn.LSTM``. It has a second, redundant
    bias, and draws both within ``1 / sqrt(H)`` of zero. ``forget_bias`` is added in each step and is not part
    of ``b``.
    """

    family = "lstm"
    card = zoo.Card(
        title="Learning to Forget: Continual Prediction with LSTM",
        authors="Felix A. Gers, Jürgen Schmidhuber, Fred Cummins",
        year=2000,
        url="https://doi.org/10.1162/089976600300015015",
        variant="This is the LSTM with a forget gate and without peepholes. All gates read the input and the "
        "last output. Gradients are computed by full back-propagation through time.",
        deviations="Gers et al. squash the candidate and the memory by scaled logistic functions, and cut "
        "the gradient at the gates. This cell has tanh and the full gradient, like the libraries of today.",
        history="Hochreiter and Schmidhuber published the LSTM in 1997: a memory cell that adds to itself, "
        "so that errors flow back over many steps without vanishing. Gers et al. added the forget gate in "
        "2000, because the memory may grow without bound in a continual stream of input. Greff et al. "
        "compared eight variants in 2015: none was clearly better, and the forget gate and the activation of "
        "the output were the critical parts. The xLSTM of 2024 extends this cell.",
        when_to_use="The LSTM is the baseline that readers expect, and you can move its weights from and to "
        "PyTorch, Keras and Flax. It has four blocks of weights and two state vectors, where a GRU has three "
        "blocks and one vector. Each step needs the output of the step before, so the steps of a sequence "
        "cannot run in parallel. If you know how far dependencies reach, set t_max to about 1.5 times this "
        "number of steps.",
        also=(
            zoo.Card(
                title="Long Short-Term Memory",
                authors="Sepp Hochreiter, Jürgen Schmidhuber",
                year=1997,
                url="https://doi.org/10.1162/neco.1997.9.8.1735",
            ),
        ),
        related={
            "lstm_original": "has no forget gate.",
            "peephole_lstm": "has gates that also read their memory cells.",
            "wmc_lstm": "has gates that also read all memory cells, through a matrix and tanh.",
            "cifg_lstm": "computes the forget gate as one minus the input gate.",
            "janet": "has a forget gate only.",
            "ran": "has no output gate, and its candidate is linear in the input.",
            "lstm_projected": "projects the output to fewer units.",
            "res_lstm": "adds the input to the output by a shortcut.",
            "layer_norm_lstm": "normalises the matrix products and the memory.",
            "indy_lstm": "has units that read only their own last output.",
            "multiplicative_lstm": "has gates that read a product of input and state in place of the state.",
            "mc_lstm": "feeds back a separate control vector in place of the output.",
            "slstm": "has an exponential input gate and a normaliser.",
            "nas": "combines eight units in a form that a search found.",
            "gru": "has one state vector and no output gate.",
            "lem": "has two states whose time steps depend on input and state.",
            "matrix_lstm": "has a matrix as memory, and gates that do not read the state.",
            "min_lstm": "has gates and a candidate that read the input alone.",
            "vanilla": "has no gates and no memory cell.",
            "on_lstm": "has units that are ordered from fast to slow ones.",
            "skip_lstm": "decides at each step whether to update.",
        },
    )
    Wx = zoo.Param("I", "4H", init=uniform_gates, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=uniform_gates, help="hidden to gates i, f, g, o")
    b = zoo.Param("4H", init=chrono_biases, help="bias of gates i, f, g, o")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    # One, which many add, learns text more slowly: 1.740 nats where zero reaches 1.613, on the last tenth of
    # tiny-shakespeare after 3,000 steps at H=256 (one seed). Long dependencies need it. Comparisons use one:
    # R. Jozefowicz et al. 2015 recommend it (https://proceedings.mlr.press/v37/jozefowicz15.pdf). It is the
    # default of Keras and TensorFlow.
    forget_bias = zoo.Option(
        0.0, help="added to the forget gate, above zero to remember at first", customary=1.0
    )
    t_max = zoo.Option(
        2.0, low=2.0, help="longest time of chrono initial biases, in steps; 2 for zero biases"
    )
    gates = zoo.Gates(
        input_gate="sigmoid_i", forget_gate="sigmoid_f", output_gate="sigmoid_o", candidate="tanh_g"
    )

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LSTM."""
    register(LSTM)
