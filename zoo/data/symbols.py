"""What may be a symbol, and how one is shown in a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard

import numpy as np

from zoo.errors import DataError

Symbol = str | int
Symbols = tuple[str, ...] | tuple[int, ...]

MAX_SYMBOLS = 1_114_112  # Unicode's code points; also what bounds a stored vocabulary
_MAX_LISTED = 10


def checked(symbols: Sequence[object]) -> Symbols:
    """The symbols as plain Python strings or integers, in the order given.

    Raises:
        DataError: If they cannot be a vocabulary.
    """
    if not 2 <= len(symbols) <= MAX_SYMBOLS:
        raise DataError(f"A vocabulary needs from 2 to {MAX_SYMBOLS} symbols; found {len(symbols)}.")
    plain = _plain(symbols)
    if len(set(plain)) < len(plain):
        raise DataError(f"A vocabulary holds a symbol once; found twice: {listed(_repeated(plain))}.")
    return plain


def _plain(symbols: Sequence[object]) -> Symbols:
    if _all_strings(symbols):
        return tuple(_text(symbol) for symbol in symbols)
    if _all_integers(symbols):
        return tuple(_byte(symbol) for symbol in symbols)
    kinds = ", ".join(sorted({type(symbol).__name__ for symbol in symbols}))
    raise DataError(f"A vocabulary's symbols are all strings or all byte values; found {kinds}.")


def _all_strings(symbols: Sequence[object]) -> TypeGuard[Sequence[str]]:
    return all(isinstance(symbol, str) for symbol in symbols)


def _all_integers(symbols: Sequence[object]) -> TypeGuard[Sequence[int]]:
    return all(isinstance(symbol, (int, np.integer)) and not isinstance(symbol, bool) for symbol in symbols)


def _text(symbol: str) -> str:
    if not symbol:
        raise DataError("A vocabulary's symbol is one character or more; found an empty string.")
    try:
        symbol.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise DataError(f"{symbol!r} cannot be a symbol: a lone surrogate is not text.") from exc
    return str(symbol)  # numpy.str_ becomes str


def _byte(symbol: int) -> int:
    if not 0 <= symbol <= 255:
        raise DataError(f"An integer symbol is a byte value, 0 to 255; found {symbol}.")
    return int(symbol)  # numpy.uint8 becomes int


def _repeated(symbols: Symbols) -> list[Symbol]:
    seen: set[Symbol] = set()
    repeated: dict[Symbol, None] = {}
    for symbol in symbols:
        if symbol in seen:
            repeated[symbol] = None
        seen.add(symbol)
    return list(repeated)


def listed(symbols: Iterable[object]) -> str:
    """Different symbols for a message, in order of appearance: at most ten, then how many more."""
    different = list(dict.fromkeys(symbols))
    more = len(different) - _MAX_LISTED
    shown = ", ".join(_shown(symbol) for symbol in different[:_MAX_LISTED])
    return f"{shown} and {more} more" if more > 0 else shown


def _shown(symbol: object) -> str:
    return f"0x{symbol:02x}" if isinstance(symbol, (int, np.integer)) else repr(symbol)


def unknown_token(token: object, size: int) -> DataError:
    """The error for a token that is no place in a vocabulary of `size` symbols."""
    return DataError(f"The tokens of this vocabulary are 0 to {size - 1}; found {token}.")
