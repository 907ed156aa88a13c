"""The antisymmetric recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo_cells.classic._initializers import normal

Array = Any


class Antisymmetric(zoo.Cell):
    """Antisymmetric RNN: Euler steps of a differential equation whose recurrent matrix is antisymmetric.

    An antisymmetric matrix is the negative of its own transpose. Its eigenvalues are imaginary, so the
    equation neither amplifies nor forgets a state. A forward Euler step of size ``eps`` would amplify it a
    little, and the damping ``gamma`` makes up for that.

    Equations::

        h' = h + eps * tanh(x Wx + h (U - U^T - gamma I) + b)

    The parameters ``Wx (I, H)`` and ``U (H, H)`` start normal with variance ``1 / I`` and ``1 / H``, and
    ``b (H,)`` starts at zero. The state ``h (H,)`` is the output.

    ``U`` is the transpose of W in the paper, which multiplies from the left. Of its H² entries, U - U^T uses
    H (H - 1) / 2 free ones. The paper's second cell is ``gated_antisymmetric``, which has a gate.
    """

    family = "classic"
    card = zoo.Card(
        title="AntisymmetricRNN: A Dynamical System View on Recurrent Neural Networks",
        authors="Bo Chang, Minmin Chen, Eldad Haber, Ed H. Chi",
        year=2019,
        url="https://arxiv.org/abs/1902.09689",
        variant="This is the cell without a gate and with damping.",
        history="Chang, Chen, Haber and Chi derived the cell in 2019 from a stability analysis of "
        "differential equations. It prevents vanishing and exploding gradients by the form of its recurrent "
        "matrix, where the LSTM uses gates. The Lipschitz RNN of 2020 (lipschitz) mixes symmetric and "
        "antisymmetric matrices and adds a linear term.",
        when_to_use="Use it for long sequences of smooth inputs, such as the pixels of images. For text and "
        "other symbols, the default step of 0.01 is too short, so set a larger eps. The paper reports better "
        "results than an LSTM on tasks that need long memory, and equal results where short memory is "
        "enough. A step costs the same products as vanilla, and it needs the result of the previous step.",
        trainability="A step of 0.01 lets the state move too little from one symbol to the next.",
        related={
            "gated_antisymmetric": "has a gate that sets the size of the step of each unit.",
            "lipschitz": "mixes a symmetric and an antisymmetric matrix and adds a linear term.",
            "vanilla": "replaces the state in every step, where this cell adds a small change to it.",
            "eusn": "has fixed weights.",
            "exp_rnn": "has an orthogonal matrix, which keeps the size of the state exactly.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal, help="input to hidden")
    U = zoo.Param("H", "H", init=normal, help="hidden to hidden. Only its antisymmetric part counts")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    eps = zoo.Option(0.01, help="size of a step", low=0.0)
    gamma = zoo.Option(0.01, help="damping", low=0.0)

    def step(self, x: Array, h: Array) -> Array:
        W = self.U - self.U.T - self.gamma * zoo.eye(h.shape[-1])
        return h + self.eps * zoo.tanh(x @ self.Wx + h @ W + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the antisymmetric network."""
    register(Antisymmetric)
