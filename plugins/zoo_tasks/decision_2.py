"""Decision making 2: respond to the stronger of two stimuli of modality 2.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is dm2, DM 2 in the
paper. The memoryless baseline is a guess of the direction.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, DecisionTask


class Decision2(DecisionTask):
    """Decision making 2: respond to the stronger of two stimuli of modality 2.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    name = "decision_2"
    card = zoo.Card(
        **REFERENCE,
        variant="This is DM 2. Strengths differ by 2 to 16 % of the mean.",
        when_to_use="Use it with decision_1, for example to test transfer between modalities.",
    )
    weights = (0, 1)

    def baseline(self) -> float:
        """A fixed direction: within 36 degrees of one in five directions."""
        return 0.2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Decision2)
