"""The liquid time-constant network, solved step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def between(low: float, high: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """Uniform between two numbers."""
    return lambda rng, shape: rng.uniform(low, high, shape)


def polarity(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One, or minus one at a third of the synapses: two excite for each one that inhibits."""
    return rng.choice([-1.0, 1.0, 1.0], shape)


class LTC(zoo.Cell):
    """Liquid time-constant network: leaky units whose time constants depend on input and state.

    A synapse is a conductance: the more it opens, the faster its neuron goes to the synapse's own potential.
    So the time constant of a neuron depends on the input and on all other neurons. Every neuron hears every
    input and every neuron, itself included.

    Equations, ``unfolds`` times, each with ``d = dt / unfolds``, where s is softplus::

        wxs = s(wx) * sigmoid(sigmax * (x[:, None] - mux))
        ws  = s(w) * sigmoid(sigma * (h[:, None] - mu))
        drive = s(gleak) * vleak + sum(wxs * erevx) + sum(ws * erev)
        total = s(gleak) + sum(wxs) + sum(ws)
        h' = (s(cm) * h + d * drive) / (s(cm) + d * (total + 1e-8))

    with sums over the neuron or input that a synapse comes from, the first axis.

    Parameters: of the neurons ``cm (H,)``, capacitance, uniform between 0.4 and 0.6, ``gleak (H,)``, leak,
    0.001 to 1, and ``vleak (H,)``, resting potential, -0.2 to 0.2; of the synapses from inputs ``wx (I, H)``
    and from neurons ``w (H, H)``, conductances, 0.001 to 1, ``mux (I, H)`` and ``mu (H, H)``, where they
    open, 0.3 to 0.8, ``sigmax (I, H)`` and ``sigma (H, H)``, how sharply, 3 to 8, ``erevx (I, H)`` and
    ``erev (H, H)``, the potentials they pull to, 1 or, for a third of them, -1. State and output: ``h (H,)``.
    Auxiliary input: ``dt``, the time since the step before, one number per row.

    Each step is half implicit, which keeps h between the potentials that pull at it, however long dt is.
    Equations and initialization are those of ``LTCCell`` in https://github.com/mlech26l/ncps with full wiring
    and ``implicit_param_constraints=True``, the default of its layer ``LTC``: softplus keeps capacitances and
    conductances above zero, and initial values are drawn before softplus. There numerator and denominator are
    divided by d, which must not be zero then.
    """

    family = "continuous"
    card = zoo.Card(
        title="Liquid Time-constant Networks",
        authors="Ramin Hasani, Mathias Lechner, Alexander Amini, Daniela Rus, Radu Grosu",
        year=2020,
        url="https://arxiv.org/abs/2006.04439",
        variant="Conductance-based synapses and the fused solver, as in ncps; fully connected.",
        deviations="The paper writes one network f for all synapses of a neuron; the authors' code has a "
        "sigmoid for each synapse, and so has zoo. No affine maps of input and output, which in ncps are an "
        "option.",
    )
    cm = zoo.Param("H", init=between(0.4, 0.6), help="capacitance of a neuron, before softplus")
    gleak = zoo.Param("H", init=between(0.001, 1), help="leak conductance, before softplus")
    vleak = zoo.Param("H", init=between(-0.2, 0.2), help="resting potential")
    wx = zoo.Param("I", "H", init=between(0.001, 1), help="conductance from inputs, before softplus")
    mux = zoo.Param("I", "H", init=between(0.3, 0.8), help="input at which a synapse is half open")
    sigmax = zoo.Param("I", "H", init=between(3, 8), help="how sharply an input opens a synapse")
    erevx = zoo.Param("I", "H", init=polarity, help="potential that an input's synapse pulls to")
    w = zoo.Param("H", "H", init=between(0.001, 1), help="conductance from neurons, before softplus")
    mu = zoo.Param("H", "H", init=between(0.3, 0.8), help="potential at which a synapse is half open")
    sigma = zoo.Param("H", "H", init=between(3, 8), help="how sharply a neuron opens a synapse")
    erev = zoo.Param("H", "H", init=polarity, help="potential that a neuron's synapse pulls to")
    h = zoo.State("H", help="potentials of the neurons, and the output")
    dt = zoo.Input(default=1.0, help="time since the step before")
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
