"""Sources become a corpus: read, decode explicitly, count, tell apart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_choice, as_elements
from zoo.data.corpus import Corpus, TextLevel
from zoo.data.files import STDIN, Part, Parts, read_source
from zoo.data.symbols import Symbols
from zoo.errors import DataError, UsageError

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
