"""Who works on a batch together: this process alone, or the ranks of an MPI job (:mod:`zoo.ranks`).

The batch is cut into the same shards whoever works on them, each rank takes some that follow each other, and
gradients are summed shard by shard in order. So the number of ranks changes no bit of any result, as the
number of threads does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from zoo.layers.shards import shards, sum_shards

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
