"""Arrays that are larger than memory: in a temporary file that is mapped into memory."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from zoo.array_types import Array

MAX_BYTES_IN_MEMORY = 2**24
"""An array with more bytes is stored in a temporary file; the system keeps in memory what is read."""


def allocate(shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array with arbitrary values, in memory or in a temporary file.

    The file is in the directory of ``TMPDIR`` and vanishes with the array.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= MAX_BYTES_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape).view(np.ndarray)


class GrowingArray:
    """A vector that grows by blocks, at first in memory, then in a temporary file.

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
        if self._file is None and self._bytes <= MAX_BYTES_IN_MEMORY:
            self._blocks.append(block)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `finish` closes it
        for each in (*self._blocks, block):
            np.ascontiguousarray(each, self.dtype).tofile(self._file)
        self._blocks = []

    def finish(self) -> Array:
        """The whole vector."""
        if self._file is None:
            return np.concatenate([np.empty(0, self.dtype), *self._blocks])
        with self._file as file:
            file.flush()
            return np.memmap(file, self.dtype, "r+").view(np.ndarray)
