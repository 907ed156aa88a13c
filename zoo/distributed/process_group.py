"""Who works on a batch together: this process alone, or the ranks of an MPI job (:mod:`zoo.distributed`).

The batch is cut into the same shards whoever works on them, each rank takes some that follow each other, and
gradients are summed shard by shard in order. So the number of ranks changes no bit of any result, as the
number of threads does not.

What a training run asks of the processes it is run by; one process alone is a crew too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from zoo.layers.sharding import shards, sum_shards

Array = np.ndarray[Any, Any]

State = dict[str, Array]


class Team(Protocol):
    """What a model asks of those it works with.

    Attributes:
        keeps_shards_apart: Whether it has to be given the gradient of every shard by itself.
    """

    keeps_shards_apart: bool

    def share(self, batch: int) -> Sequence[slice]:
        """The shards of a batch that are this process's."""

    def sum(self, gradients: list[Array], total: Array, batch: int) -> None:
        """The sum of everybody's gradients, one for each shard, in their order, to ``total (P,)``."""

    def numbers(self, mine: list[float], batch: int) -> list[float]:
        """A number of every shard, in their order, from those of this process's."""

    def states(self, mine: State, before: Mapping[str, Array]) -> State:
        """States ``(B, ...)``, as those before, of which those rows are set that this process has."""

    def complete(self, states: Mapping[str, Array], batch: int) -> State:
        """Those states with every row set, from everybody's."""


class Alone:
    """One process, which does everything."""

    keeps_shards_apart = False

    def share(self, batch: int) -> Sequence[slice]:
        """All."""
        return shards(batch)

    def sum(self, gradients: list[Array], total: Array, batch: int) -> None:  # noqa: ARG002 - as above
        """One after the other."""
        np.copyto(total, gradients[0])
        sum_shards([total, *gradients[1:]])

    def numbers(self, mine: list[float], batch: int) -> list[float]:  # noqa: ARG002 - as above
        """Those there are."""
        return mine

    def states(self, mine: State, before: Mapping[str, Array]) -> State:  # noqa: ARG002 - as above
        """They have all rows."""
        return mine

    def complete(self, states: Mapping[str, Array], batch: int) -> State:  # noqa: ARG002 - as above
        """As they are."""
        return dict(states)


ALONE = Alone()


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
