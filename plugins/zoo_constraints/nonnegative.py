"""Weights that are never negative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class Nonnegative(zoo.Constraint):
    """No weight is negative: negative values become zero after every update.

    The first values are made positive by the absolute value, so that all weights take part from the start.
    """

    family = "sign"
    card = zoo.Card(
        title="Training Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks: A Simple and "
        "Flexible Framework",
        authors="H. Francis Song, Guangyu R. Yang, Xiao-Jing Wang",
        year=2016,
        url="https://doi.org/10.1371/journal.pcbi.1004792",
        variant="These are the excitatory input weights of the paper.",
        deviations="The paper rectifies the weights inside the equations. Here each update is projected.",
        when_to_use="Use it for excitatory connections, such as input weights, and where a model must not "
        "decrease in one of its inputs.",
    )

    def start(self, values: Array) -> None:
        np.abs(values, out=values)

    def project(self, values: Array, initial: Array) -> None:
        np.maximum(values, 0, out=values)


@zoo.hookimpl
def zoo_register_constraints(register: Callable[[type[zoo.Constraint]], None]) -> None:
    """Register the constraint."""
    register(Nonnegative)
