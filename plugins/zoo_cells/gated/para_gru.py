"""ParaGRU: a GRU with diagonal recurrent weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def recurrent_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance 4 / (5 H)."""
    return rng.normal(0, 2 / math.sqrt(5 * shape[1]), shape)


def inputs_uniform(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform with variance ``2 / (I + H)``, for each gate on its own."""
    limit = math.sqrt(6 / (shape[0] + shape[1] // 3))
    return rng.uniform(-limit, limit, shape)


def falling(rng: np.random.Generator, shape: Shape) -> Array:
    """From 0 to -1 along the units in the first third, and zero in the others."""
    units = shape[0] // 3
    return np.concatenate([-np.linspace(0, 1, units), np.zeros(2 * units)])


class ParaGRU(zoo.Cell):
    """ParaGRU: a GRU in which every unit sees its own state alone.

    Recurrent matrices are replaced by vectors, so the Jacobian of a step is diagonal. Newton's method can
    then compute all steps of a sequence in parallel, although the recurrence is nonlinear. zoo computes one
    step after another. The parts of the input product are, in order, the update gate z, the reset gate r and
    the candidate n, and ``a`` has a row for each.

    Equations::

        z, r, n = x Wx + b
        z  = sigmoid(z + a[0] * h)
        r  = sigmoid(r + a[1] * h)
        n  = tanh(n + a[2] * h * r)
        h' = (1 - z) * h + z * n

    The parameter ``Wx (I, 3H)`` starts Glorot uniform in each gate, and ``a (3, H)`` normal with variance
    ``4 / (5 H)``. ``b (3H,)`` starts from 0 to -1 along the units of the update gate, and at zero in the
    other parts. The state ``h (H,)`` is the output.

    Equations and initial values come from ``GRUDiagMH`` in https://github.com/apple/ml-pararnn, read in a
    copy of it, https://github.com/xaviergonzalez/ml-pararnn, with one head for the input.
    """

    name = "para_gru"
    family = "gated"
    card = zoo.Card(
        title="ParaRNN: Unlocking Parallel Training of Nonlinear RNNs for Large Language Models",
        authors="Federico Danieli, Pau Rodriguez, Miguel Sarabia, Xavier Suau, Luca Zappella",
        year=2025,
        url="https://arxiv.org/abs/2510.21450",
        variant="This is the recurrence alone, with one block of input weights.",
        deviations="The official cell divides the input into two heads by default. Here all units read all "
        "inputs. The solver that runs in parallel over time is left out. The block is left out, too: a "
        "short convolution, a gated RMS norm after the cell, a projection, and then an MLP. The block "
        "deltanet has no gate, and the scale of its skip connection is not trained.",
        history="Danieli and others published it in 2025 together with ParaLSTM (para_lstm). They changed "
        "the GRU so that Newton's method over a whole sequence needs diagonal matrices only, and trained "
        "models of up to 7 billion parameters.",
        when_to_use="Use it where a GRU is too slow and a linear recurrence (min_gru) is too weak: a step "
        "has no recurrent matrix product, but it is nonlinear in the state. Units are coupled by the layers "
        "above alone, so stack it. The state has H elements.",
        block="deltanet",
        related={
            "gru": "has full recurrent matrices.",
            "para_lstm": "is the LSTM of the same paper.",
            "min_gru": "is linear in its state.",
            "indrnn": "has a diagonal recurrence without gates.",
        },
    )
    Wx = zoo.Param("I", "3H", init=inputs_uniform, help="input to update gate z, reset gate r, candidate n")
    a = zoo.Param("3", "H", init=recurrent_normal, help="own state to z, r and n")
    b = zoo.Param("3H", init=falling, help="bias of z, r and n")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(input_gate="z", forget_gate="1 - z", update_gate="z", reset_gate="r", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        z, r, n = zoo.split(x @ self.Wx + self.b, 3)
        z = zoo.sigmoid(z + self.a[0] * h)
        r = zoo.sigmoid(r + self.a[1] * h)
        n = zoo.tanh(n + self.a[2] * h * r)
        return (1 - z) * h + z * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the ParaGRU."""
    register(ParaGRU)
