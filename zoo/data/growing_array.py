"""Arrays that are larger than memory: in a temporary file that is mapped into memory."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.array_types import Array

MAX_BYTES_IN_MEMORY = 2**24
"""An array with more bytes is stored in a temporary file; the system keeps in memory what is read."""


CHUNK = 2**18
"""Values of a chunk of rows, which bounds the memory of an operation on all rows."""


def row_chunks(rows: int, width: int = 1) -> Iterator[slice]:
    """Slices of successive rows of an array `(rows, width)`."""
    size = max(1, CHUNK // max(1, width))
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


def allocate(shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array with arbitrary values, in memory or in a temporary file.

    The file is in the directory of ``TMPDIR`` and vanishes with the array.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= MAX_BYTES_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape).view(np.ndarray)


def as_contiguous(values: Array, dtype: Any) -> Array:
    """``np.ascontiguousarray``, of which a copy is in memory or in a temporary file."""
    if values.dtype == dtype and values.flags.c_contiguous:
        return values
    copy = allocate(values.shape, dtype)
    copy[:] = values
    return copy


def gather(values: Array, rows: Array) -> Array:
    """``values[rows]``, in memory or in a temporary file.

    Args:
        values: `(N,)`.
        rows: Indices from 0, `(n,)`.
    """
    gathered = allocate(rows.shape, values.dtype)
    # Other modes than "clip" fill a copy in memory first.
    return values.take(rows, out=gathered, mode="clip")


class GrowingArray:
    """A vector that grows by blocks, at first in memory, then in a temporary file.

    A table has many columns, so a column has a quarter of the limit of an array. With the whole limit,
    reading 23 columns of 40 MB took 0.49 instead of 0.22 GB of memory.

    Args:
        dtype: Of its elements.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._blocks: list[Array] = []
        self._bytes = 0
        self._file: Any = None

    def append(self, block: Array) -> None:
        """Add elements at the end."""
        self._bytes += block.nbytes
        if self._file is None and self._bytes <= MAX_BYTES_IN_MEMORY // 4:
            self._blocks.append(block)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `finish` closes it
            weakref.finalize(self, self._file.close)  # also after an error in the data
        for each in (*self._blocks, block):
            # Buffered: `tofile` flushes, and took 6.5 instead of 0.4 us for 30 values.
            self._file.write(np.ascontiguousarray(each, self.dtype).view(np.uint8))
        self._blocks = []

    def finish(self) -> Array:
        """The whole vector."""
        if self._file is None:
            return np.concatenate([np.empty(0, self.dtype), *self._blocks])
        with self._file as file:
            file.flush()
            return np.memmap(file, self.dtype, "r+").view(np.ndarray)


def sequence_chunks(offsets: Array, width: int = 1) -> Iterator[slice]:
    """Slices of successive sequences whose rows are at most a chunk, or of one longer sequence.

    Args:
        offsets: The first row of each sequence, and the number of rows, `(N + 1,)`.
        width: Values of a row.
    """
    first, rows = 0, max(1, CHUNK // width)
    while first < len(offsets) - 1:
        end = max(first + 1, int(np.searchsorted(offsets, offsets[first] + rows, side="right")) - 1)
        yield slice(first, end)
        first = end
