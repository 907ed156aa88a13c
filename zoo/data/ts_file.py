"""Read ``.ts`` files of the UEA and UCR archives of labelled time series.

Lines that begin with ``#`` or ``%`` are comments, lines with ``@`` are the header, and after ``@data`` each
line is a sequence: its channels, separated by colons, and its label. A channel is a list of numbers with
commas; ``?`` and ``NaN`` are missing. With ``@timeStamps true`` it is a list of pairs of a time and a
number, as in ``(2024-05-01 13:00:00,1.5),(2024-05-01 13:01:00,2)``. Source: the specification in the
documentation of sktime and aeon, https://www.aeon-toolkit.org/en/stable/api_reference/data_format.html.
"""

from __future__ import annotations

import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.data.compression import open_data_file, uncompressed_name
from zoo.data.file_digest import DigestReader
from zoo.data.sequence_builder import SequenceBuilder, SequenceValues
from zoo.data.table import TIME_DTYPE
from zoo.data.text_values import is_number_text, parse_time
from zoo.errors import DataError, MissingSourceError

_HEADER_LINES = 1000
_COMMENT = ("#", "%")
_MISSING = ("?", "nan", "")
_SEPARATOR = re.compile(r":(?![^(]*\))")
"""A colon that is not within parentheses, as those of a time are."""
_PAIR = re.compile(r"\(([^(),]*),([^(),]*)\)")


def is_ts_file(source: str) -> bool:
    """Whether a file is one: its name ends in ``.ts``, and its header has ``@problemName`` or ``@data``.

    A program in TypeScript has the same ending. The file may be compressed: ``Walks.ts.gz``.
    """
    if not uncompressed_name(source).lower().endswith(".ts"):
        return False
    try:
        with open_data_file(Path(source), source) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
            for _, line in zip(range(_HEADER_LINES), lines, strict=False):
                text = line.strip().lower()
                if text and not text.startswith(_COMMENT):
                    return text.startswith(("@problemname", "@timestamps", "@classlabel", "@data"))
    except (OSError, DataError):
        return False  # reading it raises the error
    return False


class TsContent(NamedTuple):
    """The sequences of a file.

    Attributes:
        sequences: Their values and times.
        labels: Texts, numbers of ``@targetLabel``, or None.
        sha256: Hexadecimal digest of the file.
    """

    sequences: SequenceValues
    labels: list[str] | list[float] | None
    sha256: str


def read_ts_file(path: Path) -> TsContent:
    """Read a file line by line. Memory is bounded by the longest line: large values are in temporary files.

    Raises:
        MissingSourceError: if the file does not exist.
        DataError: if a line is invalid, a label is not one of the classes of the header, the channels of a
            sequence have different time stamps, or sequences have different channels. The error names the
            line, and the channel if there is one.
    """
    try:
        with open_data_file(path, path.name) as file:
            reader = DigestReader(file)
            text = io.TextIOWrapper(io.BufferedReader(reader, 2**16), encoding="utf-8")
            return _read_lines(text, path.name, reader)
    except FileNotFoundError:
        raise MissingSourceError(f"{path}: no such file or directory; give the path of a .ts file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}.") from None


def _read_lines(text: Iterable[str], name: str, reader: DigestReader) -> TsContent:
    lines = _numbered_lines(text)
    header = _read_header(lines, name)
    has_times, has_classes, has_numbers = (
        "".join(header[key].words[:1]).lower() == "true"
        for key in ("timestamps", "classlabel", "targetlabel")
    )
    classes = header["classlabel"].words[1:]
    builder, labels, stamps = SequenceBuilder(name), list[Any](), None
    undeclared: str | None = ""  # a number where each line so far may have a label
    for number, line in lines:
        where = f"{name}, line {number}"
        fields = _SEPARATOR.split(line) if has_times else line.split(":")
        if has_classes or has_numbers:
            if len(fields) < 2:
                raise DataError(f"{where}: found no label; expected one after a colon.")
            label = fields.pop().strip()
            if classes and label not in classes:
                raise DataError(
                    f"{where}: the label {label[:40]!r} is not one of the classes of @classLabel: "
                    f"{', '.join(classes)}. Correct the label, or add it to the header."
                )
            labels.append(_number(label, f"{where}, label") if has_numbers else sys.intern(label))
        elif undeclared is not None:
            undeclared = _undeclared_label(fields)
            if undeclared and (has_times or not is_number_text(undeclared)):
                raise _undeclared_error(where, undeclared, header["classlabel"])
        if has_times:
            fields, stamps = _without_times(fields, where)
        builder.append(_sequence(fields, where), f"line {number}", stamps)
    values = builder.finish()
    if undeclared:
        raise _undeclared_error(where, undeclared, header["classlabel"])
    if len(values.offsets) == 1:
        raise DataError(f"{name} has no sequences; give at least one after @data.")
    return TsContent(values, labels if has_classes or has_numbers else None, reader.digest.hexdigest())


def _undeclared_label(fields: list[str]) -> str | None:
    """The last field of a line if it may be a label: a word, or one number after longer channels."""
    *channels, last = map(str.strip, fields)
    if not channels or "," in last or last.lower() in _MISSING:
        return None
    is_label = not is_number_text(last) or all("," in channel for channel in channels)
    return last if is_label else None


def _undeclared_error(where: str, label: str, declared: _HeaderLine) -> DataError:
    header = (
        f"line {declared.number} is {declared.text!r}" if declared.number else "the header has no @classLabel"
    )
    return DataError(
        f"{where}: {label[:40]!r} after the last colon looks like a label, but {header}. Write `@classLabel "
        f"true` with the names of the classes, or `@targetLabel true` for labels that are numbers."
    )


def _numbered_lines(text: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that are not blank and no comments, with their numbers."""
    for number, line in enumerate(text, start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith(_COMMENT):
            yield number, stripped


class _HeaderLine(NamedTuple):
    """A line before ``@data``: its number, its text and the words after ``@name``; empty if it is missing."""

    number: int = 0
    text: str = ""
    words: tuple[str, ...] = ()


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> defaultdict[str, _HeaderLine]:
    """The lines before ``@data`` by their names."""
    header = defaultdict[str, _HeaderLine](_HeaderLine)
    for number, line in lines:
        if line.lower() == "@data":
            break
        if not line.startswith("@"):
            raise DataError(f"{name}, line {number}: found {line[:40]!r}; expected @data before it.")
        key, *values = line[1:].split()
        header[key.lower()] = _HeaderLine(number, line, tuple(values))
    return header


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
    if not any(text.strip() for text in fields):
        return np.empty((0, len(fields)))
    channels = [_numbers(text, f"{where}, channel {number}") for number, text in enumerate(fields)]
    values = np.full((max(map(len, channels)), len(channels)), np.nan)
    for number, channel in enumerate(channels):
        values[: len(channel), number] = channel
    return values


def _numbers(text: str, where: str) -> Array:
    """The numbers of a channel, `(T,)`."""
    try:
        words = text.replace("?", "nan").split(",")
        return np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        return np.array([_number(word.strip(), where) for word in text.split(",")])


def _number(word: str, where: str) -> float:
    if word.lower() in _MISSING:
        return np.nan
    try:
        return float(word)
    except ValueError:
        raise DataError(f"{where}: found {word[:40]!r}; expected a number, or ? for a missing one.") from None
