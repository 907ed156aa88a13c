"""``SequenceWindows``: batches for truncated BPTT over sequences of any lengths."""

from __future__ import annotations

from bisect import bisect_right
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
    """The windows that are computed at once.

    Attributes:
        starts: The first row of each window, `(B,)`.
        sizes: Its steps, `(B,)`; 0 for a stream that has no window left.
        continues: Whether it begins where the window of the batch before ended, so that the state is carried,
            `(B,)`.
    """

    starts: Array
    sizes: Array
    continues: Array


class _Epoch(NamedTuple):
    """The order of the windows in one epoch.

    Attributes:
        number: The number of the epoch.
        streams: The windows of each stream, `(B, batches_per_epoch)`; -1 at the end of the last streams.
        ends: One more than the index of each batch with a label, ascending.
    """

    number: int
    streams: Array
    ends: Array


class SequenceWindows:
    """Windows of at most ``T`` steps, in ``B`` streams that are read side by side.

    Each sequence is cut into windows of ``T`` steps, of which the last may be shorter. In every epoch the
    windows of all sequences, which are in another order, are divided into ``B`` streams of equal length. A
    window continues the one before it in its stream if both belong to one sequence. So one long sequence
    becomes ``B`` streams, as :class:`zoo.data.BpttBatches` reads a text, and short sequences become batches
    of whole sequences.

    The first window of a stream may lie within a sequence, and then begins without its state. ``B`` is so
    small that this concerns at most one eighth of the windows.

    A batch of windows without any label has no loss, and an update would move the parameters by momentum and
    weight decay alone. A training step therefore reads the batches up to the next one with a label, which
    gets the states of the others.

    Args:
        offsets: The first row of each sequence, and the number of rows, `(N + 1,)`.
        numbers: The sequences to read, `(n,)`.
        size: ``T``.
        batch: The largest ``B``.
        seed: Seed of the orders.
        carries: Whether states are carried. Otherwise ``B`` depends on ``batch`` alone, and batches without a
            label are left out.
        has_label: Whether each row has a label, `(R,)` booleans; None if all have one. The windows after the
            last label of a sequence are left out.

    Attributes:
        batches_per_epoch: Batches of an epoch.
        streams: ``B``.
        carries: Whether states are carried from one batch to the next. If each sequence has one window, they
            are not.
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
        rows = np.arange(offsets[-1]) if has_label is None else np.flatnonzero(has_label)
        after_last = np.concatenate([[0], rows + 1])[np.searchsorted(rows, ends)]
        is_read = after_last > starts
        starts, ends = starts[is_read], ends[is_read]
        self._counts = -(-(after_last[is_read] - starts) // size)
        self._first_windows = np.cumsum(self._counts) - self._counts  # of each sequence
        sequence = np.repeat(np.arange(len(starts)), self._counts)
        within = np.arange(len(sequence)) - self._first_windows[sequence]
        self._starts = starts[sequence] + within * size
        self._sizes = np.minimum(size, ends[sequence] - self._starts)
        self._is_first = within == 0
        before, after = (np.searchsorted(rows, each) for each in (self._starts, self._starts + self._sizes))
        self._is_labelled, self._all_labelled = after > before, bool((after > before).all())
        total, self._seed = len(sequence), seed
        self.carries = carries and not self._is_first.all()
        if self.carries:
            # A stream begins within a sequence with a probability of `later / total`.
            later = int((~self._is_first).sum())
            batch = min(batch, max(1, total**2 // (_LEAST_WINDOWS * later)))
        self.batches_per_epoch = -(-total // batch)
        self.streams = -(-total // self.batches_per_epoch)
        self._last_epoch: _Epoch | None = None
        self._epoch_steps = [0]  # the first training step of each epoch so far, and of the next one

    @property
    def reads_unlabelled(self) -> bool:
        """Whether a training step may read batches without a label, to carry their states."""
        return self.carries and not self._all_labelled

    @cached_property
    def steps_per_epoch(self) -> int:
        """Training steps of the first epoch.

        If windows have no label, another order may have a few more or fewer batches with one.
        """
        return len(self._epoch(0).ends)

    def step_batches(self, step: int) -> range:
        """The numbers of the batches that a training step reads; the last one has a label."""
        if self._all_labelled:
            return range(step, step + 1)
        while self._epoch_steps[-1] <= step:
            ends = self._epoch(len(self._epoch_steps) - 1).ends
            self._epoch_steps.append(self._epoch_steps[-1] + len(ends))
        epoch = bisect_right(self._epoch_steps, step) - 1
        index, first = step - self._epoch_steps[epoch], epoch * self.batches_per_epoch
        ends = self._epoch(epoch).ends
        end = int(ends[index])
        begin = end - 1 if not self.carries else int(ends[index - 1]) if index else 0
        return range(first + begin, first + end)

    def batch(self, number: int) -> WindowBatch:
        """A batch of windows, which depends on its number alone; the epochs follow one another."""
        epoch, index = divmod(number, self.batches_per_epoch)
        windows = self._epoch(epoch).streams[:, index]
        sizes = np.where(windows < 0, 0, self._sizes[windows])
        continues = (sizes > 0) & ~self._is_first[windows] & (self.carries and index > 0)
        return WindowBatch(self._starts[windows], sizes, continues)

    def _epoch(self, number: int) -> _Epoch:
        """The order of an epoch; the last one is stored, since steps follow one another."""
        if self._last_epoch is None or self._last_epoch.number != number:
            order = epoch_order(len(self._counts), self._seed, number)
            counts = self._counts[order]
            within = np.arange(len(self._starts)) - np.repeat(np.cumsum(counts) - counts, counts)
            windows = np.full(self.streams * self.batches_per_epoch, -1)
            windows[: len(within)] = np.repeat(self._first_windows[order], counts) + within
            streams = windows.reshape(self.streams, self.batches_per_epoch)
            has_label = ((streams >= 0) & self._is_labelled[streams]).any(axis=0)
            self._last_epoch = _Epoch(number, streams, np.flatnonzero(has_label) + 1)
        return self._last_epoch
