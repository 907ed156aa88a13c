"""Files of token numbers, ``.npy`` and ``.bin``, and the vocabulary of tokens that have no text."""

from __future__ import annotations

import hashlib
import operator
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_choice, as_elements, as_integer, short_repr
from zoo.data.vocabulary import MAX_SYMBOLS, Level, OnUnknown, Text, Vocabulary, unknown_token
from zoo.errors import DataError, UsageError

TOKEN_DTYPES = ("uint8", "uint16", "uint32", "int32", "int64")
"""Types of the numbers in a file of tokens; a ``.bin`` file is little-endian."""

DEFAULT_BIN_DTYPE = "uint16"

_SUFFIXES = (".npy", ".bin")

_BLOCK = 2**24
"""Tokens that are checked at once: a file may be larger than the memory."""


@dataclass(frozen=True, init=False, repr=False)
class TokenVocabulary(Vocabulary):
    """A vocabulary of tokens that are numbers only; as text they are decimal numbers with a space.

    >>> TokenVocabulary(100).decode([7, 42])
    '7 42 '

    Args:
        size: `V`; the tokens are 0 to V - 1.

    Raises:
        DataError: if there are fewer than two tokens, or more than 1,114,112.
        UsageError: if the size is not an integer.
    """

    def __init__(self, size: int) -> None:
        number = as_integer(size, "vocab_size")
        if not 2 <= number <= MAX_SYMBOLS:
            raise DataError(f"a vocabulary needs from 2 to {MAX_SYMBOLS} symbols; found {number}.")
        object.__setattr__(self, "symbols", tuple(f"{token} " for token in range(number)))

    def __repr__(self) -> str:
        return f"TokenVocabulary({len(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenVocabulary, (len(self),)

    @cached_property
    def level(self) -> Level:
        """``"token"``."""
        return "token"

    def find(self, text: Text, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:
        """The tokens in a text of decimal numbers, or in a sequence of integers.

        Args:
            text: The numbers, separated by white space.
            on_unknown: ``"error"``, or ``"skip"`` to give -1 for a number outside of the vocabulary.

        Returns:
            `(N,)` int32.

        Raises:
            DataError: if something is not a number, or is outside of the vocabulary.
            UsageError: if the text is neither, or `on_unknown` is unknown.
        """
        as_choice(on_unknown, "on_unknown", ("error", "skip"))
        words: Sequence[Any] = (
            text.split()
            if isinstance(text, (str, bytes))
            else as_elements(text, "text", "numbers, or a text of numbers")
        )
        tokens = np.fromiter((self._token(word) for word in words), np.int32, len(words))
        if on_unknown == "error" and (tokens < 0).any():
            raise unknown_token(words[int(np.argmin(tokens))], len(self))
        return tokens

    def to_json(self) -> dict[str, object]:
        """As plain JSON values, for `vocabulary_from_json`."""
        return {"level": self.level, "size": len(self)}

    def _token(self, word: Any) -> int:
        try:
            number = int(word) if isinstance(word, (str, bytes)) else operator.index(word)
        except (TypeError, ValueError):
            raise DataError(
                f"{short_repr(word)} is not a token; the vocabulary has no text, so write numbers from 0 to "
                f"{len(self) - 1}, such as '7 42'."
            ) from None
        return number if 0 <= number < len(self) else -1


def read_token_file(path: Path, dtype: str | None = None) -> NDArray[Any]:
    """Map the tokens of a file into memory, `(N,)` integers.

    Args:
        path: A ``.npy`` file, or a ``.bin`` file of plain numbers.
        dtype: Type of the numbers of a ``.bin`` file; None for uint16.

    Raises:
        DataError: if the file is empty, or does not hold a vector of such integers.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(
            f"{str(path)!r} is not a file of tokens; expected a name that ends in .npy or .bin, or leave out "
            f"`level='token'`."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{str(path)!r} is empty; expected at least two tokens.")
    tokens = _map_npy(path) if path.suffix.lower() == ".npy" else _map_bin(path, dtype)
    if tokens.ndim != 1 or tokens.dtype.name not in TOKEN_DTYPES:
        raise DataError(
            f"{str(path)!r} holds {tokens.dtype.name}{tokens.shape}; expected tokens, one vector of "
            f"{', '.join(TOKEN_DTYPES)}."
        )
    if len(tokens) < 2:
        raise DataError(f"{str(path)!r} holds {len(tokens)} token; expected at least two.")
    return tokens


def check_tokens(tokens: NDArray[Any], name: str, vocab_size: int | None) -> tuple[int, str]:
    """Check the range of tokens block by block; the size of their vocabulary and their digest.

    Args:
        tokens: `(N,)` integers.
        name: Their source, for messages.
        vocab_size: `V`; None for the largest token plus one.

    Raises:
        DataError: if a token is negative, or not below the size.
    """
    digest, lowest, highest = hashlib.sha256(), 0, 0
    for start in range(0, len(tokens), _BLOCK):
        block = tokens[start : start + _BLOCK]
        digest.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data)
        lowest, highest = min(lowest, int(block.min())), max(highest, int(block.max()))
    if lowest < 0:
        raise DataError(f"{name} holds the token {lowest}; expected tokens from 0 on.")
    if vocab_size is None and highest >= MAX_SYMBOLS:
        raise DataError(
            f"{name} holds the token {highest:,}, and the largest vocabulary has {MAX_SYMBOLS:,}; give the "
            f"type of its numbers with `token_dtype`, or another file."
        )
    if vocab_size is not None and highest >= vocab_size:
        raise DataError(
            f"{name} holds the token {highest}, and `vocab_size` is {vocab_size}; expected at least "
            f"{highest + 1}, or another file."
        )
    return (max(2, highest + 1) if vocab_size is None else vocab_size), digest.hexdigest()


def _map_npy(path: Path) -> NDArray[Any]:
    try:
        tokens: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, tokenize.TokenError, SyntaxError):
        raise DataError(f"{str(path)!r} is not a .npy file of numbers; write it with numpy.save.") from None
    if not isinstance(tokens, np.ndarray):
        raise DataError(f"{str(path)!r} holds several arrays; expected a .npy file with one vector.")
    return tokens


def _map_bin(path: Path, dtype: str | None) -> NDArray[Any]:
    kind = np.dtype(check_token_dtype(dtype) or DEFAULT_BIN_DTYPE).newbyteorder("<")
    size = path.stat().st_size
    if size % kind.itemsize:
        raise DataError(
            f"{str(path)!r} has {size:,} bytes, which are no whole number of {kind.name}; give the type of "
            f"its numbers with `token_dtype`."
        )
    return np.memmap(path, kind, "r")


def check_token_dtype(dtype: Any) -> str | None:
    """Check the name of the type of tokens.

    Raises:
        UsageError: if it is unknown.
    """
    if dtype is not None and dtype not in TOKEN_DTYPES:
        raise UsageError(f"token_dtype is {short_repr(dtype)}; expected one of {', '.join(TOKEN_DTYPES)}.")
    return dtype  # type: ignore[no-any-return]
