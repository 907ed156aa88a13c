"""Where compiled kernels are kept between processes.

Numba can only store machine code as pickles, and loading a pickle runs it. So the directory belongs to the
user alone (mode 0700), and nobody else can rename or replace it or a directory above it; one that others
could change is not used at all. Each file is checked on the opened file, and bound to its name by its digest.
``ZOO_CACHE_DIR`` moves the directory.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from zoo.errors import ZooWarning

T = TypeVar("T")

_DIGEST_SIZE = hashlib.sha256().digest_size
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_HAS_OWNERS = hasattr(os, "getuid")  # on Windows the profile directory is the user's own
# Open no symbolic link, and wait for no pipe; Windows has neither, and asks for binary mode instead.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def cache_directory() -> Path:
    """The directory, which need not exist yet: ``$ZOO_CACHE_DIR`` or the user's cache directory."""
    chosen = os.environ.get("ZOO_CACHE_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("zoo", appauthor=False))


@functools.cache
def kernel_directory() -> Path | None:
    """The directory of compiled kernels, made if need be; None, after one warning, if there can be none."""
    directory = cache_directory() / "kernels"
    try:
        _make(directory)
        directory = directory.resolve()
        problem = _problem(directory)
    except OSError as error:
        problem = f"it cannot be made ({error.strerror})"
    if problem is None:
        return directory
    warnings.warn(
        f"compiled kernels are not kept, every process compiles anew: {directory}: {problem}; "
        f"set ZOO_CACHE_DIR to a directory of your own.",
        ZooWarning,
        stacklevel=2,
    )
    return None


def _make(directory: Path) -> None:
    """Make a directory and those above it that are missing, for this user alone whatever the umask says."""
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

    Only the owner of a directory, and whoever may write to it, can rename what is in it; where it is sticky,
    only the owner of the entry and its own. When none of them is another user, the path leads to the same
    directory until its user changes that. So it is checked once (60 us), not at every file.
    """
    mine = os.getuid()
    for folder in (*reversed(directory.parents), directory):
        facts, called = folder.lstat(), "it" if folder == directory else f"{folder}"
        above = folder != directory
        if not stat.S_ISDIR(facts.st_mode):
            yield f"{called} is not a directory"
        elif facts.st_uid != mine and not (above and facts.st_uid == 0):
            yield f"{called} belongs to another user"
        elif facts.st_mode & _OTHERS_WRITE and not (above and facts.st_mode & stat.S_ISVTX):
            yield f"others may write to {called}"


def read_owned_file(path: Path) -> bytes | None:
    """The content of a regular file that belongs to this user, and that no other may write to, or None.

    Asked of the opened file, so that it is the one that is read.
    """
    with contextlib.suppress(OSError), FileIO(path, "rb", opener=_open) as file:
        facts = os.fstat(file.fileno())
        is_own = not _HAS_OWNERS or (facts.st_uid == os.getuid() and not facts.st_mode & _OTHERS_WRITE)
        return file.readall() if stat.S_ISREG(facts.st_mode) and is_own else None
    return None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _FLAGS)


def load_pickled(path: Path, rebuild: Callable[[Any], T]) -> T | None:
    """Unpickle and rebuild a file of :func:`write_checked`; None if that fails.

    A file that is damaged, was swapped for another or cannot be rebuilt, for whatever reason, is removed.
    """
    stored = read_owned_file(path)
    if stored is None:
        return None
    digest, data = stored[:_DIGEST_SIZE], stored[_DIGEST_SIZE:]
    if _digest(path, data) == digest:
        with contextlib.suppress(Exception):  # of a module that is gone, of an interrupted upgrade
            return rebuild(
                pickle.loads(data)
            )  # written by this user: see `_unsafe_directories` and `read_owned_file`
    remove(path)
    return None


def write_checked(path: Path, data: bytes) -> None:
    """Write a file behind a digest of it; a full disk costs the next process a compilation, nothing else."""
    with contextlib.suppress(OSError):
        write_file(path, _digest(path, data) + data)


def _digest(path: Path, data: bytes) -> bytes:
    """Of the name, too: the files of other kernels under this name are as bad as damaged ones."""
    return hashlib.sha256(path.name.encode() + b"\0" + data).digest()


def remove(path: Path) -> None:
    """Remove a file of the cache, if it is there and can be."""
    with contextlib.suppress(OSError):
        path.unlink()


def write_file(path: Path, data: bytes) -> None:
    """Write a file of the cache at one blow; not durably, since it costs little to make again.

    Raises:
        OSError: if it cannot be written; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def cached_files() -> list[Path]:
    """Every stored kernel."""
    return sorted((cache_directory() / "kernels").glob("*.kernel"))


def count_cached() -> int:
    """How many kernels are stored: quickly, since every run asks, and there may be thousands."""
    try:
        return sum(name.endswith(".kernel") for name in os.listdir(cache_directory() / "kernels"))  # noqa: PTH208
    except OSError:  # no directory, or none that can be read: then none are found either
        return 0


def generated_files() -> list[Path]:
    """The text of every module that was derived from a cell."""
    return sorted((cache_directory() / "kernels").glob("_zoo_generated_*.py"))


def clear_cache() -> int:
    """Remove every stored kernel, derived modules, and what a killed process left; the number of kernels."""
    files = cached_files()
    for file in [*files, *generated_files(), *(cache_directory() / "kernels").glob("*.tmp")]:
        file.unlink(missing_ok=True)
    return len(files)
