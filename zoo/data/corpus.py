"""``Corpus``, a text as tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_instance
from zoo.data.vocabulary import OnUnknown, Symbols, Vocabulary
from zoo.errors import DataError

TextLevel = Literal["char", "byte"]


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as tokens, with its vocabulary and digest.

    Attributes:
        name: Short name: a file's stem, a directory's name, ``stdin``, a built-in's name, or
            ``N files``.
        level: ``"char"`` or ``"byte"``.
        symbols: The symbols that occur, sorted: characters by code point, or byte values.
        tokens: `(N,)` int32; ``symbols[tokens[n]]`` is the n-th symbol of the text.
        sha256: Hexadecimal digest of the raw bytes, all files one after another (``cat FILES | sha256sum``).
        size: Number of raw bytes.
    """

    name: str
    level: TextLevel
    symbols: Symbols = field(repr=False)
    tokens: NDArray[np.int32] = field(repr=False)
    sha256: str
    size: int

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.tokens)

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of this text, which `tokens` index."""
        return Vocabulary(self.symbols)

    def tokens_in(self, vocabulary: Vocabulary, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:
        """The text as tokens of another vocabulary, such as a trained model's.

        Args:
            vocabulary: The other vocabulary.
            on_unknown: ``"error"``, or ``"skip"`` to leave out unknown symbols.

        Returns:
            `(N,)` int32, shorter than the text if symbols were left out.

        Raises:
            UsageError: If it is not a vocabulary.
            DataError: If the vocabulary has the other level, or lacks symbols of the text.
        """
        as_instance(vocabulary, "vocabulary", Vocabulary, "a zoo.data.Vocabulary")
        if (vocabulary.level == "byte") != (self.level == "byte"):
            raise DataError(
                f"{self.name} was read at level {self.level}, the vocabulary holds {vocabulary.level} "
                "symbols; read the text at the vocabulary's `level`."
            )
        table = vocabulary.find(self.symbols, on_unknown)
        translated = table[self.tokens]
        return translated[translated >= 0]
