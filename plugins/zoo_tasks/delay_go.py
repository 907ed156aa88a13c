"""Delayed go: respond in the direction of a stimulus that has ended.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is delaygo, Dly Go in
the paper. The memoryless baseline is a guess of the direction.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, GoTask


class DelayGo(GoTask):
    """Delayed go: respond in the direction of a stimulus after a delay.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Dly Go, with delays from 0.2 to 1.6 s.",
        when_to_use="Use it to study the memory of a continuous value: trained networks keep a direction "
        "on a ring attractor, which the analysis of fixed points can show.",
    )
    delayed = True

    def baseline(self) -> float:
        """A fixed direction: within 36 degrees of one in five directions."""
        return 0.2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(DelayGo)
