"""Dale's law: a unit excites all units that it reaches, or inhibits all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class Dale(zoo.Constraint):
    """Dale's law: the first units are excitatory and the others inhibitory, with weights of one sign each.

    Apply it to weights from units to units, ``Whh (H, H)``, or to the readout. Row n holds the weights from
    unit n. The rows of the first ``excitatory`` part are never negative, the others never positive. A
    weight of the wrong sign becomes zero after an update.

    The first values keep their magnitudes. The excitatory ones are multiplied by the ratio of inhibitory to
    excitatory units, so that excitation and inhibition balance at the start.
    """

    family = "sign"
    card = zoo.Card(
        title="Training Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks: A Simple and "
        "Flexible Framework",
        authors="H. Francis Song, Guangyu R. Yang, Xiao-Jing Wang",
        year=2016,
        url="https://doi.org/10.1371/journal.pcbi.1004792",
        variant="Four of five units are excitatory, as in the paper.",
        deviations="The paper rectifies the weights inside the equations. Here each update is projected. The "
        "balance of the initial values is that of https://github.com/gyyang/nn-brain (EIRecLinear). "
        "A unit may connect to itself.",
        when_to_use="Use it for rate networks of excitatory and inhibitory units, with a cell whose outputs "
        "are firing rates of at least zero, such as ctrnn.",
    )
    excitatory = zoo.Option(0.8, help="part of the units that are excitatory", low=0.0, high=1.0)

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise zoo.UsageError(
                f"{self.label()}: parameter {name} has the shape {shape}; expected a matrix, with a row of "
                f"weights from each unit."
            )

    def start(self, values: Array) -> None:
        count = self._count(values)
        np.abs(values, out=values)
        values[count:] *= -1
        if 0 < count < len(values):
            values[:count] *= min(1.0, (len(values) - count) / count)

    def project(self, values: Array, initial: Array) -> None:
        count = self._count(values)
        np.maximum(values[:count], 0, out=values[:count])
        np.minimum(values[count:], 0, out=values[count:])

    def _count(self, values: Array) -> int:
        """The number of excitatory units."""
        return round(self.excitatory * len(values))


@zoo.hookimpl
def zoo_register_constraints(register: Callable[[type[zoo.Constraint]], None]) -> None:
    """Register the constraint."""
    register(Dale)
