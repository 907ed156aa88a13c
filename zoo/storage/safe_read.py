"""Safe reads of files that may be missing, huge or devices, and error messages for ``OSError``."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, FileIO
from pathlib import Path

from zoo.arguments import missing_directory
from zoo.errors import CheckpointError
from zoo.storage import strict_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

StrPath = str | os.PathLike[str]

DELETED_WORKING_DIRECTORY = "the working directory was deleted; change to another one."

_SPACE = "free some space and try again"

_PLACE = "choose a directory that you can write to"

# errno -> (what happened, what to do), for writing.
_WRITING = {
    errno.ENOSPC: ("no space is left on the device", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: (
        "the file would be larger than the limit allows",
        "raise the limit (ulimit -f) and try again",
    ),
    errno.EROFS: ("the file system is read-only", _PLACE),
    errno.EACCES: ("permission is denied", _PLACE),
    errno.EPERM: ("permission is denied", _PLACE),
    errno.ENOTDIR: ("a part of the path is a file, not a directory", _PLACE),
    errno.EISDIR: ("a directory of that name is in the way", "move it away or choose another name"),
    errno.ENAMETOOLONG: ("the name is too long for a file", "choose a shorter one"),
    errno.EEXIST: ("a file of that name is in the way", "move it away or choose another name"),
}

# The same for reading, where the remedy for a missing or unreadable file is another.
_READING = {
    errno.ENAMETOOLONG: ("the name is too long for a file", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a directory", "check the path"),
    errno.EACCES: ("permission is denied", "make it readable for you"),
    errno.EPERM: ("permission is denied", "make it readable for you"),
}


def cannot_write(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a write that failed before it changed anything that was there."""
    what, remedy = _explain(error, _WRITING)
    if error.errno == errno.ENOENT:
        directory = Path(os.fsdecode(path)).parent
        if not directory.is_absolute() and _is_working_directory_deleted():
            return CheckpointError(DELETED_WORKING_DIRECTORY)
        if not directory.is_dir():
            return CheckpointError(missing_directory(directory))
        what, remedy = "its directory permits no new files", _PLACE  # such as /proc
    return CheckpointError(f"cannot write {path}: {what}. An existing file is unchanged; {remedy}.")


def _is_working_directory_deleted() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def cannot_confirm(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a file that was written, but whose name may not yet be on disk."""
    what, remedy = _explain(error, _WRITING)
    return CheckpointError(
        f"wrote {path}, but the system did not confirm that its name is on disk: {what}. "
        f"After a power cut the previous file may be back; {remedy}."
    )


def cannot_remove(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a file that could not be removed."""
    what, _ = _explain(error, _WRITING)
    return CheckpointError(f"cannot remove {path}: {what}. Nothing else was changed; remove it by hand.")


def cannot_read(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a file that could not be read at all."""
    if error.errno == errno.ENOENT:
        return CheckpointError(f"{path}: no such file or directory; check the path.")
    what, remedy = _explain(error, _READING)
    return CheckpointError(f"cannot read {path}: {what}; {remedy}.")


def _explain(error: OSError, table: dict[int, tuple[str, str]]) -> tuple[str, str]:
    number = error.errno or 0
    text = error.strerror or str(error) or "the system gave no reason"
    return table.get(number, (text[:1].lower() + text[1:], "put that right and try again"))


# A configuration with a vocabulary of a million symbols takes about 10 MB.
MAX_JSON_BYTES = 16 * 2**20


@contextmanager
def opened(path: StrPath, *, max_bytes: int) -> Iterator[tuple[BufferedIOBase, int]]:
    """Within the block the regular file ``path`` is open for reading; the file and its size in bytes.

    Raises:
        CheckpointError: Missing, unreadable, not a regular file, or larger than ``max_bytes``.
    """
    path = Path(path)
    try:
        _check(path, path.stat(), max_bytes)  # before opening, which rewinds a tape
        with BufferedReader(FileIO(path, "rb", opener=_open)) as file:
            yield file, _check(path, os.fstat(file.fileno()), max_bytes)
    except OSError as error:
        raise cannot_read(path, error) from error


def _open(path: str, flags: int) -> int:
    # O_NONBLOCK: do not wait for a pipe that has replaced the file since.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_bytes(path: StrPath, *, max_bytes: int) -> bytes:
    """The content of the regular file ``path``, which may have ``max_bytes`` bytes at most.

    Raises:
        CheckpointError: Missing, unreadable, not a regular file, too large for the bound or for the memory.
    """
    with opened(path, max_bytes=max_bytes) as (file, size):
        try:
            data = file.read(size + 1)  # one byte more, to detect growth
        except MemoryError:
            raise CheckpointError(f"cannot read {path}: its {size:,} bytes do not fit into memory.") from None
    if len(data) > size:
        raise CheckpointError(f"cannot read {path}: it grew while it was read; try again.")
    return data


def read_json(path: StrPath, *, max_bytes: int = MAX_JSON_BYTES) -> dict[str, object]:
    """The JSON object in the file ``path``, which may have ``max_bytes`` bytes at most.

    Raises:
        CheckpointError: As `read_bytes`, or the file is not one strict JSON object.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    try:
        return strict_json.loads_object(data)
    except ValueError as error:
        raise CheckpointError(f"cannot read {path}: {error}.") from error


def read_toml(path: StrPath) -> dict[str, object]:
    """The table in the TOML file ``path``, which may have ``MAX_JSON_BYTES`` bytes at most.

    Raises:
        CheckpointError: As `read_bytes`, or the file is not TOML.
    """
    data = read_bytes(path, max_bytes=MAX_JSON_BYTES)
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also invalid UTF-8, and thousands of nested arrays
        raise CheckpointError(f"cannot read {path}: {error}.") from error


def exists(path: Path) -> bool:
    """Whether ``path`` exists; unlike `Path.exists`, raises `CheckpointError` if that is unknown."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise cannot_read(path, error) from error
    return True


def _check(path: Path, status: os.stat_result, max_bytes: int) -> int:
    """Check that a file is regular (devices may never end, pipes may block) and return its size."""
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise CheckpointError(f"cannot read {path}: it is {kind}, expected a file.")
    if status.st_size > max_bytes:
        raise CheckpointError(
            f"cannot read {path}: it has {status.st_size:,} bytes; expected at most {max_bytes:,}."
        )
    return status.st_size
