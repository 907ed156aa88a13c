"""Multi-sensory decision: respond to the stimulus that is stronger in both modalities together.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is multidm, MultSen DM
in the paper. The memoryless baseline is a guess of the direction.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, DecisionTask


class MultisensoryDecision(DecisionTask):
    """Multi-sensory decision: respond to the stimulus that is stronger in both modalities together.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is MultSen DM. A stimulus may be weaker in one modality.",
        when_to_use="Use it to study the integration of two inputs: one modality alone decides wrongly "
        "in many trials.",
    )
    weights = (1, 1)

    def baseline(self) -> float:
        """A fixed direction: within 36 degrees of one in five directions."""
        return 0.2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(MultisensoryDecision)
