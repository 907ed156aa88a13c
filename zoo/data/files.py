"""A source becomes parts: the raw bytes of files, of standard input, or of a built-in text."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from zoo.data.builtin import BUILTINS, PREFIX
from zoo.errors import DataError, UsageError

STDIN = "-"
IN_MEMORY = "corpus:"
"""What a text is called that was given as a ``Corpus``: ``corpus:NAME``."""


class Part(NamedTuple):
    """The raw bytes of one file (or stream), and how to speak of it in a message."""

    where: str
    raw: bytes
    in_directory: bool = False


class Parts(NamedTuple):
    """What one source held, and the source's short name."""

    name: str
    parts: tuple[Part, ...]


def read_source(source: str | os.PathLike[str], glob: str) -> Parts:
    """Read one source to the end.

    Args:
        source: ``"-"``, ``"builtin:NAME"``, or a path; a `pathlib.Path` is always a path.
        glob: Which files of a directory are read.

    Returns:
        The source's short name and its parts, in order.

    Raises:
        DataError: If the source does not exist or cannot be read.
        UsageError: If the source is no string or path.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"A source is a path, {STDIN!r} or {PREFIX}NAME; found {type(source).__name__}.")
    try:
        return _read(source, glob)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise DataError(_missing(Path(exc.filename or source))) from exc
    except OSError as exc:
        reason = "permission denied" if isinstance(exc, PermissionError) else exc.strerror or exc
        raise DataError(f"Cannot read {str(exc.filename or source)!r}: {reason}.") from exc


def _read(source: str | os.PathLike[str], glob: str) -> Parts:
    if isinstance(source, str) and source == STDIN:
        return Parts("stdin", (Part("standard input", _read_stdin()),))
    if isinstance(source, str) and source.startswith(IN_MEMORY):
        name = source.removeprefix(IN_MEMORY)
        raise DataError(
            f"The text {name!r} was given to zoo.train as a zoo.data.Corpus, and is in no file; in Python "
            f"give it again, zoo.train(corpus, resume=True, out=...), or name another text with --data."
        )
    if isinstance(source, str) and source.startswith(PREFIX):
        return _read_builtin(source.removeprefix(PREFIX))
    return _read_path(Path(source), glob)


def _read_stdin() -> bytes:
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


def _read_path(path: Path, glob: str) -> Parts:
    if "\0" in str(path):
        raise FileNotFoundError(path)  # no system has such a name; open() would say ValueError
    if not path.is_dir():
        return Parts(path.stem, (Part(repr(str(path)), path.read_bytes()),))
    found = _matching(path, glob)
    parts = tuple(Part(repr(str(file)), file.read_bytes(), in_directory=True) for file in found)
    return Parts(path.resolve().name or str(path), parts)


def _matching(root: Path, glob: str) -> list[Path]:
    relative = sorted(name for name in _visible_files(root) if _matches(name, glob))
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


def _visible_files(root: Path) -> list[str]:
    """Relative posix paths of all regular files that no dot hides; links to directories are not followed."""
    found: list[str] = []
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files = (Path(folder, name) for name in names if not name.startswith("."))
        found += [file.relative_to(root).as_posix() for file in files if file.is_file()]
    return found


def _raise(error: OSError) -> None:
    raise error
