"""``Corpus``, a text as tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_instance
from zoo.data.vocabulary import OnUnknown, Symbols, Vocabulary, name_text
from zoo.errors import DataError

TextLevel = Literal["char", "byte", "word", "token", "tokenizer"]

CODE_LEVELS = ("char", "byte")
"""Levels whose symbols are code points or bytes."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as tokens, with its vocabulary and digest.

    Attributes:
        name: Short name: a file's stem, a directory's name, ``stdin``, a built-in's name, or
            ``N files``.
        level: ``"char"``, ``"byte"``, ``"word"``, ``"tokenizer"``, or ``"token"`` for numbers without a text.
        symbols: The symbols that occur, sorted: characters by code point, or byte values. Of the other levels
            the symbols of the vocabulary. A corpus of your own may have any strings.
        tokens: `(N,)` integers, int32 except for mapped files; ``symbols[tokens[n]]`` is the n-th symbol.
        sha256: Hexadecimal digest of the raw bytes, all files one after another (``cat FILES | sha256sum``).
        size: Number of raw bytes.
        own_vocabulary: The vocabulary, if it is more than its symbols.
        token_bytes: `(N,)`, the bytes of the text that each token covers; None if the symbols determine them.
        skipped: Number of unknown symbols that were left out.
    """

    name: str
    level: TextLevel
    symbols: Symbols = field(repr=False)
    tokens: NDArray[np.int32] = field(repr=False)
    sha256: str
    size: int
    own_vocabulary: Vocabulary | None = field(default=None, repr=False)
    token_bytes: NDArray[np.uint32] | None = field(default=None, repr=False)
    skipped: int = 0

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of this text, which `tokens` index."""
        return Vocabulary(self.symbols) if self.own_vocabulary is None else self.own_vocabulary

    def byte_sizes(self) -> NDArray[np.uint32] | None:
        """The bytes of the text that each token covers, `(N,)`; None if the tokens have no text."""
        if self.level == "token":
            return None
        return byte_sizes(self.vocabulary, self.tokens) if self.token_bytes is None else self.token_bytes

    def tokens_in(self, vocabulary: Vocabulary, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:
        """The text as tokens of another vocabulary, such as a trained model's.

        Args:
            vocabulary: The other vocabulary.
            on_unknown: ``"error"``, or ``"skip"`` to leave out unknown symbols.

        Returns:
            `(N,)` int32, shorter than the text if symbols were left out.

        Raises:
            UsageError: if it is not a vocabulary.
            DataError: if the vocabulary has the other level, or lacks symbols of the text.
        """
        as_instance(vocabulary, "vocabulary", Vocabulary, "a zoo.data.Vocabulary")
        if vocabulary == self.vocabulary:
            return self.tokens
        if (vocabulary.level == "byte") != (self.level == "byte"):
            raise DataError(
                f"{self.name} was read at level {self.level}, the vocabulary holds {vocabulary.level} "
                "symbols; read the text at the vocabulary's `level`."
            )
        with name_text(self.name):
            table = vocabulary.find(self.symbols, on_unknown)
        translated = table[self.tokens]
        return translated[translated >= 0]


def byte_sizes(vocabulary: Vocabulary, tokens: NDArray[np.int32]) -> NDArray[np.uint32]:
    """The bytes of the symbol of each token, `(N,)`."""
    sizes = [len(vocabulary.symbol_bytes(token)) for token in range(len(vocabulary))]
    return np.array(sizes, np.uint32)[tokens]
