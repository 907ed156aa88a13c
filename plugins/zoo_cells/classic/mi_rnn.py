"""The recurrent network with multiplicative integration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MIRNN(zoo.Cell):
    """Multiplicative integration: a vanilla RNN that multiplies the projected input and the projected state.

    With ``alpha`` zero and both betas one, this is ``vanilla``.

    Equations::

        wx, uh = x Wx, h Wh
        h' = tanh(alpha * wx * uh + beta1 * uh + beta2 * wx + b)

    Parameters: ``Wx (I, H)`` Glorot uniform, ``Wh (H, H)`` orthogonal, ``alpha (H,)``, ``beta1 (H,)`` and
    ``beta2 (H,)`` one, ``b (H,)`` zero. State and output: ``h (H,)``.

    The general form of the paper; its simple one has the product alone. The three vectors start at one, as in
    ports to TensorFlow and PyTorch; the initialization of the matrices is zoo's choice.
    """

    name = "mi_rnn"
    family = "classic"
    card = zoo.Card(
        title="On Multiplicative Integration with Recurrent Neural Networks",
        authors="Yuhuai Wu, Saizheng Zhang, Ying Zhang, Yoshua Bengio, Ruslan Salakhutdinov",
        year=2016,
        url="https://arxiv.org/abs/1606.06630",
        variant="MI-RNN in its general form, with tanh units.",
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    alpha = zoo.Param("H", init="ones", help="weight of the product of both")
    beta1 = zoo.Param("H", init="ones", help="weight of what comes from the hidden units")
    beta2 = zoo.Param("H", init="ones", help="weight of what comes from the input")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")

    def step(self, x: Array, h: Array) -> Array:
        wx, uh = x @ self.Wx, h @ self.Wh
        return zoo.tanh(self.alpha * wx * uh + self.beta1 * uh + self.beta2 * wx + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the network with multiplicative integration."""
    register(MIRNN)
