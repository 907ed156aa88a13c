"""The phased LSTM, whose units are open for updates in a rhythm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def uniform(low: float, high: float) -> Callable[[np.random.Generator, Shape], Array]:
    """Uniform between two limits."""
    return lambda rng, shape: rng.uniform(low, high, shape)


def normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, with a standard deviation of 0.1."""
    return 0.1 * rng.normal(size=shape)


def forget_first(rng: np.random.Generator, shape: Shape) -> Array:
    """Two for the forget gate, which is the second of four, and zero for the others."""
    b = np.zeros((4, shape[0] // 4))
    b[1] = 2
    return b.ravel()


class PhasedLSTM(zoo.Cell):
    """Phased LSTM: an LSTM with a time gate that opens each unit in a short part of a trained period.

    A unit that is closed keeps its values, apart from a small leak. The time between two inputs may vary,
    because the gate depends on the time and not on the number of steps.

    Equations, where the time since the opening, s, is between 0 and the period::

        t' = t + dt
        s  = (t + dt + shift) mod |period|
        m  = open * |period| / 2
        k  = s / m if s <= m, else 2 - s / m if s <= 2 m, else leak * s / |period|
        i, f, g, o = x Wx + h Wh + b
        e  = sigmoid(f + c * p_f) * c + sigmoid(i + c * p_i) * tanh(g)
        y  = sigmoid(o + e * p_o) * tanh(e)
        c' = k * e + (1 - k) * c
        h' = k * y + (1 - k) * h

    The parameters ``Wx (I, 4H)``, ``Wh (H, 4H)`` and ``p (3, H)``, the peepholes of gates i, f and o, start
    normal with a standard deviation of 0.1. ``b (4H,)`` starts at two for the forget gate and zero for the
    others, ``period (H,)`` uniform between 10 and 100, and ``shift (H,)`` uniform between 0 and 1000. The
    states are ``h (H,)``, which is the output, ``c (H,)``, and ``t (1,)``, the time. The auxiliary input
    ``dt`` is the time since the previous step, 1 by default.

    This is ``PLSTMLayer`` of https://github.com/dannyneil/public_plstm (Apache-2.0), the code of the paper.
    """

    name = "phased_lstm"
    family = "lstm"
    card = zoo.Card(
        title="Phased LSTM: Accelerating Recurrent Network Training for Long or Event-based Sequences",
        authors="Daniel Neil, Michael Pfeiffer, Shih-Chii Liu",
        year=2016,
        url="https://arxiv.org/abs/1610.09513",
        variant="There are peepholes, the open part of the period is fixed and the same for all units, and "
        "period and shift are trained.",
        deviations="The official code has the leak in training and none in evaluation. Here it is the same "
        "in both. The time starts at zero, and the official code reads the time of each event.",
        history="Neil, Pfeiffer and Liu published it in 2016 for data of event-based sensors. They report "
        "faster convergence than with LSTMs on long sequences, and few updates of units at run time.",
        when_to_use="Use it for events at uneven times and for long sequences with rhythms. Choose the unit "
        "of time such that periods between 10 and 100 suit the data. On a CPU it saves no time, because zoo "
        "computes closed units, too.",
        trainability="A unit is open in 5 % of the steps, so the output mostly depends on symbols further "
        "back. With open=1.0 it reaches 2.07 nats on the same text.",
        related={
            "peephole_lstm": "is this cell without the time gate.",
            "clockwork": "has fixed periods and no gates.",
            "skip_lstm": "decides from its state whether to update.",
        },
    )
    Wx = zoo.Param("I", "4H", init=normal, help="input to gates i, f, g, o")
    Wh = zoo.Param("H", "4H", init=normal, help="hidden to gates i, f, g, o")
    p = zoo.Param(3, "H", init=normal, help="peepholes of gates i, f, o")
    b = zoo.Param("4H", init=forget_first, help="bias of gates i, f, g, o")
    period = zoo.Param("H", init=uniform(10, 100), help="period of the time gate")
    shift = zoo.Param("H", init=uniform(0, 1000), help="time by which the time gate is shifted")
    h = zoo.State("H", help="hidden units, and the output")
    c = zoo.State("H", help="memory cells")
    t = zoo.State(1, help="time")
    dt = zoo.Input(default=1.0, between_steps=True, low=0, help="time since the previous step")
    open = zoo.Option(0.05, low=1e-6, high=1.0, help="part of the period in which a unit is open")
    leak = zoo.Option(0.001, low=0.0, high=1.0, help="opening of a closed unit at the end of its period")
    gates = zoo.Gates(input_gate="k", forget_gate="1 - k", output_gate="sigmoid_o", candidate="e")

    def step(self, x: Array, h: Array, c: Array, t: Array, dt: Array) -> tuple[Array, Array, Array]:
        t = t + dt
        period = np.abs(self.period)
        # The remainder of the shift, which is up to 1000, keeps the sum small: rounding changes k by up to
        # 1e-5 in float32, and with the shift itself by 3e-4, which failed 207 of 720 cases of large sizes.
        shift = self.shift % period
        a = t + shift
        s = a - period * np.floor(a / period)
        m = 0.5 * self.open * period
        k = np.where(s <= m, s / m, np.where(s <= 2 * m, 2 - s / m, self.leak * (s / period)))
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)
        e = zoo.sigmoid(f + c * self.p[1]) * c + zoo.sigmoid(i + c * self.p[0]) * zoo.tanh(g)
        y = zoo.sigmoid(o + e * self.p[2]) * zoo.tanh(e)
        return k * y + (1 - k) * h, k * e + (1 - k) * c, t


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the phased LSTM."""
    register(PhasedLSTM)
