"""The L1 penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class L1(zoo.Penalty):
    """Sum of the absolute values of a parameter, or mean absolute activity."""

    family = "norm"
    card = zoo.Card(
        title="Regression Shrinkage and Selection via the Lasso",
        authors="Robert Tibshirani",
        year=1996,
        url="https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",
        variant="The gradient at zero is zero.",
        when_to_use="Use it for sparse activity or few connections: it moves small values to zero and "
        "shrinks large ones less than l2.",
    )

    def value_and_grad(self, values: Array, weights: Array) -> tuple[float, Array]:
        return (weights * np.abs(values)).sum(), weights * np.sign(values)


@zoo.hookimpl
def zoo_register_penalties(register: Callable[[type[zoo.Penalty]], None]) -> None:
    """Register the penalty."""
    register(L1)
