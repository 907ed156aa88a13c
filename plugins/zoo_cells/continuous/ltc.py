"""The liquid time-constant network, solved step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def between(low: float, high: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """Uniform between ``low`` and ``high``."""
    return lambda rng, shape: rng.uniform(low, high, shape)


def polarity(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """1, or -1 for a third of the synapses, which inhibit."""
    return rng.choice([-1.0, 1.0, 1.0], shape)


class LTC(zoo.Cell):
    """Liquid time-constant network: leaky units whose time constants depend on input and state.

    A synapse is a conductance. The more it opens, the faster its neuron moves to the potential of the
    synapse. The time constant of a neuron therefore depends on the input and on all other neurons. Every
    neuron has a synapse from every input and from every neuron, itself included.

    Equations, ``unfolds`` times, each with ``d = dt / unfolds``, where s is softplus and sums run over the
    first axis, the neuron or input from which a synapse comes::

        wxs = s(wx) * sigmoid(sigmax * (x[:, None] - mux))
        ws  = s(w) * sigmoid(sigma * (h[:, None] - mu))
        drive = s(gleak) * vleak + sum(wxs * erevx) + sum(ws * erev)
        total = s(gleak) + sum(wxs) + sum(ws)
        h' = (s(cm) * h + d * drive) / (s(cm) + d * (total + 1e-8))

    Each neuron has a capacitance ``cm (H,)``, which starts uniform between 0.4 and 0.6, a leak ``gleak (H,)``
    between 0.001 and 1, and a resting potential ``vleak (H,)`` between -0.2 and 0.2. The synapses from inputs
    and from neurons have conductances ``wx (I, H)`` and ``w (H, H)`` between 0.001 and 1, midpoints
    ``mux (I, H)`` and ``mu (H, H)`` between 0.3 and 0.8, slopes ``sigmax (I, H)`` and ``sigma (H, H)``
    between 3 and 8, and potentials ``erevx (I, H)`` and ``erev (H, H)``, which start at 1 or, for a third of
    them, at -1. The state ``h (H,)`` is the output. The auxiliary input ``dt`` is the time since the previous
    step, 1 by default.

    Each step is half implicit. This keeps h between the potentials of the synapses and the resting potential,
    however long dt is. Equations and initial values come from ``LTCCell`` in https://github.com/mlech26l/ncps
    with full wiring and ``implicit_param_constraints=True``, the default of its layer ``LTC``. Softplus keeps
    capacitances and conductances above zero, and initial values are drawn before softplus. There, numerator
    and denominator are divided by d, which must not be zero.

    Train it with uneven time steps::

        rng = np.random.default_rng(0)
        x = rng.normal(size=(20, 64, 1))  # (T, B, I)
        dt = rng.uniform(size=(20, 64))  # (T, B), the time since the previous step
        integral = np.cumsum(x * dt[..., None], axis=0)
        model = zoo.SequenceModel("ltc", input_size=1, output_size=1, hidden_size=16, loss="squared_error")
        model.fit(x, integral, aux={"dt": dt}, epochs=20, lr=0.01)
    """

    family = "continuous"
    card = zoo.Card(
        title="Liquid Time-constant Networks",
        authors="Ramin Hasani, Mathias Lechner, Alexander Amini, Daniela Rus, Radu Grosu",
        year=2020,
        url="https://arxiv.org/abs/2006.04439",
        variant="The synapses are conductance-based, the solver is fused as in ncps, and all neurons are "
        "connected.",
        deviations="The paper writes one network f for all synapses of a neuron. The authors' code and this "
        "cell have a sigmoid for each synapse. The affine maps of input and output, which are an option in "
        "ncps, are left out.",
        history="Hasani, Lechner, Amini, Rus and Grosu published it in 2020. It extends continuous-time "
        "networks (ctrnn), whose time constants are fixed, with conductance-based synapses as in models of "
        "biological neurons. The same group replaced its solver with a closed form in the CfC (cfc).",
        when_to_use="Use it for small networks whose parameters you want to interpret, and for measurements "
        "at uneven times. It has no matrix products: a step computes a sigmoid for each pair of neurons, six "
        "times with the default unfolds, so it is by far the most expensive cell of its family. Keep H "
        "small, or use cfc. The paper reports stable and bounded states and good results on time-series "
        "prediction.",
        related={
            "cfc": "approximates the solution in closed form.",
            "ctrnn": "has trained time constants that do not depend on the input.",
            "gru_ode": "has gates in place of conductances.",
        },
    )
    cm = zoo.Param("H", init=between(0.4, 0.6), help="capacitance of a neuron, before softplus")
    gleak = zoo.Param("H", init=between(0.001, 1), help="leak conductance, before softplus")
    vleak = zoo.Param("H", init=between(-0.2, 0.2), help="resting potential")
    wx = zoo.Param("I", "H", init=between(0.001, 1), help="conductance from inputs, before softplus")
    mux = zoo.Param("I", "H", init=between(0.3, 0.8), help="input at which a synapse is half open")
    sigmax = zoo.Param("I", "H", init=between(3, 8), help="slope at which an input opens a synapse")
    erevx = zoo.Param("I", "H", init=polarity, help="potential that an input's synapse pulls to")
    w = zoo.Param("H", "H", init=between(0.001, 1), help="conductance from neurons, before softplus")
    mu = zoo.Param("H", "H", init=between(0.3, 0.8), help="potential at which a synapse is half open")
    sigma = zoo.Param("H", "H", init=between(3, 8), help="slope at which a neuron opens a synapse")
    erev = zoo.Param("H", "H", init=polarity, help="potential that a neuron's synapse pulls to")
    h = zoo.State("H", help="potentials of the neurons, and the output")
    dt = zoo.Input(default=1.0, between_steps=True, low=0, help="time since the previous step")
    unfolds = zoo.Option(6, low=1, high=64, help="solver steps within dt")

    def step(self, x: Array, h: Array, dt: Array) -> Array:
        d = dt / self.unfolds
        cm, gleak = zoo.softplus(self.cm), zoo.softplus(self.gleak)
        wx, w = zoo.softplus(self.wx), zoo.softplus(self.w)
        wxs = wx * zoo.sigmoid(self.sigmax * (x[:, None] - self.mux))
        drive = gleak * self.vleak + np.sum(wxs * self.erevx, axis=0)
        total = gleak + np.sum(wxs, axis=0) + 1e-8
        for _ in range(self.unfolds):
            ws = w * zoo.sigmoid(self.sigma * (h[:, None] - self.mu))
            pull = drive + np.sum(ws * self.erev, axis=0)
            h = (cm * h + d * pull) / (cm + d * (total + np.sum(ws, axis=0)))
        return h


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the LTC."""
    register(LTC)
