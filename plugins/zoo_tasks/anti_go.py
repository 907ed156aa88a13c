"""Anti-go: respond in the direction opposite to a stimulus.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is fdanti, Anti in the
paper. No memory is needed, since the stimulus stays.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, GoTask


class AntiGo(GoTask):
    """Anti-go: respond in the direction opposite to a stimulus, when the fixation signal ends.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Anti, in which the stimulus stays until the end.",
        when_to_use="Use it with go to compare the representations of a response and of its opposite. It "
        "needs no memory.",
    )
    threshold = None
    threshold_source = ""
    no_threshold = (
        "a model without memory is right in every trial, since the stimulus stays until the response"
    )
    anti = True

    def baseline(self) -> float:
        """A linear map from the stimulus to the response."""
        return 1.0


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(AntiGo)
