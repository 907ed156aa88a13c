"""Delayed non-match to sample (DNMS): respond to a second stimulus if it differs from the first.

See :mod:`zoo_tasks._yang_tasks` for inputs, outputs and the source. Its name there is dmsnogo, DNMS in the
paper. The memoryless baseline is a guess whether the stimuli match.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._yang_tasks import REFERENCE, MatchTask


class NonmatchToSample(MatchTask):
    """Delayed non-match to sample (DNMS): respond to a second stimulus if its direction has changed.

    Inputs are a fixation signal and two rings of units, outputs a fixation unit and a ring.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is DNMS, with delays from 0.2 to 1.6 s.",
        when_to_use="Use it with match_to_sample, to compare the representations of a match and of a "
        "difference.",
    )
    responds_to_match = False

    def baseline(self) -> float:
        """Always fixate, or always respond: right in half of the trials."""
        return 1 / 2


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(NonmatchToSample)
