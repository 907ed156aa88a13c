"""Go: respond in the direction of a stimulus when the fixation signal ends.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is fdgo, Go in the
paper. No memory is needed, since the stimulus stays.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, GoTask


class Go(GoTask):
    """Go: respond in the direction of a stimulus, when the fixation signal ends.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Go, in which the stimulus stays until the end.",
        when_to_use="Use it as a control for delay_go and anti_go. It needs no memory.",
    )
    threshold = None
    threshold_source = ""
    no_threshold = (
        "a model without memory is right in every trial, since the stimulus stays until the response"
    )

    def baseline(self) -> float:
        """A linear map from the stimulus to the response."""
        return 1.0


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Go)
