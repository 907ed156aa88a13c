"""One long text as a batch of contiguous streams, cut in windows for truncated BPTT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_integer, short_repr
from zoo.errors import DataError, UsageError


class Window(NamedTuple):
    """One step's worth of text.

    Attributes:
        inputs: `(T, B)` int32, C-contiguous, a copy.
        targets: `(T, B)` int32, C-contiguous, a copy: the symbol after each input.
        is_first_of_epoch: Whether the carried state has to be reset before this window.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    is_first_of_epoch: bool


@dataclass(frozen=True, eq=False)
class Streams:
    """`B` contiguous streams over one text, read `T` symbols at a time.

    The rule: of `N` tokens, ``W = (N - 1) // (B T)`` windows make an epoch and ``L = W T`` symbols a row. Row
    `r` reads ``tokens[r L : r L + L + 1]``; window `w` of that row has the inputs ``tokens[r L + w T :][:T]``
    and as targets the same shifted by one. So within a row each window continues the one before (the state
    may be carried), row `r + 1` begins with the symbol that row `r` predicts last, and of the first
    ``B L + 1`` tokens each but the first is predicted exactly once an epoch. The fewer than `B T` tokens
    after them are not read.

    Attributes:
        tokens: `(N,)` integers.
        batch: `B`, the number of streams.
        seq: `T`, the length of a window.

    Raises:
        DataError: If the text is shorter than ``B T + 1`` tokens.
        UsageError: If the sizes are not positive integers or the tokens not one row of integers.
    """

    tokens: NDArray[np.int32] = field(repr=False)
    batch: int
    seq: int

    def __post_init__(self) -> None:
        """Check the sizes."""
        as_integer(self.batch, "batch", 1)
        as_integer(self.seq, "seq", 1)
        is_array = isinstance(self.tokens, np.ndarray)
        if not is_array or self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            found = short_repr(self.tokens)
            raise UsageError(f"Streams read a one-dimensional array of integer tokens; found {found}.")
        if self.windows_per_epoch < 1:
            raise DataError(_too_short(len(self.tokens), self.batch, self.seq))

    @property
    def windows_per_epoch(self) -> int:
        """`W`: how many windows are read before the text begins again."""
        return max(len(self.tokens) - 1, 0) // (self.batch * self.seq)

    def window(self, index: int) -> Window:
        """The window of a global step; the step number alone is enough to resume.

        Args:
            index: Steps since the beginning of training, from 0; epochs follow one another.

        Returns:
            Window ``index % W`` of its epoch.

        Raises:
            UsageError: If the index is negative.
        """
        place = as_integer(index, "index", 0) % self.windows_per_epoch
        return Window(self._rows(place, shift=0), self._rows(place, shift=1), place == 0)

    def _rows(self, place: int, shift: int) -> NDArray[np.int32]:
        length = self.windows_per_epoch * self.seq
        rows = self.tokens[shift : shift + self.batch * length].reshape(self.batch, length)
        begin = place * self.seq
        # numpy.array copies even where the transposed view is contiguous already (B = 1).
        return np.array(rows[:, begin : begin + self.seq].T, np.int32, order="C")


def fit(n_tokens: int, batch: int, seq: int) -> tuple[int, int]:
    """Lower sizes that nobody asked for until a text gives at least one window.

    The window's length is kept as long as it can be, for it limits what a model can learn: first the batch is
    lowered to the largest that fits, and only if a batch of one is still too long, the length.

    Args:
        n_tokens: `N`, the length of the text.
        batch: The largest `B` wanted.
        seq: The largest `T` wanted.

    Returns:
        `(B, T)` with ``B T + 1 <= N``. Five tokens give `(1, 4)` when 32 and 64 are wanted.

    Raises:
        DataError: If there are fewer than two tokens.
        UsageError: If the sizes are not positive integers.
    """
    as_integer(batch, "batch", 1)
    as_integer(seq, "seq", 1)
    if as_integer(n_tokens, "n_tokens") < 2:
        raise DataError(f"The text is too short: found {n_tokens} tokens, needed at least 2.")
    targets = n_tokens - 1
    return min(batch, max(targets // seq, 1)), min(seq, targets)


def _too_short(n_tokens: int, batch: int, seq: int) -> str:
    needed = f"needed {batch * seq + 1} (batch {batch} x seq {seq} + 1)"
    lead = f"The text is too short: found {n_tokens} tokens, {needed}"
    if n_tokens < 2:
        return f"{lead}; give a longer text."
    fitting = "--batch {} --seq {}".format(*fit(n_tokens, batch, seq))
    return f"{lead}; lower --batch or --seq ({fitting} fits), or give a longer text."
