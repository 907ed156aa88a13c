"""Reading files that may be missing, huge, or no files at all."""

from __future__ import annotations

import stat
from pathlib import Path

from zoo.errors import CheckpointError
from zoo.storage import strict_json
from zoo.storage.failures import StrPath, cannot_read

# A configuration with a vocabulary of a million symbols takes about 10 MB.
MAX_JSON_BYTES = 64 * 2**20


def read_bytes(path: StrPath, *, max_bytes: int) -> bytes:
    """The content of the regular file ``path``, which may have ``max_bytes`` bytes at most.

    Raises:
        CheckpointError: Missing, unreadable, not a regular file, too large for the bound or for the memory.
    """
    path = Path(path)
    try:
        size = _size(path, max_bytes)
        with path.open("rb") as file:
            data = file.read(size + 1)  # one more than it had: growth is then seen, not cut off
    except OSError as error:
        raise cannot_read(path, error) from error
    except MemoryError:
        raise CheckpointError(f"Cannot read {path}: its {size:,} bytes do not fit into memory.") from None
    if len(data) > size:
        raise CheckpointError(f"Cannot read {path}: it grew while it was read; try again.")
    return data


def read_json(path: StrPath) -> dict[str, object]:
    """The JSON object in the file ``path``.

    Raises:
        CheckpointError: As `read_bytes`, or the file is not one strict JSON object.
    """
    data = read_bytes(path, max_bytes=MAX_JSON_BYTES)
    try:
        return strict_json.loads_object(data)
    except ValueError as error:
        raise CheckpointError(f"Cannot read {path}: {error}.") from error


def exists(path: Path) -> bool:
    """Whether something is at ``path``; a refusal to look is a `CheckpointError`, unlike `Path.exists`."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise cannot_read(path, error) from error
    return True


def _size(path: Path, max_bytes: int) -> int:
    """Size in bytes, looked up before opening: a pipe would block and a device would never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise CheckpointError(f"Cannot read {path}: it is {kind}, expected a file.")
    if status.st_size > max_bytes:
        raise CheckpointError(
            f"Cannot read {path}: it has {status.st_size:,} bytes, and at most {max_bytes:,} are allowed."
        )
    return status.st_size
