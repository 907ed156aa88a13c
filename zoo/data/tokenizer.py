"""Tokenizers of the package ``tokenizers``: load one, train a byte-level BPE, and use one as a vocabulary."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.arguments import as_elements, as_integer, as_path, short_repr
from zoo.arrays import as_array
from zoo.data.vocabulary import Decoder, Level, OnUnknown, Text, Vocabulary, unknown_token, utf8_sizes
from zoo.errors import DataError, UsageError
from zoo.installation import install_hint

MAX_TOKENIZER_BYTES = 8 * 2**20
"""Largest tokenizer file: a checkpoint holds it in its header, of at most 16 MiB."""

MIN_BPE_VOCABULARY = 257
"""A byte-level BPE has a symbol for each byte, and at least one merged pair."""


def tokenizers_package() -> Any:
    """The package ``tokenizers``.

    Raises:
        DataError: if it is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise DataError(
            f"a tokenizer needs the package tokenizers, which is not installed; {install_hint('tokenizers')}"
        ) from None
    return tokenizers


@dataclass(frozen=True, init=False, repr=False)
class TokenizerVocabulary(Vocabulary):
    """The vocabulary of a tokenizer, which also splits texts and joins tokens.

    The tokenizer is stored with a model, so its file is needed for training only.

    Args:
        text: The content of a ``tokenizer.json``.
        source: Its name, for messages.

    Attributes:
        symbols: The text of each token alone. The text of several may differ: a character may take several.
        text: The tokenizer as JSON, in the form of the package.
        tokenizer: The ``tokenizers.Tokenizer``.

    Raises:
        DataError: if the package is not installed, or the text is not a tokenizer.
    """

    text: str
    tokenizer: Any = field(compare=False)

    def __init__(self, text: str, source: str = "the tokenizer") -> None:
        package = tokenizers_package()
        try:
            tokenizer = package.Tokenizer.from_str(text)
        except Exception as error:  # the package raises Exception itself
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{source} is not a tokenizer ({reason}); make one with `zoo tokenize`, or give the "
                f"tokenizer.json of a model."
            ) from None
        tokenizer.no_padding()
        tokenizer.no_truncation()
        size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        if size < 2:
            raise DataError(f"{source} has {size} tokens; a model needs at least two.")
        symbols = tuple(tokenizer.decode([token], skip_special_tokens=False) for token in range(size))
        object.__setattr__(self, "symbols", symbols)
        object.__setattr__(self, "text", tokenizer.to_str())
        object.__setattr__(self, "tokenizer", tokenizer)

    def __repr__(self) -> str:
        return f"TokenizerVocabulary({len(self)} tokens)"

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenizerVocabulary, (self.text,)

    @cached_property
    def level(self) -> Level:
        """``"tokenizer"``."""
        return "tokenizer"

    def find(self, text: Text, on_unknown: OnUnknown = "error") -> NDArray[np.int32]:  # noqa: ARG002
        """The tokens of a text; see `encode_with_bytes`. The tokenizer decides what is unknown."""
        return self.encode_with_bytes(text)[0]

    def encode_with_bytes(self, text: Text) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
        """The tokens of a text, and the bytes of UTF-8 that each token covers.

        Args:
            text: A string; a sequence of strings is joined.

        Returns:
            `(N,)` int32 and `(N,)` uint32, which sums to the bytes up to the end of the last token.

        Raises:
            DataError: if the text is bytes.
            UsageError: if it is not a text.
        """
        whole = _as_string(text)
        encoding = self.tokenizer.encode(whole, add_special_tokens=False)
        tokens = np.array(encoding.ids, np.int32)
        ends = np.fromiter((end for _, end in encoding.offsets), np.int64, len(tokens))
        codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), "<u4")
        before = np.concatenate([[0], np.cumsum(utf8_sizes(codes))])
        covered = np.maximum.accumulate(before[ends]) if tokens.size else np.zeros(0, np.int64)
        return tokens, np.diff(covered, prepend=0).astype(np.uint32)

    def decode(self, tokens: ArrayLike) -> str:
        """Convert tokens `(N,)` to text; see `Vocabulary.decode`."""
        indices = self._valid(as_array(tokens, "tokens"))
        text: str = self.tokenizer.decode(indices.tolist(), skip_special_tokens=False)
        return text

    def decoder(self) -> Decoder:
        """A new incremental decoder, to print tokens one by one."""
        return _TokenizerDecoder(self)

    def symbol_bytes(self, token: int) -> bytes:
        """The bytes of a token; of a byte-level tokenizer exactly, else of its text alone."""
        name = self.tokenizer.id_to_token(token)
        if self._is_byte_level and name and all(letter in _byte_of_letter() for letter in name):
            return bytes(_byte_of_letter()[letter] for letter in name)
        return str(self.symbols[token]).encode("utf-8")

    def to_json(self) -> dict[str, object]:
        """As plain JSON values, for `vocabulary_from_json`."""
        return {"level": self.level, "tokenizer": json.loads(self.text)}

    @cached_property
    def _is_byte_level(self) -> bool:
        decoder = json.loads(self.text).get("decoder")
        return isinstance(decoder, dict) and decoder.get("type") == "ByteLevel"


class _TokenizerDecoder(Decoder):
    """Decode the tokens of a tokenizer one at a time."""

    def __init__(self, vocabulary: TokenizerVocabulary) -> None:
        super().__init__(vocabulary.symbols)
        self._vocabulary = vocabulary
        self._stream = tokenizers_package().decoders.DecodeStream(skip_special_tokens=False)
        self._tokens, self._written = list[int](), 0

    def push(self, token: int) -> str:
        if not 0 <= as_integer(token, "token") < len(self._symbols):
            raise unknown_token(token, len(self._symbols))
        self._tokens.append(int(token))
        piece = self._stream.step(self._vocabulary.tokenizer, int(token)) or ""
        self._written += len(piece)
        return str(piece)

    def flush(self) -> str:
        return self._vocabulary.decode(self._tokens)[self._written :] if self._tokens else ""


def load_tokenizer(path: str | os.PathLike[str]) -> TokenizerVocabulary:
    """Read the vocabulary of a tokenizer file.

    Args:
        path: A ``tokenizer.json``, as `zoo tokenize` and the package ``tokenizers`` write it.

    Raises:
        DataError: if it cannot be read, or is not a tokenizer.
        UsageError: if it is not a path.
    """
    path = as_path(path, "tokenizer")
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such tokenizer file; make one with `zoo tokenize`.")
        if path.stat().st_size > MAX_TOKENIZER_BYTES:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes; expected a tokenizer of at most "
                f"{MAX_TOKENIZER_BYTES:,}, which fits into a checkpoint."
            )
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is not a tokenizer (it is not UTF-8); make one with `zoo tokenize`."
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}.") from error
    return TokenizerVocabulary(text, str(path))


def train_bpe(texts: Iterable[str], vocab_size: int) -> TokenizerVocabulary:
    """Train a byte-level BPE: every text has tokens, and its tokens give the text again.

    Args:
        texts: The texts.
        vocab_size: Number of symbols: the 256 bytes, and merged pairs. A short text gives fewer.

    Raises:
        UsageError: if the size is not an integer of at least 257.
        DataError: if the package is not installed.
    """
    size = as_integer(vocab_size, "vocab_size", MIN_BPE_VOCABULARY)
    package = tokenizers_package()
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return TokenizerVocabulary(tokenizer.to_str())


def _as_string(text: Text) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, (bytes, bytearray, memoryview)):
        raise DataError("a tokenizer splits strings, found bytes; decode them first.")
    parts: Sequence[Any] = as_elements(text, "text", "a string")
    for part in parts:
        if not isinstance(part, str):
            raise UsageError(f"text holds {short_repr(part)}; expected strings.")
    return "".join(parts)


_BYTES: dict[str, int] = {}


def _byte_of_letter() -> dict[str, int]:
    """The byte of each letter in the tokens of a byte-level tokenizer: a printable one is itself."""
    if not _BYTES:
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        _BYTES.update({chr(byte): byte for byte in printable})
        _BYTES.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return _BYTES
