"""The recurrent network with multiplicative integration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class MIRNN(zoo.Cell):
    """Multiplicative integration: a vanilla RNN that multiplies the projected input and the projected state.

    With ``alpha`` zero and both betas one, it is ``vanilla``.

    Equations::

        wx, uh = x Wx, h Wh
        h' = tanh(alpha * wx * uh + beta1 * uh + beta2 * wx + b)

    The parameter ``Wx (I, H)`` starts Glorot uniform and ``Wh (H, H)`` orthogonal. ``alpha (H,)``,
    ``beta1 (H,)`` and ``beta2 (H,)`` start at one, and ``b (H,)`` at zero. The state ``h (H,)`` is the
    output.

    The simple form of the paper has the product alone. The three vectors start at one, as in ports to
    TensorFlow and PyTorch. The paper does not give initial values for the matrices, so zoo chooses them.
    """

    name = "mi_rnn"
    family = "classic"
    card = zoo.Card(
        title="On Multiplicative Integration with Recurrent Neural Networks",
        authors="Yuhuai Wu, Saizheng Zhang, Ying Zhang, Yoshua Bengio, Ruslan Salakhutdinov",
        year=2016,
        url="https://arxiv.org/abs/1606.06630",
        variant="This is the MI-RNN in its general form, with tanh units.",
        history="Wu, Zhang, Zhang, Bengio and Salakhutdinov proposed multiplicative integration in 2016 as a "
        "change of any cell. It follows multiplicative RNNs (Sutskever 2011), whose factors need matrices of "
        "their own, and adds only three vectors. The paper applies it to LSTM and GRU, too, which zoo does "
        "with a modifier.",
        when_to_use="Use it where the meaning of a symbol depends on its context, such as text: the input "
        "scales the effect of the state, unit by unit. It adds 3H parameters to vanilla and the same "
        "products. To use the idea with another cell, apply the modifier multiplicative_integration, for "
        "example lstm+multiplicative_integration.",
        related={
            "vanilla": "adds the input and the state without multiplying them.",
            "multiplicative_lstm": "multiplies input and state before the gates of an LSTM.",
            "sgu": "also multiplies input and state, in a gated unit.",
        },
    )
    Wx = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    Wh = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    alpha = zoo.Param("H", init="ones", help="weight of the product of the projected input and hidden units")
    beta1 = zoo.Param("H", init="ones", help="weight of the projected hidden units")
    beta2 = zoo.Param("H", init="ones", help="weight of the projected input")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")

    def step(self, x: Array, h: Array) -> Array:
        wx, uh = x @ self.Wx, h @ self.Wh
        return zoo.tanh(self.alpha * wx * uh + self.beta1 * uh + self.beta2 * wx + self.b)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the network with multiplicative integration."""
    register(MIRNN)
