"""The SHA-256 digest of a file, also while something else reads it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO


class DigestReader(io.RawIOBase):
    """A binary file that computes its digest while it is read.

    Args:
        file: The opened file.

    Attributes:
        digest: Of the bytes that were read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number."""
        data = self._file.read(len(buffer))
        self.digest.update(data)
        buffer[: len(data)] = data
        return len(data)


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
