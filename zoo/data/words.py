"""Words: split a text into words and back, and a vocabulary of words with a symbol for unknown ones."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_choice, as_elements, as_instance, short_repr
from zoo.data.vocabulary import Level, OnUnknown, Text, Vocabulary
from zoo.errors import DataError, UsageError

UNKNOWN_WORD = "<unk>"
"""The symbol of all words that a vocabulary lacks. The splitting never yields it: it has three words."""

_JOINERS = "\u200c\u200d"
"""Zero-width characters within words of Persian and of Indian scripts."""

_MARK_RANGES = (range(0x300, 0x1F000), range(0xE0100, 0xE01F0))
"""All combining marks of Unicode 16 are within. A search of all characters took 100 ms and not 13."""


@cache
def _word_pattern() -> re.Pattern[str]:
    """The pattern of a word. A combining mark is no letter for `re`, so it needs a set of them."""
    marks = "".join(
        chr(code) for codes in _MARK_RANGES for code in codes if unicodedata.category(chr(code))[0] == "M"
    )
    # `re` searches a set beyond U+FFFF from its beginning, so most text took eight times as long without the
    # comparison of a character with the first mark.
    is_mark = rf"(?=[\u0300-\U0010ffff])[{marks}{_JOINERS}]+"
    return re.compile(rf" ?\w+(?:{is_mark}\w*)*| ?[^\w\s]+|\s+(?!\S)|\s+")


def split_words(text: str) -> list[str]:
    """Split a text into words that give the text again when they are joined.

    A word is a run of letters, digits and underscores with their combining marks, or a run of punctuation,
    each with the space before it; or a run of other white space.

    >>> split_words("The cat,  the hat.")
    ['The', ' cat', ',', ' ', ' the', ' hat', '.']

    Args:
        text: The text.

    Raises:
        UsageError: if it is not a string.
    """
    return _word_pattern().findall(as_instance(text, "text", str, "a string"))


@dataclass(frozen=True, init=False, repr=False)
class WordVocabulary(Vocabulary):
    """A vocabulary of words, as `split_words` makes them; all other words become ``<unk>``, token 0.

    Attributes:
        symbols: ``"<unk>"``, then the words.

    Raises:
        DataError: if the first symbol is another one, or the symbols are not a vocabulary of strings.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        super().__init__(symbols)
        if self.symbols[0] != UNKNOWN_WORD:
            raise DataError(f"a vocabulary of words begins with {UNKNOWN_WORD!r}; found {self.symbols[0]!r}.")

    def __repr__(self) -> str:
        return f"WordVocabulary({len(self)} words)"

    def __reduce__(self) -> tuple[Any, ...]:
        return WordVocabulary, (self.symbols,)

    @cached_property
    def level(self) -> Level:
        """``"word"``."""
        return "word"

    def find(self, text: Text, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:
        """The token of every word.

        Args:
            text: A string, which is split by `split_words`, or a sequence of words.
            on_unknown: Unknown words become ``<unk>`` with ``"error"``, and -1 with ``"skip"``.

        Returns:
            `(N,)` int32.

        Raises:
            DataError: if the text is bytes.
            UsageError: if the text is neither, or `on_unknown` is unknown.
        """
        as_choice(on_unknown, "on_unknown", ("error", "skip"))
        if isinstance(text, (bytes, bytearray, memoryview)):
            raise DataError("the vocabulary holds words, found bytes; decode them first.")
        words = split_words(text) if isinstance(text, str) else as_elements(text, "text", "words")
        for word in words:
            if not isinstance(word, str):
                raise UsageError(f"text holds {short_repr(word)}; expected words, or one string.")
        unknown = 0 if on_unknown == "error" else -1
        return np.fromiter((self._token_of.get(word, unknown) for word in words), np.int32, len(words))


def count_words(words: Sequence[str], min_count: int = 1, max_vocab: int | None = None) -> WordVocabulary:
    """Make the vocabulary of a text: its words, the most frequent first, and ``<unk>``.

    Args:
        words: The words of the text.
        min_count: Rarer words are left out.
        max_vocab: Largest number of symbols, with ``<unk>``; None for no limit.

    Raises:
        DataError: if no word is left.
    """
    counts = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    kept = [word for word, count in counts if count >= min_count]
    symbols = [UNKNOWN_WORD, *kept[: None if max_vocab is None else max(0, max_vocab - 1)]]
    if len(symbols) < 2:
        raise DataError(
            f"no word of {len(counts):,} occurs {min_count:,} times; lower `min_count`, or give a longer "
            f"text."
        )
    return WordVocabulary(symbols)
