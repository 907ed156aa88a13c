"""Adaptive leaky integrate-and-fire units with recurrent weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.spiking._surrogates import SURROGATES

Array = Any
Shape = tuple[int, ...]

ALPHA = (math.exp(-1 / 5), math.exp(-1 / 25))  # time constants of 5 to 25 steps
BETA = (math.exp(-1 / 30), math.exp(-1 / 120))
A, B = (-1.0, 1.0), (0.0, 2.0)


def uniform(limits: tuple[float, float]) -> Callable[[np.random.Generator, Shape], Array]:
    """Uniform between two limits."""
    return lambda rng, shape: rng.uniform(*limits, shape)


class AdLIF(zoo.Cell):
    """Adaptive leaky integrate-and-fire: an adaptation current depends on potential and spikes.

    With a positive ``a``, the adaptation and the potential can oscillate, so a unit can respond to a rhythm
    in its input. With a positive ``b``, a unit fires less often after it has fired. A unit that has fired
    loses a threshold of one at the next step. The gradient flows through this reset.

    Equations, where V is ``Wh`` with a diagonal of zeros, and heaviside is one from zero on::

        V  = Wh * (1 - I)
        k  = clip(alpha, exp(-1 / 5), exp(-1 / 25))
        d  = clip(beta, exp(-1 / 30), exp(-1 / 120))
        w' = d * w + clip(a, -1, 1) * u + clip(b, 0, 2) * s
        u' = k * (u - s) + (1 - k) * (x Wx + s V - w')
        s' = heaviside(u' - threshold)

    The parameter ``Wx (I, H)`` starts uniform within ``1 / sqrt(I)`` of zero, and ``Wh (H, H)`` starts
    orthogonal. ``alpha (H,)``, ``beta (H,)``, ``a (H,)`` and ``b (H,)`` start uniform between the limits
    to which the equations clip them. The states are ``s (H,)``, the spikes and the output,
    ``u (H,)``, the membrane potentials, and ``w (H,)``, the adaptation.

    This is ``RadLIFLayer`` of https://github.com/idiap/sparch (BSD-3-Clause), the code of the paper, without
    its normalisation. The adaptation reads the old potential and spikes, and the potential reads the new
    adaptation. It fires only above the threshold and not at it.
    """

    name = "adlif"
    family = "spiking"
    card = zoo.Card(
        title="A surrogate gradient spiking baseline for speech command recognition",
        authors="Alexandre Bittar, Philip N. Garner",
        year=2022,
        url="https://doi.org/10.3389/fnins.2022.865897",
        variant="This is RadLIF, the adaptive unit with trained recurrent weights.",
        deviations="The official layer normalises the projected input over the batch. zoo starts all states "
        "at zero, and the official code draws them between 0 and 1.",
        history="Bittar and Garner compared spiking networks with and without adaptation and recurrent "
        "weights on speech commands in 2022, and found both useful together. Baronig and others analysed "
        "the stability of this discrete form later and proposed another one (se_adlif).",
        when_to_use="Use it for spiking networks on signals with temporal structure, such as audio. Choose "
        "inputs large enough for units to fire, because the official layer has batch normalisation in front "
        "of them. Each unit has four numbers more than one of lif.",
        trainability="Training on text diverges. Where a is negative, as for half of the units at first, "
        "potential and adaptation reinforce each other, and states that are carried from window to window "
        "grow without bound.",
        related={
            "lif": "has no adaptation.",
            "alif": "adapts its threshold instead of its potential.",
            "se_adlif": "updates potential and adaptation one after the other, which is stable for more "
            "parameters.",
            "adex": "has an exponential threshold and a fixed adaptation.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to potentials")
    Wh = zoo.Param("H", "H", init="orthogonal", help="spikes to potentials of other units")
    alpha = zoo.Param("H", init=uniform(ALPHA), help="share of a potential that is kept at every step")
    beta = zoo.Param("H", init=uniform(BETA), help="share of an adaptation that is kept at every step")
    a = zoo.Param("H", init=uniform(A), help="potential to adaptation")
    b = zoo.Param("H", init=uniform(B), help="spikes to adaptation")
    s = zoo.State("H", help="spikes, and the output")
    u = zoo.State("H", help="membrane potentials")
    w = zoo.State("H", help="adaptation")
    threshold = zoo.Option(1.0, low=1e-6, help="potential at which a unit fires")
    surrogate = zoo.Option("boxcar", choices=SURROGATES, help="derivative of the threshold in training")
    slope = zoo.Option(1.0, low=1e-6, help="slope of the surrogate")

    def step(self, x: Array, s: Array, u: Array, w: Array) -> tuple[Array, Array, Array]:
        V = self.Wh * (1 - zoo.eye(s.shape[-1]))
        k, d = np.clip(self.alpha, *ALPHA), np.clip(self.beta, *BETA)
        w = d * w + np.clip(self.a, *A) * u + np.clip(self.b, *B) * s
        u = k * (u - s) + (1 - k) * (x @ self.Wx + s @ V - w)
        return zoo.heaviside(u - self.threshold, self.surrogate, self.slope), u, w


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the adaptive leaky integrate-and-fire cell."""
    register(AdLIF)
