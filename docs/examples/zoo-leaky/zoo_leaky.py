"""A plugin for zoo that adds one cell, the leaky-integrator RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo import kernels

Array = Any


@zoo.njit
def forward(params: Array, x: Array, state: Array, leak: float) -> Array:
    """``h' = (1 - leak) h + leak u`` with ``u = tanh(x Wxh + h Whh + bh)``, over a whole sequence.

    Args:
        params: ``Wxh (I, H)``, ``Whh (H, H)``, ``bh (H,)``.
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)``; ``kernels.project`` takes either.
        state: ``h (B, H)`` before the first step.
        leak: The option.

    Returns:
        The output ``(T, B, H)``, the last state, and the tape ``(u, h)``, each ``(T, B, H)``.
    """
    Wxh, Whh, bh = params
    (before,) = state
    u = kernels.project(x, Wxh, bh)  # the input's part of every step at once; it becomes u in place
    h = np.empty_like(u)
    gain = u.dtype.type(leak)  # float32 stays float32
    keep = u.dtype.type(1 - leak)
    recurrent = kernels.pack(Whh)
    for t in range(u.shape[0]):
        kernels.add_matmul(before, recurrent, u[t])
        drive, old, new = u[t].reshape(-1), before.reshape(-1), h[t].reshape(-1)  # flat rows vectorise
        for i in range(drive.size):
            drive[i] = kernels.tanh(drive[i])
            new[i] = keep * old[i] + gain * drive[i]
        before = h[t]
    return h, (before.copy(),), (u, h)


@zoo.njit
def backward(
    params: Array, x: Array, state: Array, tape: Array, dy: Array, dlast: Array, leak: float
) -> Array:
    """Back-propagation through time: the chain rule, from the last step to the first.

    Let ``a = x Wxh + h Whh + bh``. The gradient ``dh'`` at a step's state gives ``da = leak (1 - u²) dh'``
    and reaches the state before it by two ways, ``dh = (1 - leak) dh' + da Whhᵀ``, where ``dy`` joins it.

    Args:
        params: As in forward.
        x: As in forward.
        state: As in forward.
        tape: What forward kept, ``(u, h)``.
        dy: Gradient ``(T, B, H)`` with respect to the output.
        dlast: Gradient ``(B, H)`` with respect to the last state.
        leak: The option.

    Returns:
        Gradients with respect to ``x``, ``state`` and ``params``.
    """
    Wxh, Whh, _ = params
    (h0,), (u, h), (dh_last,) = state, tape, dlast
    steps, batch, hidden = u.shape
    gain = u.dtype.type(leak)
    keep = u.dtype.type(1 - leak)
    one = u.dtype.type(1)  # a plain 1 would make the loop float64
    da = np.empty_like(u)
    dh = dh_last.copy()
    carried = dh.reshape(-1)
    recurrent = kernels.pack_transposed(Whh)
    for t in range(steps - 1, -1, -1):
        drive, slope, output = u[t].reshape(-1), da[t].reshape(-1), dy[t].reshape(-1)
        for i in range(drive.size):
            total = carried[i] + output[i]
            slope[i] = gain * (one - drive[i] * drive[i]) * total
            carried[i] = keep * total
        kernels.add_matmul(da[t], recurrent, dh)
    dWhh = np.zeros_like(Whh)
    if steps > 0:  # every product over time is one large product after the loop
        kernels.add_matmul_ta(h0, da[0], dWhh)
        rows = (steps - 1) * batch
        kernels.add_matmul_ta(h[:-1].reshape(rows, hidden), da[1:].reshape(rows, hidden), dWhh)
    dx, dWxh, dbh = kernels.project_backward(x, Wxh, da)
    return dx, (dh,), (dWxh, dWhh, dbh)


class Leaky(zoo.Cell):
    """Leaky-integrator RNN: a tanh layer whose units forget at a rate of their own.

    Equations::

        h' = (1 - leak) h + leak tanh(x Wxh + h Whh + bh)

    Parameters: ``Wxh (I, H)`` Glorot-uniform, ``Whh (H, H)`` orthogonal, ``bh (H,)`` zeros.
    State and output: ``h (H,)``.

    The time constant is about ``1 / leak`` steps; with ``leak = 1`` this is the vanilla RNN.
    """

    family = "leaky"
    card = zoo.Card(
        title="Optimization and applications of echo state networks with leaky-integrator neurons",
        authors="H. Jaeger, M. Lukoševičius, D. Popovici, U. Siewert",
        year=2007,
        url="https://doi.org/10.1016/j.neunet.2007.04.016",
        variant="tanh units without noise or output feedback; one leak, gain equal to decay",
        deviations="The paper trains the readout only; here every weight is trained.",
    )
    Wxh = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    Whh = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    bh = zoo.Param("H", init="zeros", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    leak = zoo.Option(0.3, "how much of a unit is renewed at every step", low=0.0, high=1.0)
    forward = forward
    backward = backward


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], type[zoo.Cell]]) -> None:
    """Register the cell."""
    register(Leaky)
