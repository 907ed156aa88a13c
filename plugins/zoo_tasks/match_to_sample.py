"""Delayed match to sample (DMS): respond to a second stimulus if it is the same as the first.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is dmsgo, DMS in the
paper. The memoryless baseline is a guess whether the stimuli match.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, MatchTask


class MatchToSample(MatchTask):
    """Delayed match to sample (DMS): respond to a second stimulus with the direction of the first.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is DMS, with delays from 0.2 to 1.6 s.",
        when_to_use="Use it to study working memory and comparison. Differences are 20 degrees or more. The "
        "task delayed_match has eight fixed stimuli and two classes as answers, and is easier.",
    )

    def baseline(self) -> float:
        """Always fixate, or always respond: right in half of the trials."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(MatchToSample)
