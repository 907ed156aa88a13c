"""The directory of compiled kernels.

Numba can only store machine code as pickles, and loading a pickle runs it. So the directory belongs to the
user alone (mode 0700), and no other user can rename or replace it or a directory above it. A directory that
others could change is not used at all. Each file is checked once opened, and its digest covers its name.
``ZOO_CACHE_DIR`` moves the directory. ``ZOO_CACHE_MB`` limits its size: a process that has written to it
removes the files that were used least recently when it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import logging
import os
import pickle
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from zoo.errors import ZooWarning

LOGGER = logging.getLogger("zoo.compile")
T = TypeVar("T")

_DIGEST_SIZE = hashlib.sha256().digest_size
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_HAS_OWNERS = hasattr(os, "getuid")  # on Windows the profile directory is the user's own
# Open no symbolic link, and do not block on a pipe. Windows has neither, and needs binary mode instead.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


DEFAULT_LIMIT_MB = 1000
"""The tests of zoo compile 230 MB. Kernels of older versions of zoo are never loaded again."""
_KEPT_FRACTION = 0.9  # so that the next kernel does not exceed the limit again
_SECONDS_BETWEEN_TOUCHES = 600.0
_MAX_WRITE_SECONDS = 3600.0


def cache_directory() -> Path:
    """The directory, which need not exist yet: ``$ZOO_CACHE_DIR`` or the user's cache directory."""
    override = os.environ.get("ZOO_CACHE_DIR")
    return Path(override) if override else Path(platformdirs.user_cache_dir("zoo", appauthor=False))


@functools.cache
def kernel_directory() -> Path | None:
    """Create and check the directory of compiled kernels; None, after one warning, if it is unusable."""
    directory = cache_directory() / "kernels"
    try:
        _make_directory(directory)
        directory = directory.resolve()
        problem = _problem(directory)
    except OSError as error:
        problem = f"it cannot be created ({error.strerror})"
    if problem is None:
        return directory
    warnings.warn(
        f"compiled kernels are not cached, every process compiles again: {directory}: {problem}; "
        f"set ZOO_CACHE_DIR to a directory of your own.",
        ZooWarning,
        stacklevel=2,
    )
    return None


def _make_directory(directory: Path) -> None:
    """Create a directory and its missing parents, for this user alone whatever the umask."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def _problem(directory: Path) -> str | None:
    """Why the directory cannot be trusted or used, or None."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return "it cannot be read and written"
    problems = list(_unsafe_directories(directory)) if _HAS_OWNERS else []
    return problems[-1] if problems else None


def _unsafe_directories(directory: Path) -> Iterator[str]:
    """Reasons why another user could replace the directory, from the root down.

    Only the owner of a directory, and users with write permission, can rename its entries; in a sticky
    directory only its owner and the owner of the entry. If none of them is another user, the path leads to
    the same directory until its user changes that. So it is checked once (60 us), not at every file.
    """
    user = os.getuid()
    for folder in (*reversed(directory.parents), directory):
        status, label = folder.lstat(), "it" if folder == directory else f"{folder}"
        above = folder != directory
        if not stat.S_ISDIR(status.st_mode):
            yield f"{label} is not a directory"
        elif status.st_uid != user and not (above and status.st_uid == 0):
            yield f"{label} belongs to another user"
        elif status.st_mode & _OTHERS_WRITE and not (above and status.st_mode & stat.S_ISVTX):
            yield f"others may write to {label}"


def read_owned_file(path: Path) -> bytes | None:
    """The content of a regular file that this user owns and no other user may write to, or None.

    The opened file is checked, so that it is the one that is read.
    """
    with contextlib.suppress(OSError), FileIO(path, "rb", opener=_open) as file:
        status = os.fstat(file.fileno())
        is_own = not _HAS_OWNERS or (status.st_uid == os.getuid() and not status.st_mode & _OTHERS_WRITE)
        if not stat.S_ISREG(status.st_mode) or not is_own:
            return None
        if time.time() - status.st_mtime > _SECONDS_BETWEEN_TOUCHES:
            os.utime(path)  # the time of its last use
        return file.readall()
    return None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _FLAGS)


def load_pickled(path: Path, rebuild: Callable[[Any], T]) -> T | None:
    """Unpickle and rebuild a file of :func:`write_checked`; None if that fails.

    A file that is damaged, was replaced by another or cannot be rebuilt, for whatever reason, is removed.
    """
    stored = read_owned_file(path)
    if stored is None:
        return None
    if is_undamaged(path.name, stored):
        try:
            # This user wrote or imported it: see `_unsafe_directories` and `read_owned_file`.
            return rebuild(pickle.loads(stored[_DIGEST_SIZE:]))
        except Exception:  # its module is gone, or an upgrade was interrupted
            LOGGER.debug("removing a kernel that cannot be loaded: %s", path, exc_info=True)
    remove(path)
    return None


def is_undamaged(name: str, stored: bytes) -> bool:
    """Whether the content of a file begins with the digest of its name and of the rest."""
    return stored[:_DIGEST_SIZE] == _digest(name, stored[_DIGEST_SIZE:])


WRITTEN: set[str] = set()
"""Names of the kernels that this process has stored: listing a directory of 13,600 files takes 7 ms."""


def write_checked(path: Path, data: bytes) -> None:
    """Write a file after its digest. If the disk is full, the next process compiles again."""
    with contextlib.suppress(OSError):
        write_file(path, _digest(path.name, data) + data)
        WRITTEN.add(path.name)


def _digest(name: str, data: bytes) -> bytes:
    """Cover the name, too: another kernel's file under this name is as bad as a damaged one."""
    return hashlib.sha256(name.encode() + b"\0" + data).digest()


def remove(path: Path) -> None:
    """Remove a file of the cache, if possible."""
    with contextlib.suppress(OSError):
        path.unlink()


def write_file(path: Path, data: bytes) -> None:
    """Write a file of the cache atomically, but not durably, since it is cheap to make again.

    Raises:
        OSError: if it cannot be written; nothing is left behind.
    """
    _limit_size_at_exit(path.parent, cache_limit())
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def cache_limit() -> int:
    """The largest size of the cache in bytes, from ``ZOO_CACHE_MB``; 0 for no limit."""
    text = os.environ.get("ZOO_CACHE_MB", "")
    if text and not (text.isascii() and text.isdigit()):
        warnings.warn(
            f"ZOO_CACHE_MB is {text!r}; expected an integer, the largest size of the kernel cache in "
            f"megabytes, or 0 for no limit. {DEFAULT_LIMIT_MB} is used instead.",
            ZooWarning,
            stacklevel=2,
        )
        text = ""
    return int(text or DEFAULT_LIMIT_MB) * 10**6


@functools.cache
def _limit_size_at_exit(directory: Path, limit: int) -> None:
    """Call `remove_old_files` when the process ends."""
    if limit:
        atexit.register(remove_old_files, directory, limit)


def remove_old_files(directory: Path, limit: int) -> int:
    """Remove the files used least recently if a directory exceeds its limit; return their number.

    Several processes may do so at a time. One that needs a removed kernel compiles it again. Temporary files
    of processes that were killed while they wrote are removed too.

    Args:
        directory: The directory of kernels.
        limit: Its largest size in bytes.
    """
    files: list[tuple[float, int, Path]] = []
    removed = 0
    for path in [
        *directory.glob("*.kernel"),
        *directory.glob("_zoo_generated_*.py"),
        *directory.glob("*.tmp"),
    ]:
        with contextlib.suppress(OSError):  # another process has removed it
            status = path.lstat()
            if path.suffix == ".tmp" and time.time() - status.st_mtime > _MAX_WRITE_SECONDS:
                path.unlink()
                removed += 1
                continue
            files.append((status.st_mtime, status.st_size, path))
    excess = sum(size for _, size, _ in files) - limit
    if excess > 0:
        excess += int((1 - _KEPT_FRACTION) * limit)
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            remove(path)
            excess, removed = excess - size, removed + 1
    return removed


def cached_files() -> list[Path]:
    """Every stored kernel."""
    return sorted((cache_directory() / "kernels").glob("*.kernel"))


def generated_files() -> list[Path]:
    """Source files of the modules derived from cells."""
    return sorted((cache_directory() / "kernels").glob("_zoo_generated_*.py"))


def clear_cache() -> int:
    """Remove stored kernels, derived modules and temporary files; return the number of kernels."""
    files = cached_files()
    for file in [*files, *generated_files(), *(cache_directory() / "kernels").glob("*.tmp")]:
        file.unlink(missing_ok=True)
    return len(files)
