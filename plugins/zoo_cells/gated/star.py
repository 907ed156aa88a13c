"""The stackable recurrent cell, STAR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def orthogonal_parts(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Orthonormal rows or columns, whichever are fewer, in each of two matrices ``(I, H)`` side by side."""
    rows, columns = shape[0], shape[1] // 2
    parts = []
    for _ in range(2):
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
        parts.append(q if rows >= columns else q.T)
    return np.concatenate(parts, axis=1)


def chrono(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """For the gate minus the logarithm of a uniform draw between 1 and ``t_max``, for the candidate zero."""
    units = shape[0] // 2
    return np.concatenate([-np.log(rng.uniform(1, cell.t_max, units)), np.zeros(units)])


class STAR(zoo.Cell):
    """Stackable recurrent cell: one gate, designed so that gradients keep their size through many layers.

    The candidate reads the input alone, and the state is squashed again in every step. The order in the input
    weights and the bias is gate k, candidate z.

    Equations::

        xk, xz = x Wx + b
        k = sigmoid(xk + h Wh)
        z = tanh(xz)
        h' = tanh((1 - k) * h + k * z)

    Parameters: ``Wx (I, 2H)`` orthogonal for each part, ``Wh (H, H)`` orthogonal, ``b (2H,)`` minus the
    logarithm of a number uniform between 1 and ``t_max`` for k, and zero for z. State and output: ``h (H,)``.

    With this initial bias the gate renews a unit in about that number of steps. A gate near one takes the
    candidate. The equations are from the paper as
    https://github.com/MartinuzziFrancesco/RecurrentLayers.jl/issues/97 quotes them. The initial values and
    ``t_max`` are from the authors' https://github.com/0zgur0/STAckable-Recurrent-network.
    """

    family = "gated"
    card = zoo.Card(
        title="Gating Revisited: Deep Multi-layer RNNs That Can Be Trained",
        authors="Mehmet Ozgur Turkoglu, Stefano D'Aronco, Jan Dirk Wegner, Konrad Schindler",
        year=2019,
        url="https://arxiv.org/abs/1911.11033",
        variant="This is STAR as in the paper, with one gate and without batch normalisation.",
        deviations="The authors' code computes f = 1 - k, keeps sigmoid(a) of the state and adds 1 - "
        "sigmoid(a - 1) of the candidate, where a is the sum in the gate. Here the two weights add up to "
        "one, as in the paper.",
        history="Turkoglu, D'Aronco, Wegner and Schindler of ETH Zurich published the cell in 2019. They "
        "measured gradients along the layers of deep stacks, found that common cells shrink or enlarge them, "
        "and designed a gate that preserves their size. It has fewer parameters than the LSTM and the GRU.",
        when_to_use="Use it in stacks of many layers on long sequences, its purpose in the paper. It has one "
        "block of recurrent weights, a third of a gru. Set ``t_max`` to the length of your sequences: the "
        "default of 784 is for pixels of digits, and makes units slow on text. In our short run on text with "
        "one layer it is about as good as the vanilla cell.",
        related={
            "ugrnn": "has a candidate that also reads the state, and does not squash the new state.",
            "light_ru": "does not squash the sum of old state and candidate.",
            "minimal_rnn": "does not squash the sum, and has a gate that reads the encoded input.",
        },
    )
    Wx = zoo.Param("I", "2H", init=orthogonal_parts, help="input to k, z")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to gate k")
    b = zoo.Param("2H", init=chrono, help="bias of k, z")
    h = zoo.State("H", help="hidden units, and the output")
    t_max = zoo.Option(784, help="longest time that a new gate takes to renew a unit, in steps", low=1)
    gates = zoo.Gates(input_gate="k", forget_gate="1 - k", candidate="tanh_xz")

    def step(self, x: Array, h: Array) -> Array:
        xk, xz = zoo.split(x @ self.Wx + self.b, 2)
        k = zoo.sigmoid(xk + h @ self.Wh)
        return zoo.tanh((1 - k) * h + k * zoo.tanh(xz))


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the stackable recurrent cell."""
    register(STAR)
