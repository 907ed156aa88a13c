"""A target for the mean firing rate of every unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class FiringRate(zoo.Penalty):
    """Squared difference of the mean firing rate of each unit from a target, averaged over units.

    The firing rate of a unit is its mean activity over the time steps and sequences of a batch. Units that
    are silent get a gradient too, unlike with ``l2``.
    """

    family = "activity"
    activity_only = True
    card = zoo.Card(
        title="A solution to the learning dilemma for recurrent networks of spiking neurons",
        authors="Guillaume Bellec, Franz Scherr, Anand Subramoney, Elias Hajek, Darjan Salaj, Robert "
        "Legenstein, Wolfgang Maass",
        year=2020,
        url="https://doi.org/10.1038/s41467-020-17236-y",
        variant="The rate is in activity per time step.",
        deviations="This is the mean over units. The authors' code has half of the sum.",
        when_to_use="Use it with spiking cells such as lif, so that no unit is silent or fires all the time.",
    )
    target = zoo.Option(0.02, help="mean activity of a unit at a time step", low=0.0)

    def value_and_grad(self, values: Array, weights: Array) -> tuple[float, Array]:
        units = values.shape[-1]
        rates = (weights * values).sum(axis=(0, 1), dtype=np.float64) * units
        error = rates - self.target
        return (error**2).mean(), weights * (2 * error).astype(values.dtype)


@zoo.hookimpl
def zoo_register_penalties(register: Callable[[type[zoo.Penalty]], None]) -> None:
    """Register the penalty."""
    register(FiringRate)
