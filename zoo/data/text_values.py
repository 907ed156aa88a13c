"""Values of tables as texts: numbers, ISO 8601 times, missing values, and what is nearly one of them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Literal

import numpy as np

ColumnKind = Literal["number", "category", "time"]

MAX_NUMBER = 1e100
"""Largest magnitude of a value: squares of larger ones overflow, and files use them for missing values."""

_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "nat"))
"""Texts of a missing value, in lower case."""

_DATE = re.compile(r"\d{4}-\d\d")

_LETTER = re.compile(r"[A-SU-Za-z]")
"""Any letter but the T of a time without an offset."""

_OTHER_DATE = re.compile(r"\s*(\d{4}([./-])\d\d?\2\d\d?|\d\d?([./-])\d\d?\3(\d{4}|\d\d))([ T,].*)?\s*")
"""A date in another format than ISO 8601: ``31.12.2023``, ``12/31/23``, ``2023/12/31 23:58``."""

_OTHER_TIME = re.compile(
    r"\s*\d{4}-(\d\d-\d\d([ T]\d\d?:\d\d[^A-Za-z]*[A-Za-z].*|[ T]?([Zz]|[-+]\d\d:?\d\d))|W\d\d(-\d)?)\s*"
)
"""A time with letters after it, a date with an offset, or a week.

For example ``2024-05-01 1:00 PM``, ``2024-05-01 13:00 CET``, ``2024-05-01+02:00`` and ``2024-W18``.
"""

_ZONE = re.compile(r":\d.*[\d\s](?![AaPp][Mm]\b)[A-Za-z]{2,}")
"""The name of a zone after a time, and not ``AM`` or ``PM``: ``13:00 UTC``, ``1:00 PM CET``."""

_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")


_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*")
"""A number whose comma may separate thousands: ``1,234``, and not ``0,123``, ``1234,567`` or ``1,23``."""


_GROUPED = re.compile(r"\s*([-+]?\d{1,3}(?:([.,' ])\d{3})(?:\2\d{3})*)([.,]\d+)?\s*")
"""A number with separators of thousands, and perhaps decimals."""

_WITH_UNIT = re.compile(r"\s*([-+]?\d+(?:[.,]\d+)?)\s*[^\d\s.,:;/+-][^\d\s]*\s*")
"""A number and a unit: ``19.5 kW``, ``20%``."""

_CURRENCY = re.compile(r"\s*([-+]?)\s*[$\u20ac\u00a3\u00a5\u20b9]\s*([-+]?.*)")
"""A number after the sign of a currency: dollar, euro, pound, yen or rupee."""

_ASCII = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2019": "'"})
"""Signs of word processors for minus, spaces and the apostrophe."""


def is_missing_text(text: str) -> bool:
    """Whether a text is a missing value: empty, ``NA``, ``N/A``, ``NaN``, ``NaT``, ``null`` or ``none``."""
    return text.strip().lower() in _MISSING


def is_number_text(text: str) -> bool:
    """Whether a text is a number. Python reads ``3_1`` as 31, but in a table it is a name."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def is_time_text(text: str) -> bool:
    """Whether a text is an ISO 8601 date or time."""
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def parse_time(text: str) -> np.datetime64:
    """Parse an ISO 8601 date or time; a time with an offset becomes UTC.

    Raises:
        ValueError: if it is anything else.
    """
    text = text.strip()
    if not _DATE.match(text):
        raise ValueError(text)
    if has_offset(text):
        if text[10:11].upper() not in ("T", " "):  # Python reads +01:00 after a date as a time of the day
            raise ValueError(text)
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        return np.datetime64(moment.astimezone(timezone.utc).replace(tzinfo=None), "us")
    if _LETTER.search(text):  # of which NumPy prints a warning, as of a zone, before it raises an error
        raise ValueError(text)
    return np.datetime64(text, "us")


def has_offset(text: str) -> bool:
    """Whether a time has an offset from UTC, as in ``2024-05-01 13:00+02:00`` and ``2024-05-01T11:00Z``."""
    return "+" in text or text.count("-") > 2 or text.rstrip().endswith(("Z", "z"))


def mixed_offsets(without: tuple[str, str], with_offset: tuple[str, str]) -> str:
    """The end of an error about a column in which only some times have an offset from UTC.

    Args:
        without: Text and position of a time without an offset.
        with_offset: Text and position of a time with one.
    """
    (text, place), (other, other_place) = without, with_offset
    return (
        f"found {text!r} in {place} and {other!r} in {other_place}; expected an offset from UTC in all times "
        f"of a column, or in none. Add an offset, for example +00:00, to all, or remove it from all."
    )


def fits_kind(kind: ColumnKind, text: str) -> bool:
    """Whether a text is a value of a kind."""
    return kind == "category" or (is_number_text(text) if kind == "number" else is_time_text(text))


def resembles_kind(kind: ColumnKind, text: str) -> bool:
    """Whether a text is a value of a kind, or a number with a decimal comma."""
    return fits_kind(kind, text) or (kind == "number" and _DECIMAL_COMMA.fullmatch(text) is not None)


def has_other_date_format(text: str) -> bool:
    """Whether a text looks like a date, but is not written as in ISO 8601."""
    if _OTHER_TIME.fullmatch(text):
        return not is_time_text(text)
    return _OTHER_DATE.fullmatch(text) is not None and not _DATE.match(text.strip())


def with_point(text: str) -> str:
    """A number with a decimal point in place of its decimal comma; any other text as it is."""
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text


def may_have_thousands(text: str) -> bool:
    """Whether the comma of a number may separate thousands, as in ``1,234``."""
    return _THOUSANDS.fullmatch(text) is not None


def plain_number(text: str) -> str | None:
    """The number in a text with separators of thousands or a unit: ``1.234,5``, ``1,234,567``, ``5.1 kW``.

    Returns:
        The number as zoo reads it; None if the text has another form, or two readings, as ``1,234``, or if
        zoo does not accept the number, as an infinite one.
    """
    number = _plain_number(text)
    return number if number is not None and abs(float(number)) <= MAX_NUMBER else None


def _plain_number(text: str) -> str | None:
    given, text = text, text.translate(_ASCII)
    if (currency := _CURRENCY.fullmatch(text)) is not None:
        text = currency[1] + currency[2]
    if text != given and is_number_text(text):
        return text.strip()
    if (grouped := _GROUPED.fullmatch(text)) is not None:
        digits, separator, decimals = grouped.groups()
        is_ambiguous = digits.count(separator) == 1 and separator in ",."
        if (decimals and decimals[0] != separator) or (not decimals and not is_ambiguous):
            return digits.replace(separator, "") + (decimals or "").replace(",", ".")
    with_unit = _WITH_UNIT.fullmatch(text)
    return None if with_unit is None or may_have_thousands(with_unit[1]) else with_point(with_unit[1])


def expected_value(kind: ColumnKind, text: str, example: str = "") -> str:
    """The expected value in an error about a text that is not of a kind: ``; expected a number``.

    Args:
        kind: The kind.
        text: The text.
        example: The end of the first sentence, such as ``, as in a.csv``.
    """
    if kind == "category":
        return f"; expected a text{example}"
    if kind == "number" and with_point(text) != text:
        point, plain = with_point(text).strip(), text.replace(",", "").strip()
        write = f"Write {point}"
        if may_have_thousands(text):
            write = f"Write {point} if the comma separates decimals, or {plain} if it separates thousands"
        return (
            f"; expected a number{example}. {write}. Decimal commas are read only in CSV with semicolons, if "
            f"no number of the file has a decimal point"
        )
    if kind == "time" and has_other_date_format(text):
        zone = ", with an offset such as +02:00 for a zone" if _ZONE.search(text) else ""
        return f", which looks like a date, but is not ISO 8601; write it as 2024-05-01 13:00{zone}{example}"
    if kind == "number" and (number := plain_number(text)) is not None:
        return f"; expected a number{example}. Write {number}"
    expected = "a number" if kind == "number" else "a time such as 2024-05-01 13:00"
    return f"; expected {expected}{example}"
