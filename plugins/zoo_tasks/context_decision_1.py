"""Context-dependent decision 1: respond to the stronger stimulus of modality 1, and ignore modality 2.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is contextdm1, Ctx DM 1
in the paper. The memoryless baseline is a guess of the direction.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, DecisionTask


class ContextDecision1(DecisionTask):
    """Context-dependent decision 1: respond to the stimulus that is stronger in modality 1.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    name = "context_decision_1"
    card = zoo.Card(
        **REFERENCE,
        variant="This is Ctx DM 1. The same directions have other strengths in modality 2.",
        when_to_use="Use it to study how a network ignores an input: integrating both modalities gives at "
        "most 75 % right trials.",
    )
    distracts = True

    def baseline(self) -> float:
        """A fixed direction: within 36 degrees of one in five directions."""
        return 0.2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(ContextDecision1)
