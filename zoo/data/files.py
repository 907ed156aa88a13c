"""A source becomes parts: the raw bytes of files, of standard input, or of a built-in text."""

from __future__ import annotations

import difflib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from zoo.data.builtin import BUILTINS, PREFIX
from zoo.errors import DataError, UsageError

STDIN = "-"
IN_MEMORY = "corpus:"
"""Prefix of the name of a text that was passed as a ``Corpus``."""
MAX_CONFIGURED_BYTES = 2**30
"""Largest size in bytes of all files together that a checkpoint or a configuration names."""
MAX_CONFIGURED_FILES = 100_000
"""Largest number of files in a directory that a checkpoint or a configuration names."""


class Part(NamedTuple):
    """The raw bytes of one file (or stream), and how to speak of it in a message."""

    where: str
    raw: bytes
    in_directory: bool = False


class Parts(NamedTuple):
    """What one source held, and the source's short name."""

    name: str
    parts: tuple[Part, ...]


def read_source(source: str | os.PathLike[str], glob: str, max_bytes: int | None = None) -> Parts:
    """Read one source to the end.

    Args:
        source: ``"-"``, ``"builtin:NAME"``, or a path; a `pathlib.Path` is always a path.
        glob: Which files of a directory are read.
        max_bytes: What all files may have together, which must be regular ones then; None for no bound.

    Returns:
        The source's short name and its parts, in order.

    Raises:
        DataError: If the source does not exist, cannot be read, is a device, or has more bytes.
        UsageError: If the source is no string or path.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"A source is a path, {STDIN!r} or {PREFIX}NAME; found {type(source).__name__}.")
    try:
        return _read(source, glob, max_bytes)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise DataError(_missing(Path(exc.filename or source))) from exc
    except OSError as exc:
        reason = "permission denied" if isinstance(exc, PermissionError) else exc.strerror or exc
        raise DataError(f"cannot read {str(exc.filename or source)!r}: {reason}.") from exc


def check_configured_sources(sources: Sequence[str], glob: str) -> None:
    """Check that configured sources are regular files within the limits.

    Standard input, built-in texts and missing files pass; reading reports those.

    Raises:
        DataError: if one is not; the message names the first.
    """
    left = MAX_CONFIGURED_BYTES
    for source in sources:
        if source != STDIN and not source.startswith(PREFIX) and Path(source).exists():
            left -= sum(_named_size(file, left) for file in _files(Path(source), glob, MAX_CONFIGURED_FILES))


def _read(source: str | os.PathLike[str], glob: str, max_bytes: int | None) -> Parts:
    if isinstance(source, str) and source == STDIN:
        return Parts("stdin", (Part("standard input", _read_stdin(max_bytes)),))
    if isinstance(source, str) and source.startswith(IN_MEMORY):
        name = source.removeprefix(IN_MEMORY)
        raise DataError(
            f"text {name!r} was passed to zoo.train as a zoo.data.Corpus and has no file; pass it again, "
            f"zoo.train(corpus, resume=True, out=...), or give --data."
        )
    if isinstance(source, str) and source.startswith(PREFIX):
        return _read_builtin(source.removeprefix(PREFIX))
    return _read_path(Path(source), glob, max_bytes)


def _read_stdin(max_bytes: int | None) -> bytes:
    if max_bytes is not None:
        raise DataError("The text came from standard input, which is not read again; name it with --data.")
    buffer = getattr(sys.stdin, "buffer", None)  # None without a console, absent when replaced by text
    if buffer is None:
        raise DataError("There is no standard input to read bytes from; give a file instead of '-'.")
    return bytes(buffer.read())


def _read_builtin(name: str) -> Parts:
    if name not in BUILTINS:
        known = ", ".join(PREFIX + known for known in sorted(BUILTINS))
        raise DataError(f"There is no built-in text {name!r}{_did_you_mean(name) or '.'} Known: {known}.")
    return Parts(name, (Part(PREFIX + name, BUILTINS[name].read()),))


def _did_you_mean(name: str, cutoff: float = 0.6) -> str:
    close = difflib.get_close_matches(name.lower(), BUILTINS, n=1, cutoff=cutoff)
    return f"; did you mean {PREFIX}{close[0]}?" if close else ""


def _missing(path: Path) -> str:
    looked = "" if path.is_absolute() else f" in {str(Path.cwd())!r}"
    # `pydoc`, `builtin/pydoc`, `bultin:pydoc` and `pydoc.txt` all come down to the built-in's bare name.
    bare = PurePosixPath(path.as_posix().rpartition(":")[2]).stem
    hint = _did_you_mean(bare, cutoff=0.85)  # a missing shell.txt is not a misspelt hello
    return f"There is no file or directory {str(path)!r}{looked}{hint or '.'}"


def _read_path(path: Path, glob: str, max_bytes: int | None) -> Parts:
    if "\0" in str(path):
        raise FileNotFoundError(path)  # no system has such a name; open() would say ValueError
    is_directory, parts, left = path.is_dir(), [], max_bytes
    for file in _files(path, glob, None if max_bytes is None else MAX_CONFIGURED_FILES):
        raw = _read_file(file, left)
        left = None if left is None else left - len(raw)
        parts.append(Part(repr(str(file)), raw, is_directory))
    return Parts((path.resolve().name if is_directory else path.stem) or str(path), tuple(parts))


def _read_file(path: Path, max_bytes: int | None) -> bytes:
    """The bytes of a file. A pipe is read to its end if a person has named it, a device never."""
    if max_bytes is None:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise DataError(f"{str(path)!r} is a device, which may never end; give a file or '-'.")
        return path.read_bytes()
    size = _named_size(path, max_bytes)
    with path.open("rb") as file:
        return file.read(size)


def _named_size(path: Path, max_bytes: int) -> int:
    """The size of a regular file of at most so many bytes."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise DataError(
            f"{str(path)!r} is not a regular file; a text named by a checkpoint or configuration must be "
            f"one; give --data."
        )
    if facts.st_size > max_bytes:
        raise DataError(
            f"{str(path)!r} exceeds the limit of {MAX_CONFIGURED_BYTES:,} bytes for texts named by a "
            f"checkpoint or configuration; give --data."
        )
    return facts.st_size


def _files(path: Path, glob: str, most: int | None) -> list[Path]:
    """The file, or those of a directory that match."""
    return _matching(path, glob, most) if path.is_dir() else [path]


def _matching(root: Path, glob: str, most: int | None) -> list[Path]:
    relative = []
    for count, name in enumerate(_visible_files(root)):
        if count == most:
            raise DataError(
                f"directory {str(root)!r} holds more than {most:,} files, the limit for a directory named by "
                f"a checkpoint or configuration; give --data."
            )
        if _matches(name, glob):
            relative.append(name)
    relative.sort()
    if not relative:
        raise DataError(
            f"No file in directory {str(root)!r} matches {glob!r} (hidden files are left out); "
            "change --glob or the directory."
        )
    return [root / name for name in relative]


def _matches(name: str, glob: str) -> bool:
    try:
        return PurePosixPath(name).match(glob.removeprefix("**/"))  # match() looks at any depth already
    except ValueError as exc:
        raise UsageError(f"{glob!r} is no file pattern; write one like '*.txt'.") from exc


def _visible_files(root: Path) -> Iterator[str]:
    """Relative posix paths of all regular files that no dot hides; links to directories are not followed."""
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files = (Path(folder, name) for name in names if not name.startswith("."))
        yield from (file.relative_to(root).as_posix() for file in files if file.is_file())


def _raise(error: OSError) -> None:
    raise error
