"""A lock on a directory, which the system releases when its holder dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.errors import CheckpointError
from zoo.storage.failures import cannot_write


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file at a path.

    Args:
        path: The file, made if it is not there.
        what: What it locks, in words that begin a sentence.

    Raises:
        CheckpointError: At once, when somebody else holds it or it cannot be made.
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise CheckpointError(
            f"{what} is in use by another process; wait for its end or choose another directory."
        ) from None
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()
