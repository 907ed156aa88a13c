"""The ranks of an MPI job as a process group. Only arrays of numbers are sent: no objects, no pickle."""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from mpi4py import MPI

from zoo.array_types import Array
from zoo.distributed.collectives import ProcessGroup, State
from zoo.errors import ZooError
from zoo.layers.sharding import shards

# Elements of a gradient per message: a rank adds one chunk while the chunk before it is on its way.
CHUNK = 1 << 15

# A launcher that ends a job may drop output that it has not read. The message of an error was lost in one of
# some dozen runs.
_SECONDS_BEFORE_ABORT = 0.2


def shards_by_rank(batch: int, size: int) -> list[Sequence[slice]]:
    """Consecutive shards of each rank; where there are fewer shards than ranks, the last ranks have none."""
    every = shards(batch)
    busy = min(size, len(every))
    bounds = [len(every) * rank // busy for rank in range(busy + 1)]
    by_rank: list[Sequence[slice]] = [every[a:b] for a, b in itertools.pairwise(bounds)]
    return by_rank + [()] * (size - busy)


class MpiProcessGroup(ProcessGroup):
    """All ranks of the MPI job of this process."""

    needs_shard_gradients = True

    def __init__(self) -> None:
        self.comm = MPI.COMM_WORLD
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.node = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.is_running = True

    def local_shards(self, batch: int) -> Sequence[slice]:
        """Shards of a batch that this rank computes."""
        return shards_by_rank(batch, self.size)[self.rank]

    def sum_gradients(self, gradients: list[Array], total: Array, batch: int) -> None:
        """Sum the gradients of all shards in order and broadcast the sum.

        The partial sum passes from rank to rank, each adding its own shards: the order of the shards, which
        a tree of sums would not keep. It is sent in chunks, so that all ranks are busy at the same time: P
        elements then take the time of P plus (ranks - 1) chunks, not of P times ranks.
        """
        last = min(self.size, len(shards(batch))) - 1
        if self.rank <= last:
            for start in range(0, total.size, CHUNK):
                self._add_chunk(gradients, total, slice(start, start + CHUNK), last)
        self.comm.Bcast(total, root=last)

    def _add_chunk(self, gradients: list[Array], total: Array, chunk: slice, last: int) -> None:
        first, *others = gradients
        if self.rank > 0:
            self.comm.Recv(total[chunk], source=self.rank - 1)
            total[chunk] += first[chunk]
        else:
            total[chunk] = first[chunk]
        for gradient in others:
            total[chunk] += gradient[chunk]
        if self.rank < last:
            self.comm.Send(total[chunk], dest=self.rank + 1)

    def all_gather_floats(self, local: list[float], batch: int) -> list[float]:
        """One float per shard of the whole batch, in order."""
        counts = [len(shards) for shards in shards_by_rank(batch, self.size)]
        gathered = np.empty(sum(counts))
        self.comm.Allgatherv(np.array(local, np.float64), [gathered, counts])
        return [float(value) for value in gathered]

    def scatter_local_states(self, local: State, initial: Mapping[str, Array]) -> State:
        """States with the rows of this rank, and zeros elsewhere."""
        states = {name: np.zeros_like(value) for name, value in initial.items()}
        for name, value in local.items():
            rows = self.local_shards(len(states[name]))
            states[name][rows[0].start : rows[-1].stop] = value
        return states

    def all_gather_states(self, states: Mapping[str, Array], batch: int) -> State:
        """States with the rows of all ranks."""
        rows = [sum(shard.stop - shard.start for shard in each) for each in shards_by_rank(batch, self.size)]
        start = sum(rows[: self.rank])
        gathered = {name: np.empty_like(value) for name, value in states.items()}
        for name, value in states.items():
            width = value.size // batch
            own = np.ascontiguousarray(value[start : start + rows[self.rank]])
            self.comm.Allgatherv(own, [gathered[name], [count * width for count in rows]])
        return gathered

    def local_threads(self, available: int) -> int:
        """An equal part of the threads of this machine."""
        ranks_here: int = self.node.Get_size()
        return max(1, available // ranks_here)

    def broadcast_text(self, text: str) -> str:
        """Text of rank 0."""
        length = self.all_reduce_max(len(text.encode()) if self.is_root else 0)
        data = np.frombuffer(text.encode(), np.uint8).copy() if self.is_root else np.empty(length, np.uint8)
        self.comm.Bcast(data, root=0)
        return data.tobytes().decode()

    def all_reduce_max(self, number: int) -> int:
        """Largest number of all ranks."""
        largest = np.empty(1, np.int64)
        self.comm.Allreduce(np.array([number], np.int64), largest, op=MPI.MAX)
        return int(largest[0])

    def check_equal(self, array: Array, what: str) -> None:
        """Compare digests of the array.

        Raises:
            ZooError: on every rank, if they differ.
        """
        digest = int.from_bytes(hashlib.sha256(array.tobytes()).digest()[:7], "big")
        if self.all_reduce_max(digest) != -self.all_reduce_max(-digest):
            raise ZooError(
                f"the {what} of the {self.size} ranks are no longer the same; their processors or versions "
                f"may differ. Resume from the last checkpoint on equal machines."
            )

    @contextmanager
    def one_per_node_first(self) -> Iterator[None]:
        """Run the block in the first rank of each machine, then in the others."""
        if self.node.Get_rank() > 0:
            self.node.Barrier()
        yield
        if self.node.Get_rank() == 0:
            self.node.Barrier()

    def finish(self) -> None:
        """Mark the work as complete on all ranks."""
        self.is_running = False

    def abort(self, code: int) -> None:
        """End all ranks, unless the work is complete."""
        if self.is_running:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            time.sleep(_SECONDS_BEFORE_ABORT)
            self.comm.Abort(code)
