"""Temperature: divide the logits to sharpen or flatten the distribution.

Definition: ``softmax(logits / temperature)``. Below 1 the distribution is sharper (in the limit 0: uniform
over the highest logits), above 1 flatter (in the limit infinity: uniform over the symbols not yet dropped). A
temperature of 1 changes nothing.

Reference: D. H. Ackley, G. E. Hinton & T. J. Sejnowski, *A Learning Algorithm for Boltzmann Machines*,
Cognitive Science 9, 1985, https://doi.org/10.1207/s15516709cog0901_7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo import kernels

Vector = np.ndarray[Any, Any]


@zoo.njit
def transform(logits: Vector, temperature: float) -> Vector:
    """Scale ``logits (V,)``."""
    # The shift does not change the softmax; with the largest logit at zero, no quotient overflows to +inf.
    scaled: Vector = (logits - kernels.row_max(logits)) / temperature
    return scaled


class _TemperatureOption(zoo.Option[float]):
    """A temperature, whose error names the sampler for the limit 0."""

    def expects(self) -> str:
        return f"{super().expects()}, or the sampler 'greedy' for the most probable symbol"


class Temperature(zoo.Sampler):
    """Logits divided by a temperature: below 1 sharper, above 1 flatter."""

    family = "scaling"
    card = zoo.Card(
        title="A Learning Algorithm for Boltzmann Machines",
        authors="Ackley, Hinton & Sejnowski",
        year=1985,
        url="https://doi.org/10.1207/s15516709cog0901_7",
        variant="This is the Boltzmann distribution over the symbols, whose energies are the negative "
        "logits.",
        when_to_use="Use values below one, such as 0.8, for safer text and values above one for more varied "
        "text. It removes no symbol, so combine it with top_p, top_k or min_p. Samplers run in the order "
        "given, and the order of temperature and the others changes the result.",
    )
    temperature = _TemperatureOption(1.0, "divisor of the logits; for 0 use the greedy sampler", low=1e-6)
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(Temperature)
