"""``Vocabulary``: symbols and their tokens; and ``Decoder``, from tokens to text one at a time."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.arguments import as_choice, as_elements, as_integer, short_repr
from zoo.arrays import as_array
from zoo.errors import DataError, UsageError

Symbol = str | int

Symbols = tuple[str, ...] | tuple[int, ...]

MAX_SYMBOLS = 1_114_112  # Unicode's code points; also the limit of a stored vocabulary

_MAX_LISTED = 10


@contextmanager
def name_text(name: str) -> Iterator[None]:
    """Begin errors of a vocabulary with the name of the text that it encodes."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def check_symbols(symbols: Sequence[object]) -> Symbols:
    """Convert symbols to plain Python strings or integers.

    Raises:
        DataError: if they are not a valid vocabulary.
    """
    if not 2 <= len(symbols) <= MAX_SYMBOLS:
        raise DataError(f"a vocabulary needs from 2 to {MAX_SYMBOLS} symbols; found {len(symbols)}.")
    plain = _plain(symbols)
    if len(set(plain)) < len(plain):
        raise DataError(
            f"a vocabulary holds a symbol once; found twice: {list_symbols(_repeated(plain))}; write "
            f"sorted(set(text)) for the symbols of a text."
        )
    return plain


def _plain(symbols: Sequence[object]) -> Symbols:
    if _all_strings(symbols):
        return tuple(_text(symbol) for symbol in symbols)
    if _all_integers(symbols):
        return tuple(_byte(symbol) for symbol in symbols)
    kinds = ", ".join(sorted({type(symbol).__name__ for symbol in symbols}))
    raise DataError(f"a vocabulary's symbols are all strings or all byte values; found {kinds}.")


def _all_strings(symbols: Sequence[object]) -> TypeGuard[Sequence[str]]:
    return all(isinstance(symbol, str) for symbol in symbols)


def _all_integers(symbols: Sequence[object]) -> TypeGuard[Sequence[int]]:
    return all(isinstance(symbol, (int, np.integer)) and not isinstance(symbol, bool) for symbol in symbols)


def _text(symbol: str) -> str:
    if not symbol:
        raise DataError("a vocabulary's symbol is one character or more; found an empty string.")
    try:
        symbol.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise DataError(f"{symbol!r} cannot be a symbol: a lone surrogate is not text.") from exc
    return str(symbol)  # numpy.str_ becomes str


def _byte(symbol: int) -> int:
    if not 0 <= symbol <= 255:
        raise DataError(f"an integer symbol is a byte value, 0 to 255; found {symbol}.")
    return int(symbol)  # numpy.uint8 becomes int


def _repeated(symbols: Symbols) -> list[Symbol]:
    seen: set[Symbol] = set()
    repeated: dict[Symbol, None] = {}
    for symbol in symbols:
        if symbol in seen:
            repeated[symbol] = None
        seen.add(symbol)
    return list(repeated)


def list_symbols(symbols: Iterable[object]) -> str:
    """List the different symbols for a message: at most ten, then the number of others."""
    different = list(dict.fromkeys(symbols))
    more = len(different) - _MAX_LISTED
    shown = ", ".join(_symbol_repr(symbol) for symbol in different[:_MAX_LISTED])
    return f"{shown} and {more} more" if more > 0 else shown


def _symbol_repr(symbol: object) -> str:
    return f"0x{symbol:02x}" if isinstance(symbol, (int, np.integer)) else repr(symbol)


def unknown_token(token: object, size: int) -> DataError:
    """The error for a token outside a vocabulary of `size` symbols."""
    return DataError(f"the tokens of this vocabulary are 0 to {size - 1}; found {token}.")


def utf8_sizes(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The bytes of UTF-8 of each code point, `(N,)`."""
    return 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)


_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Decoder:
    """Decode tokens one at a time; made by `Vocabulary.decoder`.

    Bytes are held back until their UTF-8 character is complete. All pieces joined, with the piece of `flush`,
    equal `Vocabulary.decode` of all tokens. The decoder of a tokenizer is a subclass.
    """

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._utf8 = _Utf8Decoder(errors="replace")

    def push(self, token: int) -> str:
        """Decode one token.

        Args:
            token: An integer in 0..V-1.

        Returns:
            The completed text; empty in the middle of a character.

        Raises:
            DataError: if the token is out of range.
        """
        if not 0 <= as_integer(token, "token") < len(self._symbols):
            raise unknown_token(token, len(self._symbols))
        symbol = self._symbols[token]
        return symbol if isinstance(symbol, str) else self._utf8.decode(bytes((symbol,)))

    def flush(self) -> str:
        """End the text: U+FFFD for an incomplete character, else nothing."""
        return self._utf8.decode(b"", final=True)


Level = Literal["char", "byte", "symbol", "word", "token", "tokenizer"]

OnUnknown = Literal["error", "skip"]

Text = str | bytes | Sequence[str] | Sequence[int]

_UNKNOWN = -1


@dataclass(frozen=True, init=False)
class Vocabulary:
    """An immutable, hashable sequence of symbols; a symbol's token is its index.

    The symbols are all strings, or all byte values. The level is ``"char"`` if all strings are one character
    long, ``"symbol"`` if any is longer (``"the "``, ``"<end>"``), and ``"byte"`` for integers 0..255.
    Examples: ``Vocabulary("helo")``, ``Vocabulary(["the ", "cat "])``, ``Vocabulary(range(256))``. The
    subclasses :class:`WordVocabulary`, :class:`TokenVocabulary` and :class:`TokenizerVocabulary` have levels
    of their own.

    Attributes:
        symbols: The symbols in order.

    Raises:
        DataError: if there are fewer than two symbols or more than 1,114,112, if a symbol occurs twice, is
            empty, is not text (a lone surrogate) or not a byte value, or if strings and integers are mixed.
    """

    symbols: Symbols

    def __init__(self, symbols: Iterable[str] | Iterable[int]) -> None:
        elements = as_elements(symbols, "vocabulary", "the symbols, as in 'abc' or range(256)")
        object.__setattr__(self, "symbols", check_symbols(elements))

    def __reduce__(self) -> tuple[Any, ...]:
        return Vocabulary, (self.symbols,)  # without the tables, of up to 4 MB

    def __len__(self) -> int:
        """Number of symbols, `V`."""
        return len(self.symbols)

    def __iter__(self) -> Iterator[Symbol]:
        """The symbols in the order of their tokens."""
        return iter(self.symbols)

    def __getitem__(self, token: int) -> Symbol:
        """The symbol of a token."""
        return self.symbols[token]

    @cached_property
    def level(self) -> Level:
        """``"char"``, ``"byte"`` or ``"symbol"``; ``"word"``, ``"token"``, ``"tokenizer"`` of a subclass."""
        lengths = {len(symbol) if isinstance(symbol, str) else 0 for symbol in self.symbols}
        return "byte" if lengths == {0} else "char" if lengths == {1} else "symbol"

    def encode(self, text: Text, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:
        """Convert text to tokens.

        Args:
            text: At level ``char`` or ``symbol`` a string, or a sequence of symbols; a string is split
                from left to right into the longest symbols that match. At level ``byte`` bytes, a string
                (taken as its UTF-8), or a sequence of byte values.
            on_unknown: ``"error"``, or ``"skip"`` to leave out unknown symbols.

        Returns:
            `(N,)` int32.

        Raises:
            DataError: if symbols are unknown (at most ten are listed), or if the text is bytes but the
                vocabulary holds strings.
            UsageError: if `on_unknown` is neither, or the text is none of these.
        """
        tokens = self.find(text, on_unknown)
        return tokens.compress(tokens != _UNKNOWN)

    def find(self, text: Text, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:
        """As `encode`, but with ``"skip"`` an unknown symbol becomes the token -1.

        Args:
            text: See `encode`.
            on_unknown: ``"error"``, or ``"skip"``.

        Returns:
            `(N,)` int32, one for each symbol of the text.

        Raises:
            DataError: See `encode`.
            UsageError: See `encode`.
        """
        as_choice(on_unknown, "on_unknown", ("error", "skip"))
        text = self._at_level(text if isinstance(text, (str, bytes)) else _as_symbols(text))
        tokens = self._lookup(text)
        unknown = np.flatnonzero(tokens == _UNKNOWN)
        if unknown.size and on_unknown == "error":
            names = list_symbols(text[index] for index in unknown.tolist())
            raise DataError(
                f"not among the {len(self)} symbols of the vocabulary: {names}; "
                "leave them out of the text, or skip them with `on_unknown='skip'`."
            )
        return tokens

    def decode(self, tokens: ArrayLike) -> str:
        """Convert tokens to text.

        Args:
            tokens: `(N,)` integers in 0..V-1.

        Returns:
            The symbols, joined with nothing between them. Bytes are decoded as UTF-8, with U+FFFD for
            invalid ones; `decoder` does the same piece by piece.

        Raises:
            DataError: if a token is out of range.
            UsageError: if the tokens are not a one-dimensional sequence of integers.
        """
        indices = self._valid(as_array(tokens, "tokens"))
        if self.level == "byte":
            return self._codes[indices].astype(np.uint8).tobytes().decode("utf-8", "replace")
        if self.level == "char":
            return self._codes[indices].tobytes().decode("utf-32-le")
        return "".join(str(self.symbols[index]) for index in indices)

    def decoder(self) -> Decoder:
        """A new incremental decoder, to print tokens one by one."""
        return Decoder(self.symbols)

    def symbol_bytes(self, token: int) -> bytes:
        """The bytes of a symbol, a string as UTF-8."""
        symbol = self.symbols[token]
        return symbol.encode("utf-8") if isinstance(symbol, str) else bytes([symbol])

    def to_json(self) -> dict[str, object]:
        """As plain JSON values, for `from_json`."""
        return {"level": self.level, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, obj: object) -> Vocabulary:
        """Make a vocabulary of characters, bytes or symbols from the result of `to_json`.

        `vocabulary_from_json` makes any vocabulary.

        Raises:
            DataError: if `obj` is anything else.
        """
        if not isinstance(obj, dict) or set(obj) != {"level", "symbols"}:
            raise DataError(f"a stored vocabulary is an object of 'level' and 'symbols'; found {_kind(obj)}.")
        level, symbols = obj["level"], obj["symbols"]
        if not isinstance(symbols, list):
            raise DataError(f"a stored vocabulary's symbols are a list; found {_kind(symbols)}.")
        vocabulary = cls(symbols)
        if level != vocabulary.level:
            raise DataError(
                f"a stored vocabulary says level {level!r}; its symbols say {vocabulary.level!r}."
            )
        return vocabulary

    def _at_level(self, text: Text) -> Text:
        if self.level == "byte":
            return _utf8(text) if isinstance(text, str) else text
        if isinstance(text, bytes):
            kind = "characters" if self.level == "char" else "strings"
            raise DataError(f"the vocabulary holds {kind}, found bytes; decode them first.")
        return self._split_longest(text) if self.level == "symbol" and isinstance(text, str) else text

    def _split_longest(self, text: str) -> list[str]:
        """Split a text into symbols: from left to right the longest that matches, or else a character."""
        sizes = sorted({len(str(symbol)) for symbol in self.symbols} | {1}, reverse=True)
        symbols, start = list[str](), 0
        while start < len(text):
            candidates = (text[start : start + size] for size in sizes)
            symbols.append(next((each for each in candidates if each in self._token_of), text[start]))
            start += len(symbols[-1])
        return symbols

    def _lookup(self, text: Text) -> NDArray[np.int32]:
        if isinstance(text, bytes):
            return self._table.take(np.frombuffer(text, np.uint8))
        if isinstance(text, str) and self.level == "char":
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
            return self._table.take(codes)
        tokens = (self._token_of.get(symbol, _UNKNOWN) for symbol in text)
        return np.fromiter(tokens, np.int32, len(text))

    @cached_property
    def _token_of(self) -> dict[Symbol, int]:
        symbols: tuple[Symbol, ...] = self.symbols
        return {symbol: token for token, symbol in enumerate(symbols)}

    @cached_property
    def _codes(self) -> NDArray[np.uint32]:
        """`(V,)`, the code point of each one-character symbol, or each byte."""
        return np.array([ord(s) if isinstance(s, str) else s for s in self.symbols], "<u4")

    @cached_property
    def _table(self) -> NDArray[np.int32]:
        """The token of every code point or byte."""
        table = np.full(256 if self.level == "byte" else 0x110000, _UNKNOWN, np.int32)
        table[self._codes] = np.arange(len(self), dtype=np.int32)
        return table

    def _valid(self, tokens: NDArray[Any]) -> NDArray[np.intp]:
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise UsageError(
                f"tokens are a one-dimensional sequence of integers; found {tokens.dtype} {tokens.shape}."
            )
        wrong = tokens[(tokens < 0) | (tokens >= len(self))]
        if wrong.size:
            raise unknown_token(wrong[0], len(self))
        return tokens.astype(np.intp)


def _as_symbols(text: Any) -> Text:
    if isinstance(text, (bytearray, memoryview)):
        return bytes(text)
    symbols = as_elements(text, "text", "a string, bytes, or a sequence of symbols")
    for symbol in symbols:
        if not isinstance(symbol, (str, int, np.integer)):
            raise UsageError(f"text holds {short_repr(symbol)}; expected strings, or byte values.")
    return symbols


def _utf8(text: str) -> bytes:
    """A string's bytes; bytes that a command line could not decode (PEP 383) come back as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as exc:
        raise DataError(f"{text[exc.start]!r} is a lone surrogate, not text; leave it out.") from exc


def _kind(obj: object) -> str:
    return f"keys {sorted(map(str, obj))}" if isinstance(obj, dict) else type(obj).__name__
