"""The L2 penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class L2(zoo.Penalty):
    """Sum of the squares of a parameter, or mean squared activity."""

    family = "norm"
    card = zoo.Card(
        title="A Simple Weight Decay Can Improve Generalization",
        authors="Anders Krogh, John A. Hertz",
        year=1991,
        url="https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html",
        variant="The factor multiplies the sum of squares. In the paper it multiplies half of the sum.",
        when_to_use="Use it for low firing rates, or against large weights. On parameters, the option "
        "weight_decay of adamw has no divisor and is usually better with adaptive optimizers.",
    )

    def value_and_grad(self, values: Array, weights: Array) -> tuple[float, Array]:
        scaled = weights * values
        return (scaled * values).sum(), 2 * scaled


@zoo.hookimpl
def zoo_register_penalties(register: Callable[[type[zoo.Penalty]], None]) -> None:
    """Register the penalty."""
    register(L2)
