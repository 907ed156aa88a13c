"""Numbers as people read them."""

from __future__ import annotations

_PREFIXES = ("", "k", "M", "G", "T")


def size(number: int) -> str:
    """Bytes: ``12.9 MB``, ``950 B``."""
    digits, prefix = _scaled(number)
    return f"{digits} {prefix}B"


def short(number: float) -> str:
    """Three digits and a letter: ``124k``, ``1.23M``, ``950``."""
    return "".join(_scaled(number))


def _scaled(number: float) -> tuple[str, str]:
    power = 0
    while number >= 999.5 and power < len(_PREFIXES) - 1:
        number, power = number / 1000, power + 1
    whole = power == 0 and number == int(number)
    decimals = 0 if whole or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{decimals}f}", _PREFIXES[power]


def clock(seconds: float) -> str:
    """A duration: ``0:41``, ``2:05:09``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """A duration in a sentence: ``4.2 s``, ``2:05 min``, ``2:05:09 h``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{clock(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"
