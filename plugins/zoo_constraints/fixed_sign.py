"""Weights that keep the signs of their initial values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class FixedSign(zoo.Constraint):
    """Every weight keeps the sign of its initial value, and initial zeros stay zero.

    A weight of the other sign becomes zero after an update. Set initial weights to zero to remove
    connections for good.
    """

    family = "sign"
    card = zoo.Card(
        title="Training Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks: A Simple and "
        "Flexible Framework",
        authors="H. Francis Song, Guangyu R. Yang, Xiao-Jing Wang",
        year=2016,
        url="https://doi.org/10.1371/journal.pcbi.1004792",
        variant="The initial values determine the signs and the pattern of connections.",
        deviations="The paper multiplies the weights by masks inside the equations. Here each update is "
        "projected.",
        when_to_use="Use it for a network whose connections and signs you know, for example from anatomy. "
        "`dale` chooses the signs for you.",
    )

    def project(self, values: Array, initial: Array) -> None:
        np.copyto(values, 0, where=np.sign(values) * np.sign(initial) <= 0)  # false for NaN


@zoo.hookimpl
def zoo_register_constraints(register: Callable[[type[zoo.Constraint]], None]) -> None:
    """Register the constraint."""
    register(FixedSign)
