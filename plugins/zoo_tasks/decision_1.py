"""Decision making 1: respond to the stronger of two stimuli of modality 1.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is dm1, DM 1 in the
paper. The memoryless baseline is a guess of the direction.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, DecisionTask


class Decision1(DecisionTask):
    """Decision making 1: respond to the stronger of two stimuli of modality 1.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    name = "decision_1"
    card = zoo.Card(
        **REFERENCE,
        variant="This is DM 1. Strengths differ by 2 to 16 % of the mean.",
        when_to_use="Use it to study the accumulation of evidence: noise hides small differences at a single "
        "step. The task decision_2 is the same for the other modality.",
    )

    def baseline(self) -> float:
        """A fixed direction: within 36 degrees of one in five directions."""
        return 0.2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Decision1)
