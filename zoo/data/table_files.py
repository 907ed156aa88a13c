"""Read a table from a file: CSV, NumPy arrays or Parquet."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo._lazy import require
from zoo.arguments import as_path, short_repr
from zoo.data.csv_table import read_csv
from zoo.data.sources import STDIN
from zoo.data.table import DataTable, as_table
from zoo.errors import DataError, MissingSourceError


def _read_csv_file(path: Path) -> DataTable:
    with path.open("rb") as file:
        return read_csv(file, path.name)


def load_arrays(path: Path) -> Any:
    """Read a ``.npy`` file as an array, or an ``.npz`` file as a mapping from names to arrays.

    Raises:
        MissingSourceError: If the file does not exist.
        DataError: If it is another file, or holds Python objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except FileNotFoundError:
        raise MissingSourceError(f"{short_repr(str(path))[1:-1]}: no such file or directory.") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} is not a file of NumPy arrays ({error}).") from None


def _read_numpy(path: Path) -> DataTable:
    return as_table(load_arrays(path), path.name)


def _read_parquet(path: Path) -> DataTable:
    parquet: Any = require("pyarrow.parquet", f"reading {path.name}", "parquet")
    arrow: Any = require("pyarrow", f"reading {path.name}", "parquet")
    try:
        return as_table(parquet.read_table(path), path.name)
    except arrow.ArrowInvalid as error:
        raise DataError(f"{path.name} is not a Parquet file ({error}).") from None


_READERS: dict[str, Callable[[Path], DataTable]] = {
    ".csv": _read_csv_file,
    ".tsv": _read_csv_file,
    ".npz": _read_numpy,
    ".npy": _read_numpy,
    ".parquet": _read_parquet,
}

TABLE_SUFFIXES = (".csv", ".tsv", ".npz", ".parquet")
"""File names that mean a table. A ``.npy`` file is one if ``--kind table`` or ``--target`` says so."""


IN_MEMORY_TABLE = "table:"
"""Prefix of the name of a table that was passed as columns, an array or a data frame."""


def is_table_file(source: str) -> bool:
    """Whether the name of a source has the ending of a table."""
    return source.lower().endswith(TABLE_SUFFIXES)


def read_table(source: str | os.PathLike[str]) -> DataTable:
    """Read a table.

    Args:
        source: A ``.csv``, ``.tsv``, ``.npz``, ``.npy`` or ``.parquet`` file (the last needs pyarrow), or
            ``"-"`` for CSV from standard input. A file with another ending is read as CSV.

    Returns:
        The table. Its digest is the digest of the file.

    Raises:
        MissingSourceError: If the file does not exist.
        DataError: If it cannot be read, or is not a table.
        UsageError: If a package is missing.
    """
    if isinstance(source, str) and source == STDIN:
        buffer = getattr(sys.stdin, "buffer", None)
        if buffer is None:
            raise DataError("there is no standard input to read bytes from; give a file instead of '-'.")
        return read_csv(buffer, "standard input")
    path = as_path(source, "read_table: source")
    if str(source).startswith(IN_MEMORY_TABLE):
        raise DataError(
            "the table was passed from memory and has no file; pass it again, as in zoo.train(table, "
            "resume=True, out=...), or give `data`."
        )
    try:
        if not path.is_file():
            what = "a directory; give one file" if path.is_dir() else "no such file or directory"
            raise MissingSourceError(f"{short_repr(str(path))[1:-1]}: {what}.")
        suffix = path.suffix.lower()
        table = _READERS.get(suffix, _read_csv_file)(path)
        if suffix in _READERS and _READERS[suffix] is not _read_csv_file:
            table = DataTable(table.name, table.columns, file_digest(path))
        return table
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}.") from None


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
