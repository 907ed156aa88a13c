"""Read a table from a file or a directory of files: CSV, NumPy arrays or Parquet."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from zoo._lazy import require
from zoo.arguments import as_path, short_repr
from zoo.data import growing_array
from zoo.data.compression import (
    check_single_copies,
    compression_of_name,
    open_data_file,
    uncompressed_name,
)
from zoo.data.csv_table import STDIN_NAME, read_csv
from zoo.data.file_digest import file_digest
from zoo.data.joined_column import JoinedColumn
from zoo.data.sources import STDIN, visible_files
from zoo.data.table import (
    FILE_COLUMN,
    FOLDER_COLUMN,
    DataColumn,
    DataTable,
    as_names,
    as_table,
    in_order_of_value,
)
from zoo.errors import DataError, MissingSourceError


def _missing(path: Path) -> str:
    name = short_repr(str(path))[1:-1]
    return f"{name}: no such file or directory; give the path of a table, or of a directory of tables."


def _read_csv_file(path: Path, name: str, identifiers: Collection[str]) -> DataTable:
    with open_data_file(path, name) as file:
        return read_csv(file, name, identifiers)


def load_arrays(path: Path) -> Any:
    """Read a ``.npy`` file as an array, or an ``.npz`` file as a mapping from names to arrays.

    Raises:
        MissingSourceError: if the file does not exist.
        DataError: if it is another file, or holds Python objects.
    """
    try:
        is_large = path.stat().st_size > growing_array.MAX_BYTES_IN_MEMORY
        loaded: Any = np.load(path, mmap_mode="r" if is_large else None, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return loaded.view(np.ndarray)
        with loaded:
            return {name: _load_member(loaded, name) for name in loaded.files}
    except FileNotFoundError:
        raise MissingSourceError(_missing(path)) from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{path.name} holds an array of Python objects, which zoo does not read; save numbers, as "
                f"array.astype(float) makes them, or strings, as array.astype(str) does. Save sequences of "
                f"different lengths one after another, with their lengths: inputs=np.concatenate(sequences), "
                f"lengths=[len(each) for each in sequences]."
            ) from None
        # For other files NumPy advises to unpickle them, which would run their code.
        reason = "" if "pickle" in str(error) else f" ({error})"
        raise DataError(
            f"{path.name} is not a file of NumPy arrays{reason}; write it with np.savez or np.save."
        ) from None


def _load_member(archive: Any, name: str) -> Any:
    """An array of an ``.npz`` file; a large one is mapped from a temporary file."""
    member = f"{name}.npy"
    members = archive.zip.namelist()
    if member not in members or archive.zip.getinfo(member).file_size <= growing_array.MAX_BYTES_IN_MEMORY:
        return archive[name]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        path = Path(directory) / "array.npy"
        with archive.zip.open(member) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file)
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def _read_numpy(path: Path, name: str, identifiers: Collection[str]) -> DataTable:
    return as_table(load_arrays(path), name, identifiers)


def _read_parquet(path: Path, name: str, identifiers: Collection[str]) -> DataTable:
    parquet: Any = require("pyarrow.parquet", f"reading {path.name}", "parquet")
    arrow: Any = require("pyarrow", f"reading {path.name}", "parquet")
    try:
        return as_table(parquet.read_table(path), name, identifiers)
    except arrow.ArrowException as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{path.name} is not a Parquet file ({reason}).") from None


_READERS: dict[str, Callable[[Path, str, Collection[str]], DataTable]] = {
    ".csv": _read_csv_file,
    ".tsv": _read_csv_file,
    ".npz": _read_numpy,
    ".npy": _read_numpy,
    ".parquet": _read_parquet,
}

TABLE_SUFFIXES = (".csv", ".tsv", ".npz", ".parquet")
"""File names that mean a table. A ``.npy`` file is one if ``--kind table`` or ``--target`` says so."""


_BINARY_FILES = {b"PK\x03\x04": "an .npz file", b"\x93NUMPY": "an .npy file", b"PAR1": "a Parquet file"}
"""First bytes of files that are no text."""

IN_MEMORY_TABLE = "table:"
"""Prefix of the name of a table that was passed as columns, an array or a data frame."""


def is_table_file(source: str) -> bool:
    """Whether the name of a source has the ending of a table, perhaps a compressed one."""
    return uncompressed_name(source).lower().endswith(TABLE_SUFFIXES)


def is_table_directory(source: str) -> bool:
    """Whether a source is a directory in which most files are tables."""
    try:
        path = Path(source)
        names = list(visible_files(path)) if path.is_dir() else []
    except OSError:  # no permission, or a name that is too long; reading it raises the error
        return False
    return 2 * sum(map(is_table_file, names)) > len(names)


def read_table(source: str | os.PathLike[str], identifiers: Collection[str] = ()) -> DataTable:
    """Read a table.

    A directory is one table of all files below it whose names end in ``.csv``, ``.tsv``, ``.npz`` or
    ``.parquet``, sorted by path. Each row has two more columns: ``file``, the path of its file without the
    ending, and ``folder``, the name of the folder that holds the file. Hidden files are left out.

    Args:
        source: A ``.csv``, ``.tsv``, ``.npz``, ``.npy`` or ``.parquet`` file (the last needs pyarrow); a
            directory of such files; or ``"-"`` for CSV from standard input. A file with another ending is
            read as CSV. A file of text whose name ends in ``.gz``, ``.bz2`` or ``.xz`` as well is
            decompressed: ``load.csv.gz``.
        identifiers: Columns that name series or groups. Their texts stay as they are, such as ``007`` in a
            CSV file, and their integers are exact.

    Returns:
        The table. Its digest is the digest of the file, after decompression, or of the names and digests of
        all files.

    Raises:
        MissingSourceError: if the file does not exist.
        DataError: if it cannot be read, or is not a table, or the files of a directory have other columns.
        UsageError: if a package is missing.
    """
    identifiers = as_names(identifiers)
    if isinstance(source, str) and source == STDIN:
        buffer = getattr(sys.stdin, "buffer", None)
        if buffer is None:
            raise DataError("there is no standard input to read bytes from; give a file instead of '-'.")
        if sys.stdin.isatty():
            raise DataError(
                "the table is to come from standard input, which is a terminal; pipe a file into it, "
                "as in `zoo train --data - < FILE`. A run stores no copy of it, so pass it again to resume."
            )
        head = buffer.peek(6) if hasattr(buffer, "peek") else b""
        for magic, what in _BINARY_FILES.items():
            if head.startswith(magic):
                raise DataError(
                    f"{STDIN_NAME} is {what}, and zoo reads CSV from it; give the file instead of '-'."
                )
        return read_csv(buffer, STDIN_NAME, identifiers)
    path = as_path(source, "read_table: source")
    if str(source).startswith(IN_MEMORY_TABLE):
        raise DataError(
            "the table was passed from memory and has no file; pass it again, as in zoo.train(table, "
            "resume=True, out=...), or give `data`."
        )
    try:
        if path.is_dir():
            return _read_directory(path, identifiers)
        return _read_file(path, path.name, identifiers)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}.") from None


def _read_file(path: Path, name: str, identifiers: Collection[str]) -> DataTable:
    if not path.is_file():
        raise MissingSourceError(_missing(path))
    suffix = Path(uncompressed_name(path.name)).suffix.lower()
    reader = _READERS.get(suffix, _read_csv_file)
    if reader is _read_csv_file:
        return reader(path, name, identifiers)
    compression = compression_of_name(path.name)
    if compression is not None:
        raise DataError(
            f"{name} is a compressed {suffix} file; expected {suffix}, or compressed text such as "
            f".csv{compression.ending}. Decompress it with `{compression.program} -d FILE`."
        )
    return replace(reader(path, name, identifiers), sha256=file_digest(path))


def _read_directory(path: Path, identifiers: Collection[str]) -> DataTable:
    """One table of all files below a directory, which are read one after another."""
    root = path.resolve().name
    names = sorted(filter(is_table_file, visible_files(path)), key=uncompressed_name)
    if not names:
        raise DataError(
            f"directory {str(path)!r} holds no table; expected files whose names end in "
            f"{', '.join(TABLE_SUFFIXES)}."
        )
    check_single_copies(names, path)
    columns = dict[str, JoinedColumn]()
    files, digest, rows = list[tuple[int, DataTable]](), hashlib.sha256(), 0
    for name in names:
        table = _read_file(path / name, f"{root}/{name}", identifiers)
        relative = PurePosixPath(name)
        added = {
            FILE_COLUMN: str(PurePosixPath(uncompressed_name(name)).with_suffix("")),
            FOLDER_COLUMN: relative.parent.name or root,
        }
        if taken := sorted(added.keys() & table.columns.keys()):
            raise DataError(
                f"{table.name} has a column {taken[0]!r}, and zoo adds a column of this name to files of a "
                f"directory; rename it."
            )
        own = {
            each: DataColumn(each, "category", np.zeros(len(table), np.int32), (text,))
            for each, text in added.items()
        }
        table = replace(table, columns={**table.columns, **own})
        columns = columns or {each: JoinedColumn(each) for each in table.columns}
        if difference := sorted(columns.keys() ^ table.columns.keys()):
            has = "has a" if difference[0] in table.columns else "has no"
            raise DataError(
                f"{table.name} {has} column {difference[0]!r}, unlike {files[0][1].name}; expected the same "
                f"columns in all files of a directory."
            )
        for joined in columns.values():
            joined.append(table)
        digest.update(f"{uncompressed_name(name)}\0{table.sha256}\0".encode())
        files.append((rows, replace(table, columns={})))
        rows += len(table)
    finished = {each: joined.finish() for each, joined in columns.items()}
    for each in {*identifiers} & finished.keys() - {FILE_COLUMN, FOLDER_COLUMN}:
        finished[each] = in_order_of_value(finished[each])
    return DataTable(root, finished, digest.hexdigest(), files=tuple(files))
