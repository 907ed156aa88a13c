"""``SequenceWindows``: batches for truncated BPTT over sequences of any lengths."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.field_repr import one_line_repr
from zoo.training.array_dataset import epoch_order

_LEAST_WINDOWS = 8
"""Windows for each window that begins within a sequence without its state, on average."""


@one_line_repr
class WindowBatch(NamedTuple):
    """The windows of one training step.

    Attributes:
        starts: The first row of each window, `(B,)`.
        sizes: Its steps, `(B,)`; 0 for a stream that has no window left.
        continues: Whether it begins where the window of the step before ended, so that the state is carried,
            `(B,)`.
    """

    starts: Array
    sizes: Array
    continues: Array


class SequenceWindows:
    """Windows of at most ``T`` steps, in ``B`` streams that are read side by side.

    Each sequence is cut into windows of ``T`` steps, of which the last may be shorter. In every epoch the
    windows of all sequences, which are in another order, are divided into ``B`` streams of equal length. A
    window continues the one before it in its stream if both belong to one sequence. So one long sequence
    becomes ``B`` streams, as :class:`zoo.data.BpttBatches` reads a text, and short sequences become batches
    of whole sequences.

    The first window of a stream may lie within a sequence, and then begins without its state. ``B`` is so
    small that this concerns at most one eighth of the windows.

    Args:
        offsets: The first row of each sequence, and the number of rows, `(N + 1,)`.
        numbers: The sequences to read, `(n,)`.
        size: ``T``.
        batch: The largest ``B``.
        seed: Seed of the orders.
        carries: Whether states are carried; otherwise ``B`` depends on ``batch`` alone.
        has_label: Whether each row has a label, `(R,)` booleans; None if all have one. The windows after the
            last label of a sequence are left out.

    Attributes:
        updates: Training steps of an epoch.
        streams: ``B``.
    """

    def __init__(
        self,
        offsets: Array,
        numbers: Array,
        size: int,
        batch: int,
        seed: int,
        *,
        carries: bool = True,
        has_label: Array | None = None,
    ) -> None:
        starts, ends = offsets[numbers], offsets[numbers + 1]
        lengths = ends - starts
        if has_label is not None:
            rows = np.where(has_label, np.arange(1, len(has_label) + 1), 0)
            lengths = np.maximum(np.maximum.accumulate(rows)[ends - 1] - starts, 0)
        counts = -(-lengths // size)
        is_read = counts > 0
        self._starts, self._ends, self._counts = starts[is_read], ends[is_read], counts[is_read]
        self._size, self._seed = size, seed
        self._total = int(self._counts.sum())
        if carries and self.may_continue:
            # A stream begins within a sequence with a probability of `later / total`.
            later = self._total - len(self._counts)
            batch = min(batch, max(1, self._total**2 // (_LEAST_WINDOWS * later)))
        self.updates = -(-self._total // batch)
        self.streams = -(-self._total // self.updates)
        self._epoch = -1
        self._order, self._first = np.empty(0, np.int64), np.empty(0, np.int64)

    @cached_property
    def may_continue(self) -> bool:
        """Whether a sequence has several windows."""
        return bool((self._counts > 1).any())

    def batch(self, step: int) -> WindowBatch:
        """The windows of a training step, which depend on its number alone."""
        epoch, index = divmod(step, self.updates)
        if epoch != self._epoch:
            self._order = epoch_order(len(self._counts), self._seed, epoch)
            self._first = np.concatenate([[0], np.cumsum(self._counts[self._order])])
            self._epoch = epoch
        windows = np.arange(self.streams) * self.updates + index
        is_present = windows < self._total
        windows = np.where(is_present, windows, 0)
        position = np.searchsorted(self._first, windows, side="right") - 1
        within = windows - self._first[position]
        sequence = self._order[position]
        starts = self._starts[sequence] + within * self._size
        sizes = np.where(is_present, np.minimum(self._size, self._ends[sequence] - starts), 0)
        return WindowBatch(starts, sizes, is_present & (within > 0) & (index > 0))
