"""Open data files, and decompress those whose names end in ``.gz``, ``.bz2`` or ``.xz``."""

from __future__ import annotations

import importlib
import io
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple, cast

from zoo.errors import DataError


class Compression(NamedTuple):
    """A format of compressed files.

    Args:
        ending: The ending of their names.
        module: The module of the standard library that reads them.
        program: The program that writes them.
        magic: Their first bytes.
    """

    ending: str
    module: str
    program: str
    magic: bytes


_COMPRESSIONS = (
    Compression(".gz", "gzip", "gzip", b"\x1f\x8b"),
    Compression(".bz2", "bz2", "bzip2", b"BZh"),
    Compression(".xz", "lzma", "xz", b"\xfd7zXZ\x00"),
)


def compression_of_name(name: str) -> Compression | None:
    """The compression of a file from the ending of its name; None for another ending."""
    ending = PurePath(name).suffix.lower()
    return next((each for each in _COMPRESSIONS if each.ending == ending), None)


def compression_of_bytes(beginning: bytes) -> Compression | None:
    """The compression of a file from its first bytes; None if it is not compressed."""
    return next((each for each in _COMPRESSIONS if beginning.startswith(each.magic)), None)


def uncompressed_name(name: str) -> str:
    """The name of a file without the ending of a compressed file: ``walks.csv`` for ``walks.csv.gz``."""
    compression = compression_of_name(name)
    return name if compression is None else name[: -len(compression.ending)]


def open_data_file(path: Path, name: str) -> BinaryIO:
    """Open a data file to read its bytes, decompressed if the ending of its name says so.

    Args:
        path: The file.
        name: Its name in messages.

    Raises:
        OSError: if it cannot be opened.
        DataError: here or while it is read, if it is not a valid compressed file.
    """
    compression = compression_of_name(path.name)
    if compression is None:
        return path.open("rb")
    try:
        module: Any = importlib.import_module(compression.module)
    except ImportError:
        raise DataError(
            f"cannot read {name}: this Python was built without the module {compression.module}; decompress "
            f"the file with `{compression.program} -d FILE`."
        ) from None
    raw = path.open("rb")
    return cast("BinaryIO", io.BufferedReader(_DecompressingReader(raw, module, name, compression)))


class _DecompressingReader(io.RawIOBase):
    """The decompressed bytes of a file; invalid data raise a `DataError`."""

    def __init__(self, raw: io.BufferedReader, module: Any, name: str, compression: Compression) -> None:
        self._open_files: list[BinaryIO] = [raw]
        self._name, self._compression = name, compression
        self._has_magic = raw.peek(len(compression.magic)).startswith(compression.magic)
        self._file: BinaryIO = module.open(raw, "rb")
        self._open_files.insert(0, self._file)
        self._errors = (OSError, zlib.error, getattr(module, "LZMAError", OSError))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except EOFError:
            raise self._damaged("ends before the end of its data") from None
        except self._errors as error:
            if getattr(error, "errno", None) is not None:  # of the disk
                raise
            raise (self._damaged(f"is damaged ({error})") if self._has_magic else self._other()) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        for file in self._open_files:
            file.close()
        super().close()

    def _other(self) -> DataError:
        ending, program = self._compression.ending, self._compression.program
        return DataError(
            f"{self._name} is not compressed with {program}; expected it, because the name ends in {ending}. "
            f"Rename the file."
        )

    def _damaged(self, problem: str) -> DataError:
        program = self._compression.program
        return DataError(
            f"{self._name} {problem}; expected a complete file, compressed with {program}. Copy it again, "
            f"and check it with `{program} -t FILE`."
        )


def check_single_copies(names: Iterable[str], directory: Path) -> None:
    """Check that no file of a directory has a compressed copy there, whose data would be read twice.

    Args:
        names: The files that are read.
        directory: The directory, for messages.

    Raises:
        DataError: naming the first file and its copy.
    """
    copies = dict[str, str]()
    for name in names:
        other = copies.setdefault(uncompressed_name(name), name)
        if other != name:
            raise DataError(
                f"directory {str(directory)!r} holds {other!r} and {name!r}; expected one of them, because "
                f"the data would be read twice. Remove the other one."
            )
