"""What a training run asks of the processes it is run by; one process alone is a crew too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from zoo.layers.team import ALONE, Team

Array = np.ndarray[Any, Any]


class Crew:
    """A process that runs alone, and the base of several.

    Attributes:
        rank: Which of them this process is, from 0.
        size: How many they are.
        team: How they share the work on a batch.
    """

    rank: int = 0
    size: int = 1
    team: Team = ALONE

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def threads(self, available: int) -> int:
        """How many threads this process may use of those available on its machine."""
        return available

    def told(self, text: str) -> str:
        """What rank 0 says."""
        return text

    def agreed(self, number: int) -> int:
        """The largest of everybody's numbers."""
        return number

    def check_same(self, array: Array, what: str) -> None:
        """Refuse to go on where somebody's array has other bits.

        Raises:
            ZooError: on every rank.
        """

    @contextmanager
    def first_on_each_machine(self) -> Iterator[None]:
        """Within the block is one process of each machine, and after it the others: kernels compile once."""
        yield

    def part(self) -> None:
        """Everybody has come to the same end; nobody waits for anybody any more."""

    def abort(self, code: int) -> None:
        """End everybody, if they still wait for each other."""


SOLO = Crew()
