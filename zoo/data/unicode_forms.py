"""Texts in which a character has two forms: composed, and as a letter with a combining mark."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.corpus import Corpus

if TYPE_CHECKING:
    from collections.abc import Sequence


def unicode_note(corpus: Corpus) -> str:
    """A sentence on a text with composed and decomposed forms (NFC and NFD) of a character or a word.

    Both forms look the same, and are different symbols of the vocabulary. Bytes and numbers have no forms.

    Args:
        corpus: The text.

    Returns:
        The sentence; empty if each character has one form.
    """
    if corpus.vocabulary.level == "char":
        example = _mixed_character(corpus)
    elif corpus.vocabulary.level == "word":
        example = _mixed_word(corpus.vocabulary.symbols)
    else:
        example = ""
    if not example:
        return ""
    return (
        f"the text has {example!r} in two forms, composed and with a combining mark, which are different "
        f"symbols; write the text in one form, such as unicodedata.normalize('NFC', text)"
    )


def _mixed_character(corpus: Corpus) -> str:
    """A composed character of a text that also has its letter and its mark; empty if there is none."""
    symbols = [str(symbol) for symbol in corpus.vocabulary.symbols]
    index = {symbol: number for number, symbol in enumerate(symbols)}
    composed = dict[tuple[int, int], str]()
    for symbol in symbols:
        parts = unicodedata.normalize("NFD", symbol) if len(symbol) == 1 else ""
        if len(parts) > 1 and parts[0] in index and parts[1] in index:
            composed.setdefault((index[parts[0]], index[parts[1]]), symbol)
    marks = np.array(sorted({mark for _, mark in composed}), np.int64)
    if not len(marks):
        return ""
    before = np.flatnonzero(np.isin(corpus.tokens[1:], marks))
    pairs = np.unique(np.stack([corpus.tokens[before], corpus.tokens[before + 1]], axis=1), axis=0)
    return next((composed[pair] for pair in map(tuple, pairs.tolist()) if pair in composed), "")


def _mixed_word(symbols: Sequence[object]) -> str:
    """A word that the vocabulary has in two forms; empty if there is none."""
    seen = set[str]()
    for symbol in symbols:
        form = unicodedata.normalize("NFC", str(symbol))
        if form in seen:
            return form.strip()
        seen.add(form)
    return ""
