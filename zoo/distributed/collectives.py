"""Process groups: the collective operations of data-parallel training.

The batch is cut into the same shards for any number of ranks. Each rank takes consecutive shards, and
gradients are summed shard by shard in order, so that the number of ranks changes no bit of any result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from zoo.array_types import Array
from zoo.layers.parameters import sum_flattened
from zoo.layers.sharding import shards

State = dict[str, Array]


class ProcessGroup:
    """A group of one process, and the base class of groups with several ranks (:mod:`zoo.distributed.mpi`).

    Attributes:
        rank: Index of this process.
        size: Number of processes.
        needs_shard_gradients: Whether :meth:`sum_gradients` needs the gradient of each shard.
    """

    rank: int = 0
    size: int = 1
    needs_shard_gradients: bool = False

    @property
    def is_root(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def local_shards(self, batch: int) -> Sequence[slice]:
        """Shards of a batch that this process computes."""
        return shards(batch)

    def sum_gradients(self, gradients: list[Array], total: Array, batch: int) -> None:  # noqa: ARG002
        """Sum the gradients of all shards of all ranks, in order, into ``total (P,)``."""
        sum_flattened([[gradient] for gradient in gradients], total, adds=False)

    def all_gather_floats(self, local: list[float], batch: int) -> list[float]:  # noqa: ARG002
        """One float per shard of the whole batch, in order, from the floats of the local shards."""
        return local

    def scatter_local_states(self, local: State, initial: Mapping[str, Array]) -> State:  # noqa: ARG002
        """States of the shape of ``initial (B, ...)`` in which only the rows of this process are set."""
        return local

    def all_gather_states(self, states: Mapping[str, Array], batch: int) -> State:  # noqa: ARG002
        """States from :meth:`scatter_local_states` with the rows of all ranks."""
        return dict(states)

    def all_gather_rows(self, values: Array, order: Array | None = None) -> Array:
        """Values of which this process has set its rows, with the rows of all ranks.

        Args:
            values: ``(T, B, ...)``.
            order: The rows in the order of the shards, ``(B,)``; None if they are 0, 1, 2, ...
        """
        if self.size == 1:
            return values
        rows = values.swapaxes(0, 1) if order is None else values.swapaxes(0, 1)[order]
        gathered = self.all_gather_states({"": np.ascontiguousarray(rows)}, values.shape[1])[""]
        if order is not None:
            gathered = gathered[np.argsort(order)]
        return np.ascontiguousarray(gathered.swapaxes(0, 1))

    def local_threads(self, available: int) -> int:
        """Threads for this process, of those available on its machine."""
        return available

    def broadcast_text(self, text: str) -> str:
        """Text of rank 0."""
        return text

    def all_reduce_max(self, number: int) -> int:
        """Largest number of all ranks."""
        return number

    def check_equal(self, array: Array, what: str) -> None:
        """Check that an array has the same bits on all ranks.

        Raises:
            ZooError: on every rank, if the arrays differ.
        """

    @contextmanager
    def one_per_node_first(self) -> Iterator[None]:
        """Run the block in one process of each machine, then in the others: kernels are compiled once."""
        yield

    def finish(self) -> None:
        """Mark the work as complete on all ranks: :meth:`abort` then does nothing."""

    def abort(self, code: int) -> None:
        """End all processes of the job, unless the work is complete."""


SINGLE_PROCESS = ProcessGroup()
