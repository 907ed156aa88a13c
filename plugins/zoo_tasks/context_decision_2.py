"""Context-dependent decision 2: respond to the stronger stimulus of modality 2, and ignore modality 1.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is contextdm2, Ctx DM 2
in the paper. The memoryless baseline is a guess of the direction.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, DecisionTask


class ContextDecision2(DecisionTask):
    """Context-dependent decision 2: respond to the stimulus that is stronger in modality 2.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    name = "context_decision_2"
    card = zoo.Card(
        **REFERENCE,
        variant="This is Ctx DM 2. The same directions have other strengths in modality 1.",
        when_to_use="Use it with context_decision_1, for example to test whether a network unlearns what it "
        "ignored.",
    )
    weights = (0, 1)
    distracts = True

    def baseline(self) -> float:
        """A fixed direction: within 36 degrees of one in five directions."""
        return 0.2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(ContextDecision2)
