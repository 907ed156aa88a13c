"""Temperature: divide the logits, to sharpen or flatten the distribution.

Definition: ``softmax(logits / temperature)``. Below 1 the distribution gets sharper (towards 0: the highest
logit, shared by its equals), above 1 flatter (towards infinity: uniform over the symbols not dropped before);
1 changes nothing.

Reference: D. H. Ackley, G. E. Hinton & T. J. Sejnowski, *A Learning Algorithm for Boltzmann Machines*,
Cognitive Science 9, 1985, https://doi.org/10.1207/s15516709cog0901_7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Vector = np.ndarray[Any, Any]


@zoo.njit
def transform(logits: Vector, temperature: float) -> Vector:
    """Scale ``logits (V,)``."""
    # The softmax does not see the shift; with the largest at zero, no quotient can overflow to +inf.
    scaled: Vector = (logits - logits.max()) / temperature
    return scaled


class Temperature(zoo.Sampler):
    """Logits divided by a temperature: below 1 sharper, above 1 flatter."""

    family = "scaling"
    card = zoo.Card(
        title="A Learning Algorithm for Boltzmann Machines",
        authors="Ackley, Hinton & Sejnowski",
        year=1985,
        url="https://doi.org/10.1207/s15516709cog0901_7",
        variant="Boltzmann distribution over the symbols, energies being the negative logits",
    )
    temperature = zoo.Option(1.0, "what the logits are divided by; for 0 use the greedy sampler", low=1e-6)
    transform = transform


@zoo.hookimpl
def zoo_register_samplers(register: Callable[[type[zoo.Sampler]], object]) -> None:
    """Register the sampler."""
    register(Temperature)
