"""The vanilla RNN, with back-propagation through time written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo
from zoo import kernels

Array = Any


@zoo.njit
def forward(params: Array, x: Array, state: Array) -> Array:
    """``h = tanh(x Wxh + h Whh + bh)`` over a whole sequence."""
    Wxh, Whh, bh = params
    (h0,) = state
    h = kernels.project(x, Wxh, bh)  # (T, B, H): the pre-activations, which become the states in place
    recurrent = kernels.pack(Whh)
    before = h0
    for t in range(h.shape[0]):
        now = kernels.at_step(h, t)
        kernels.add_matmul(before, recurrent, now)
        unit = kernels.flat(now)
        for i in range(unit.size):
            unit[i] = kernels.tanh(unit[i])
        before = now
    return h, (kernels.copy(before),), (h,)


@zoo.njit
def backward(
    params: Array, x: Array, state: Array, tape: Array, dy: Array, dlast: Array, needs_dx: bool = True
) -> Array:
    """Back-propagation through time: the chain rule, from the last step to the first.

    ``da`` is the gradient at the pre-activation ``a = x Wxh + h Whh + bh``: since ``tanh' = 1 - tanh²``, it
    is ``(1 - h²) dh``. ``dh`` is the sum of the gradients from the output of this step and, through ``Whh``,
    from the next step.
    """
    Wxh, Whh, _ = params
    (h0,), (h,), (dh_last,) = state, tape, dlast
    steps, batch, hidden = h.shape
    da = kernels.empty_sequence(steps, batch, hidden, h)
    recurrent = kernels.pack_transposed(Whh)
    dh = kernels.copy(dh_last)
    carried = dh.reshape(-1)
    one = h.dtype.type(1)  # a plain 1 would make the loop float64
    for t in range(steps - 1, -1, -1):
        unit, slope, output = h[t].reshape(-1), da[t].reshape(-1), dy[t].reshape(-1)
        for i in range(unit.size):
            slope[i] = (carried[i] + output[i]) * (one - unit[i] * unit[i])
        kernels.set_matmul(da[t], recurrent, dh)
    dWhh = kernels.zeros_if(steps == 0, Whh.shape, Whh)
    if steps > 0:
        before, after = kernels.rows_of_steps(h, 0, steps - 1), kernels.rows_of_steps(da, 1, steps)
        kernels.add_matmul_ta(before, after, dWhh, False)
        kernels.add_matmul_ta(h0, da[0], dWhh)
    dx, dWxh, dbh = kernels.project_backward(x, Wxh, da, needs_dx)
    return dx, (dh,), (dWxh, dWhh, dbh)


class Vanilla(zoo.Cell):
    """The simple recurrent network: a tanh layer that reads the input and its own last output.

    Equations::

        h' = tanh(x Wxh + h Whh + bh)

    The parameters ``Wxh (I, H)``, ``Whh (H, H)`` and ``bh (H,)`` start uniform within ``1 / sqrt(H)`` of
    zero. The state ``h (H,)`` is the output.

    The context units of Elman's network are a copy of the hidden units. The readout belongs to the model and
    not to the cell. Gradients are exact: they come from back-propagation through time (Werbos 1990,
    https://doi.org/10.1109/5.58337) and not from Elman's truncation after one step.
    """

    family = "classic"
    card = zoo.Card(
        title="Finding Structure in Time",
        authors="Jeffrey L. Elman",
        year=1990,
        url="https://doi.org/10.1207/s15516709cog1402_1",
        variant="This is the Elman network with tanh units and one bias. It is trained by back-propagation "
        "through time.",
        deviations="Elman used logistic units and truncated the gradient after one step. Today the name "
        "means tanh units and the full gradient.",
        history="Elman introduced the network in 1990, after Jordan (1986) had fed outputs back as inputs. "
        "Elman trained it to predict the next letter or word and found word classes in its hidden units. "
        "Back-propagation through time, as Werbos described it in 1990, replaced the truncated gradient. "
        "Gated cells such as lstm and gru followed because gradients of this cell vanish or explode over "
        "long sequences.",
        when_to_use="Use it as a baseline, for teaching, and where parameters are scarce. Use a gated cell "
        "for long dependencies, because gradients shrink or grow exponentially with the number of steps. A "
        "step has one product with an H × H matrix and needs the result of the previous step, so no scan can "
        "compute the steps in parallel.",
        related={
            "m2rnn": "has a matrix state and a forget gate.",
            "leaky_rnn": "moves only part of the way to the new state.",
            "irnn": "has rectified units and starts from the identity.",
            "fastrnn": "adds a weighted residual connection.",
            "mi_rnn": "multiplies the projected input and the projected state.",
            "momentum_rnn": "has a velocity of the input.",
            "scrn": "has additional slow units.",
            "clockwork": "updates groups of units at different rates.",
            "antisymmetric": "adds a small change to the state in every step.",
            "plrnn": "is piecewise linear.",
            "esn": "has fixed recurrent weights.",
            "indrnn": "has a diagonal recurrent matrix.",
            "lmu": "adds a memory of a window of the input.",
            "gru": "has gates.",
            "lstm": "has gates and a memory cell.",
            "ugrnn": "adds an update gate.",
            "sgrn": "adds a gate without another matrix.",
            "exp_rnn": "has an orthogonal recurrent matrix.",
        },
    )
    # An orthogonal Whh, Glorot Wxh and zero bias, which many recommend, do worse on text: 1.861 and 1.856
    # nats (two seeds) on the last tenth of tiny-shakespeare after 3,000 steps at H=128, where this start
    # reaches 1.851 and 1.832.
    Wxh = zoo.Param("I", "H", init="hidden_uniform", help="input to hidden")
    Whh = zoo.Param("H", "H", init="hidden_uniform", help="hidden to hidden")
    bh = zoo.Param("H", init="hidden_uniform", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    forward = forward
    backward = backward

    def step(self, x: Array, h: Array) -> Array:
        """One step of one row: what the kernels compute, for the laws to compare them with."""
        return zoo.tanh(x @ self.Wxh + h @ self.Whh + self.bh)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the vanilla cell."""
    register(Vanilla)
