"""Read ``.ts`` files of the UEA and UCR archives of labelled time series.

Lines that begin with ``#`` or ``%`` are comments, lines with ``@`` are the header, and after ``@data`` each
line is a sequence: its channels, separated by colons, and its label. A channel is a list of numbers with
commas; ``?`` and ``NaN`` are missing. Source: the specification in the documentation of sktime and
aeon, https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo.array_types import Array
from zoo.errors import DataError, MissingSourceError

_HEADER_LINES = 1000
_COMMENT = ("#", "%")
_MISSING = ("?", "nan", "")


def is_ts_file(source: str) -> bool:
    """Whether a file is one: its name ends in ``.ts``, and its header has ``@problemName`` or ``@data``.

    A program in TypeScript has the same ending.
    """
    if not source.lower().endswith(".ts"):
        return False
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as file:
            for _, line in zip(range(_HEADER_LINES), file, strict=False):
                text = line.strip().lower()
                if text and not text.startswith(_COMMENT):
                    return text.startswith(("@problemname", "@timestamps", "@classlabel", "@data"))
    except OSError:
        return False  # reading it raises the error
    return False


def read_ts_file(path: Path) -> tuple[list[Array], list[str] | list[float] | None]:
    """Read the sequences, `(T, I)` each, and their labels: texts, numbers of ``@targetLabel``, or None.

    Raises:
        MissingSourceError: If the file does not exist.
        DataError: If a line is invalid, or the sequences have time stamps.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(enumerate((line.strip() for line in file), start=1))
    except FileNotFoundError:
        raise MissingSourceError(f"{path}: no such file or directory.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}.") from None
    header = dict[str, list[str]]()
    start = 0
    for start, (_, line) in enumerate(lines, start=1):
        if line.lower() == "@data":
            break
        if line.startswith("@"):
            name, *values = line[1:].split()
            header[name.lower()] = values
        elif line and not line.startswith(_COMMENT):
            raise DataError(f"{path.name}, line {start}: found {line[:40]!r}; expected @data before it.")
    if header.get("timestamps", ["false"])[0].lower() == "true":
        raise DataError(f"{path.name} has time stamps (@timeStamps true); zoo reads .ts files without them.")
    has_classes = header.get("classlabel", ["false"])[0].lower() == "true"
    has_numbers = header.get("targetlabel", ["false"])[0].lower() == "true"
    parts, labels = list[Array](), list[str]()
    for number, line in lines[start:]:
        if not line or line.startswith(_COMMENT):
            continue
        fields = line.split(":")
        if has_classes or has_numbers:
            if len(fields) < 2:
                raise DataError(f"{path.name}, line {number}: found no label; expected one after a colon.")
            labels.append(fields.pop().strip())
        parts.append(_sequence(fields, f"{path.name}, line {number}"))
    if has_numbers:
        return parts, [_number(label, f"{path.name}, label") for label in labels]
    return parts, labels if has_classes else None


def _sequence(fields: list[str], where: str) -> Array:
    """The channels of a line; a shorter one is missing at the end."""
    channels = []
    for number, text in enumerate(fields):
        words = [word.strip() for word in text.split(",")]
        channels.append([_number(word, f"{where}, channel {number}") for word in words])
    longest = max(map(len, channels))
    if longest == 1 and all(not text.strip() for text in fields):
        return np.empty((0, len(channels)))
    values = np.full((longest, len(channels)), np.nan)
    for number, channel in enumerate(channels):
        values[: len(channel), number] = channel
    return values


def _number(word: str, where: str) -> float:
    if word.lower() in _MISSING:
        return np.nan
    try:
        return float(word)
    except ValueError:
        raise DataError(f"{where}: found {word[:40]!r}; expected a number, or ? for a missing one.") from None
