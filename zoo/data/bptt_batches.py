"""Batches for truncated BPTT: a text as contiguous streams, read in windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_integer, short_repr
from zoo.errors import DataError, UsageError
from zoo.field_repr import one_line_repr


@one_line_repr
class Window(NamedTuple):
    """Inputs and targets of one training step.

    Attributes:
        inputs: `(T, B)` int32, C-contiguous, a copy.
        targets: `(T, B)` int32, C-contiguous, a copy: the token after each input.
        is_first_of_epoch: Whether the carried state must be reset before this window.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    is_first_of_epoch: bool


@one_line_repr
@dataclass(frozen=True, eq=False)
class BpttBatches:
    """`B` contiguous streams over one text, read `T` symbols at a time.

    Of `N` tokens, ``W = (N - 1) // (B T)`` windows form an epoch and ``L = W T`` symbols a stream. Stream `r`
    reads ``tokens[r L : r L + L + 1]``; window `w` of that stream has the inputs ``tokens[r L + w T :][:T]``
    and as targets the same shifted by one. Within a stream each window continues the one before, so the state
    can be carried. Stream `r + 1` begins with the symbol that stream `r` predicts last. Each of the first
    ``B L + 1`` tokens except the first is predicted exactly once an epoch. The fewer than `B T` tokens after
    them are no part of an epoch; :meth:`remainder` reads them.

    Attributes:
        tokens: `(N,)` integers; they may be mapped from a file.
        batch: `B`, the number of streams.
        seq: `T`, the length of a window.
        max_windows: Largest `W`. An epoch then ends after that many windows of each stream, and the streams
            begin at the same tokens as without it.

    Raises:
        DataError: if the text is shorter than ``B T + 1`` tokens.
        UsageError: if the sizes are not positive integers or the tokens are not a vector of integers.
    """

    tokens: NDArray[np.int32] = field(repr=False)
    batch: int
    seq: int
    max_windows: int | None = None

    def __post_init__(self) -> None:
        """Check the sizes."""
        as_integer(self.batch, "batch", 1)
        as_integer(self.seq, "seq", 1)
        if self.max_windows is not None:
            as_integer(self.max_windows, "max_windows", 1)
        is_array = isinstance(self.tokens, np.ndarray)
        if not is_array or self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            shown = short_repr(self.tokens)
            raise UsageError(f"tokens are {shown}; expected a one-dimensional array of integers.")
        if self.windows_per_epoch < 1:
            raise DataError(_too_short(len(self.tokens), self.batch, self.seq))

    @property
    def windows_per_epoch(self) -> int:
        """`W`, the number of windows of an epoch."""
        windows = self._stream_length // self.seq
        return windows if self.max_windows is None else min(windows, self.max_windows)

    @property
    def is_shortened(self) -> bool:
        """Whether the text has more windows than an epoch."""
        return self.windows_per_epoch * self.seq < self._stream_length

    @property
    def _stream_length(self) -> int:
        """`L`, the symbols of a stream."""
        return max(len(self.tokens) - 1, 0) // (self.batch * self.seq) * self.seq

    def window(self, index: int) -> Window:
        """The window of a training step; it depends on the step number alone.

        Args:
            index: Step since the beginning of training, from 0.

        Returns:
            Window ``index % W`` of its epoch.

        Raises:
            UsageError: if the index is negative.
        """
        number = as_integer(index, "index", 0) % self.windows_per_epoch
        return Window(self._columns(number, shift=0), self._columns(number, shift=1), number == 0)

    def remainder(self) -> Iterator[Window]:
        """Windows of one sequence over the tokens after the streams. They continue the last stream."""
        for begin in range(self.batch * self._stream_length, len(self.tokens) - 1, self.seq):
            column = np.array(self.tokens[begin : begin + self.seq + 1], np.int32)[:, None]
            yield Window(column[:-1], column[1:], False)

    def mean_target(self, values: NDArray[Any], include_remainder: bool = False) -> float:
        """The mean of a value over the targets of an epoch.

        Args:
            values: A value of each token, `(N,)`.
            include_remainder: Whether to include the targets after the streams.
        """
        if include_remainder:
            return float(values[1:].mean())
        streams = values[1 : self.batch * self._stream_length + 1].reshape(self.batch, -1)
        return float(streams[:, : self.windows_per_epoch * self.seq].mean())

    def _columns(self, number: int, shift: int) -> NDArray[np.int32]:
        length = self._stream_length
        streams = self.tokens[shift : shift + self.batch * length].reshape(self.batch, length)
        begin = number * self.seq
        # numpy.array copies even where the transposed view is contiguous already (B = 1).
        return np.array(streams[:, begin : begin + self.seq].T, np.int32, order="C")


def fit_batch_shape(n_tokens: int, batch: int, seq: int) -> tuple[int, int]:
    """Reduce default sizes until a text has at least one window.

    First the batch is lowered to the largest that fits. The length of the window, which limits what a model
    can learn, is lowered only if a batch of one is still too long.

    Args:
        n_tokens: `N`, the length of the text.
        batch: Largest `B`.
        seq: Largest `T`.

    Returns:
        `(B, T)` with ``B T + 1 <= N``. For example, five tokens with 32 and 64 give `(1, 4)`.

    Raises:
        DataError: if there are fewer than two tokens.
        UsageError: if the sizes are not positive integers.
    """
    as_integer(batch, "batch", 1)
    as_integer(seq, "seq", 1)
    if as_integer(n_tokens, "n_tokens") < 2:
        raise DataError(f"the text is too short: found {n_tokens} tokens, needed at least 2.")
    targets = n_tokens - 1
    return min(batch, max(targets // seq, 1)), min(seq, targets)


def _too_short(n_tokens: int, batch: int, seq: int) -> str:
    needed = f"needed {batch * seq + 1} (batch {batch} x seq {seq} + 1)"
    lead = f"the text is too short: found {n_tokens} tokens, {needed}"
    if n_tokens < 2:
        return f"{lead}; give a longer text."
    fitting = "`batch={}` `seq={}`".format(*fit_batch_shape(n_tokens, batch, seq))
    return f"{lead}; lower `batch` or `seq` ({fitting} fits), or give a longer text."
