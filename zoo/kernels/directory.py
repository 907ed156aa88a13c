"""Where compiled kernels are kept between processes.

Numba can only store machine code as pickles, and loading a pickle runs it. So the directory belongs to the
user alone (mode 0700), and one that others could write to is not used at all. ``ZOO_CACHE_DIR`` moves it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

import platformdirs

from zoo.errors import ZooWarning

_DIGEST_SIZE = hashlib.sha256().digest_size


def cache_directory() -> Path:
    """The directory, which need not exist yet: ``$ZOO_CACHE_DIR`` or the user's cache directory."""
    chosen = os.environ.get("ZOO_CACHE_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("zoo", appauthor=False))


@functools.cache
def kernel_directory() -> Path | None:
    """The directory of compiled kernels, made if need be; None, after one warning, if there can be none."""
    directory = cache_directory() / "kernels"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def _problem(directory: Path) -> str | None:
    """Why the directory cannot be trusted or used, or None."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return "it cannot be read and written"
    if not hasattr(os, "getuid"):
        return None  # Windows: the profile directory is the user's own
    facts = directory.stat()
    if facts.st_uid != os.getuid():
        return "it belongs to another user"
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    return None


def read_checked(path: Path) -> bytes | None:
    """What :func:`write_checked` wrote; None if there is nothing, and a damaged file is removed."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, data = stored[:_DIGEST_SIZE], stored[_DIGEST_SIZE:]
    if hashlib.sha256(data).digest() == digest:
        return data
    remove(path)
    return None


def write_checked(path: Path, data: bytes) -> None:
    """Write a file behind a digest of it; a full disk costs the next process a compilation, nothing else."""
    with contextlib.suppress(OSError):
        write_file(path, hashlib.sha256(data).digest() + data)


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
