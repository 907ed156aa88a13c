"""The ranks of an MPI job, by mpi4py. Only arrays of numbers travel: no objects, hence no pickle."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mpi4py import MPI

from zoo.distributed.process_group import Crew
from zoo.errors import ZooError
from zoo.layers.sharding import shards

Array = np.ndarray[Any, Any]
State = dict[str, Array]

# Numbers of a gradient that travel at a time: while one part is added up, the part before it is on its way.
PART = 1 << 15


def shares(batch: int, size: int) -> list[Sequence[slice]]:
    """The shards of each of so many ranks, following each other; those that get none are the last."""
    every = shards(batch)
    busy = min(size, len(every))
    cuts = [len(every) * rank // busy for rank in range(busy + 1)]
    found: list[Sequence[slice]] = [every[a:b] for a, b in itertools.pairwise(cuts)]
    return found + [()] * (size - busy)


class RankTeam:
    """Ranks that share the work on a batch.

    Args:
        comm: The communicator.
    """

    keeps_shards_apart = True

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def share(self, batch: int) -> Sequence[slice]:
        """The shards that are this rank's."""
        return shares(batch, self.size)[self.rank]

    def sum(self, gradients: list[Array], total: Array, batch: int) -> None:
        """The sum of all gradients on every rank.

        It goes along the ranks, each of which adds its own, and back from the last to all: the order of the
        shards, which a tree of sums would not keep. In parts, so that all ranks are busy at the same time:
        P numbers then take the time of P and of (ranks - 1) parts, not of P times ranks.
        """
        last = min(self.size, len(shards(batch))) - 1
        if self.rank <= last:
            for start in range(0, total.size, PART):
                self._pass_on(gradients, total, slice(start, start + PART), last)
        self.comm.Bcast(total, root=last)

    def _pass_on(self, gradients: list[Array], total: Array, part: slice, last: int) -> None:
        """Add this rank's gradients to what the ranks before it found of a part of the sum."""
        first, *others = gradients
        if self.rank > 0:
            self.comm.Recv(total[part], source=self.rank - 1)
            total[part] += first[part]
        else:
            total[part] = first[part]
        for each in others:
            total[part] += each[part]
        if self.rank < last:
            self.comm.Send(total[part], dest=self.rank + 1)

    def numbers(self, mine: list[float], batch: int) -> list[float]:
        """A number of every shard, on every rank."""
        counts = [len(each) for each in shares(batch, self.size)]
        found = np.empty(sum(counts))
        self.comm.Allgatherv(np.array(mine, np.float64), [found, counts])
        return [float(each) for each in found]

    def states(self, mine: State, before: Mapping[str, Array]) -> State:
        """States of which the rows of this rank are set, and the others zero."""
        found = {name: np.zeros_like(value) for name, value in before.items()}
        for name, value in mine.items():
            rows = self.share(len(found[name]))
            found[name][rows[0].start : rows[-1].stop] = value
        return found

    def complete(self, states: Mapping[str, Array], batch: int) -> State:
        """The states with all rows, on every rank."""
        found = {}
        for name, value in states.items():
            rows = [sum(part.stop - part.start for part in each) for each in shares(batch, self.size)]
            width = value.size // batch
            start = sum(rows[: self.rank])
            own = np.ascontiguousarray(value[start : start + rows[self.rank]])
            found[name] = np.empty_like(value)
            self.comm.Allgatherv(own, [found[name], [count * width for count in rows]])
        return found


class Ranks(Crew):
    """The ranks of the job that this process belongs to."""

    def __init__(self) -> None:
        self.comm = MPI.COMM_WORLD
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.here = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.team = RankTeam(self.comm)
        self.together = True

    def threads(self, available: int) -> int:
        """An equal share of those on this machine."""
        here: int = self.here.Get_size()
        return max(1, available // here)

    def told(self, text: str) -> str:
        """What rank 0 says."""
        length = self.agreed(len(text.encode()) if self.leads else 0)
        found = np.frombuffer(text.encode(), np.uint8).copy() if self.leads else np.empty(length, np.uint8)
        self.comm.Bcast(found, root=0)
        return found.tobytes().decode()

    def agreed(self, number: int) -> int:
        """The largest of everybody's numbers."""
        found = np.empty(1, np.int64)
        self.comm.Allreduce(np.array([number], np.int64), found, op=MPI.MAX)
        return int(found[0])

    def check_same(self, array: Array, what: str) -> None:
        """Compare a digest of everybody's array.

        Raises:
            ZooError: on every rank, if they differ.
        """
        digest = int.from_bytes(hashlib.sha256(array.tobytes()).digest()[:7], "big")
        if self.agreed(digest) != -self.agreed(-digest):
            raise ZooError(
                f"the {what} of the {self.size} ranks are no longer the same; their processors or versions "
                f"may differ. Resume from the last checkpoint on equal machines."
            )

    @contextmanager
    def first_on_each_machine(self) -> Iterator[None]:
        """Within the block is the first rank of each machine, and after it the others."""
        if self.here.Get_rank() > 0:
            self.here.Barrier()
        yield
        if self.here.Get_rank() == 0:
            self.here.Barrier()

    def part(self) -> None:
        """Everybody has come to the same end."""
        self.together = False

    def abort(self, code: int) -> None:
        """End all ranks, unless all have come to their end."""
        if self.together:
            self.comm.Abort(code)
