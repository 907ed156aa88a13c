"""A source becomes parts: the raw bytes of files, of standard input, or of a built-in text.

Sources become a corpus: read, decode explicitly, count, tell apart.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_choice, as_elements
from zoo.data.builtin import BUILTINS, PREFIX
from zoo.data.corpus import Corpus, TextLevel
from zoo.data.vocabulary import Symbols
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


Source = str | os.PathLike[str]

_Codes = NDArray[np.uint8] | NDArray[np.uint32]

_N_CODES = 0x110000  # Unicode's code points

_BOM = "\ufeff"


def read_text(
    sources: Source | Sequence[Source],
    level: TextLevel = "char",
    glob: str = "*",
    max_bytes: int | None = None,
) -> Corpus:
    """Read text from files, directories, standard input or built-in texts.

    A source is one of:

    - the path of a file;
    - the path of a directory: every regular file below it that matches `glob` and that no leading dot
      hides (nor any directory on the way), sorted by relative posix path. Links to files are followed,
      links to directories are not;
    - ``"-"``: standard input;
    - ``"builtin:NAME"``: see `list_builtins`.

    Several sources and several files are joined as they are, with nothing between them. At level ``char``
    every file is decoded as strict UTF-8, a byte order mark at its beginning is dropped, and newlines are
    kept as they are. At level ``byte`` nothing is decoded and nothing is dropped.

    Args:
        sources: One source or a sequence of them.
        level: ``"char"`` (a token is a Unicode code point) or ``"byte"``.
        glob: Which files of a directory are read; ``"*.txt"`` matches at any depth.
        max_bytes: What all files may have together, for sources that a checkpoint names: they must be
            regular files then. None for no bound. Devices are never read.

    Returns:
        The corpus; its symbols are exactly those that occur.

    Raises:
        DataError: If a source is missing, unreadable, not text, or if all of them together hold fewer than
            two different symbols.
        UsageError: If an argument is none of the above.
    """
    as_choice(level, "level", ("char", "byte"))
    read: list[Parts] = []
    for source in _listed(sources):
        left = max_bytes and max_bytes - sum(len(part.raw) for parts in read for part in parts.parts)
        read.append(read_source(source, glob, left))
    parts = [part for source in read for part in source.parts]
    name = read[0].name if len(read) == 1 else f"{len(parts)} files"
    return _corpus(Parts(name, tuple(parts)), level)


def _listed(sources: Source | Sequence[Source]) -> Sequence[Source]:
    if isinstance(sources, (str, os.PathLike)):
        return [sources]
    listed: list[Source] = list(as_elements(sources, "sources", "a path, or several"))
    if not listed:
        raise UsageError("No source was given; give a path, '-' or builtin:NAME.")
    if [source for source in listed if isinstance(source, str)].count(STDIN) > 1:
        raise UsageError("Standard input ('-') was given twice, but it can be read only once.")
    return listed


def _corpus(read: Parts, level: TextLevel) -> Corpus:
    decode = _characters if level == "char" else _bytes
    codes = np.concatenate([decode(part) for part in read.parts])
    seen, tokens = _tokenise(codes)
    symbols: Symbols = tuple(map(chr, seen)) if level == "char" else tuple(seen)
    _check_two_symbols(read, symbols, len(tokens))
    digest = hashlib.sha256()
    for part in read.parts:
        digest.update(part.raw)
    size = sum(len(part.raw) for part in read.parts)
    return Corpus(read.name, level, symbols, tokens, digest.hexdigest(), size)


def _bytes(part: Part) -> _Codes:
    return np.frombuffer(part.raw, np.uint8)


def _characters(part: Part) -> _Codes:
    _check_not_binary(part)
    try:
        text = part.raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise DataError(
            f"{part.where} is not UTF-8: byte 0x{part.raw[exc.start]:02x} at offset {exc.start} "
            f"({exc.reason}); convert it to UTF-8, or read bytes with --level byte{_or_glob(part)}."
        ) from exc
    return np.frombuffer(text.removeprefix(_BOM).encode("utf-32-le"), "<u4")


def _check_not_binary(part: Part) -> None:
    offset = part.raw.find(b"\0")
    if offset < 0:
        return
    kind = "UTF-16" if part.raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "binary"
    raise DataError(
        f"{part.where} looks {kind}, not UTF-8 text: NUL byte at offset {offset}; "
        f"convert it to UTF-8, or read bytes with --level byte{_or_glob(part)}."
    )


def _or_glob(part: Part) -> str:
    return ", or leave it out with --glob '*.txt'" if part.in_directory else ""


def _tokenise(codes: _Codes) -> tuple[list[int], NDArray[np.int32]]:
    """The sorted codes that occur, and each code's rank among them.

    A table of marks, not `numpy.unique`: the codes are small integers, so nothing needs sorting.
    """
    marks = np.zeros(_N_CODES, np.bool_)
    marks[codes] = True
    rank = np.cumsum(marks, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(marks).tolist(), rank[codes]


def _check_two_symbols(read: Parts, symbols: Symbols, length: int) -> None:
    where = read.parts[0].where if len(read.parts) == 1 else read.name
    if not symbols:
        raise DataError(f"{where} is empty; give a text with at least two different symbols.")
    if len(symbols) == 1:
        raise DataError(
            f"{where} holds one symbol only ({symbols[0]!r}, {length} times); a model needs at least two "
            "to have something to predict."
        )
