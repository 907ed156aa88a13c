"""Read ``.ts`` files of the UEA and UCR archives of labelled time series.

Lines that begin with ``#`` or ``%`` are comments, lines with ``@`` are the header, and after ``@data`` each
line is a sequence: its channels, separated by colons, and its label. A channel is a list of numbers with
commas; ``?`` and ``NaN`` are missing. With ``@timeStamps true`` it is a list of pairs of a time and a
number, as in ``(2024-05-01 13:00:00,1.5),(2024-05-01 13:01:00,2)``. Source: the specification in the
documentation of sktime and aeon, https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.data.table import TIME_DTYPE
from zoo.data.text_values import parse_time
from zoo.errors import DataError, MissingSourceError

_HEADER_LINES = 1000
_COMMENT = ("#", "%")
_MISSING = ("?", "nan", "")
_SEPARATOR = re.compile(r":(?![^(]*\))")
"""A colon that is not within parentheses, as those of a time are."""
_PAIR = re.compile(r"\(([^(),]*),([^(),]*)\)")


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


class TsContent(NamedTuple):
    """The sequences of a file.

    Attributes:
        sequences: `(T, I)` each.
        labels: Texts, numbers of ``@targetLabel``, or None.
        times: The time stamps of each sequence, `(T,)` numbers or datetime64; None without time stamps.
    """

    sequences: list[Array]
    labels: list[str] | list[float] | None
    times: list[Array] | None


def read_ts_file(path: Path) -> TsContent:
    """Read a file.

    Raises:
        MissingSourceError: If the file does not exist.
        DataError: If a line is invalid, or the channels of a sequence have different time stamps.
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
    has_times, has_classes, has_numbers = (
        header.get(name, ["false"])[0].lower() == "true"
        for name in ("timestamps", "classlabel", "targetlabel")
    )
    parts, labels, times = list[Array](), list[str](), list[Array]()
    for number, line in lines[start:]:
        if not line or line.startswith(_COMMENT):
            continue
        where = f"{path.name}, line {number}"
        fields = _SEPARATOR.split(line) if has_times else line.split(":")
        if has_classes or has_numbers:
            if len(fields) < 2:
                raise DataError(f"{where}: found no label; expected one after a colon.")
            labels.append(fields.pop().strip())
        if has_times:
            fields, stamps = _without_times(fields, where)
            times.append(stamps)
        parts.append(_sequence(fields, where))
    of_file = times if has_times else None
    if has_numbers:
        return TsContent(parts, [_number(label, f"{path.name}, label") for label in labels], of_file)
    return TsContent(parts, labels if has_classes else None, of_file)


def _without_times(fields: list[str], where: str) -> tuple[list[str], Array]:
    """The channels of ``(time,value)`` pairs as lists of values, and the times that all of them have."""
    channels, first = list[str](), list[str]()
    for number, text in enumerate(fields):
        if rest := _PAIR.sub("", text).strip(" ,"):
            raise DataError(
                f"{where}, channel {number}: found {rest[:40]!r}; expected pairs such as (2024-05-01 "
                f"13:00:00,1.5)."
            )
        pairs = _PAIR.findall(text)
        stamps = [time.strip() for time, _ in pairs]
        first = first or stamps
        if stamps != first:
            raise DataError(
                f"{where}, channel {number} has other times than channel 0; expected the same time stamps in "
                f"all channels of a sequence."
            )
        channels.append(",".join(value for _, value in pairs))
    return channels, _times(first, where)


def _times(texts: list[str], where: str) -> Array:
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return np.array([_time(text, where) for text in texts], TIME_DTYPE)


def _time(text: str, where: str) -> np.datetime64:
    try:
        return parse_time(text)
    except ValueError:
        raise DataError(
            f"{where}: found {text[:40]!r}; expected a time such as 2024-05-01 13:00:00, or a number."
        ) from None


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
