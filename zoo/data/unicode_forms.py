"""Texts in which a character has two forms, such as composed, and as a letter with a combining mark."""

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
        f"the text has {example!r} in two forms, which look the same and are different symbols; write the "
        f"text in one form, such as unicodedata.normalize('NFC', text)"
    )


def _mixed_character(corpus: Corpus) -> str:
    """A character that a text has in two forms, composed; empty if there is none.

    A character is a symbol with the combining marks, or the Hangul vowels and finals, after it. Two forms are
    different characters with the same full decomposition (NFD), such as U+212B and U+00C5.
    """
    symbols = [str(symbol) for symbol in corpus.vocabulary.symbols]
    decomposed = [unicodedata.normalize("NFD", symbol) for symbol in symbols]
    if decomposed == symbols:  # then no character has another form
        return ""
    marks = {mark for form in decomposed for mark in form[1:]}
    is_mark = np.array(
        [symbol in marks or unicodedata.category(symbol[:1] or " ")[0] == "M" for symbol in symbols]
    )
    if not is_mark.any() and len(set(decomposed)) == len(symbols):
        return ""
    is_start = ~is_mark[corpus.tokens]
    is_start[:1] = True
    starts = np.flatnonzero(is_start)
    sizes = np.diff(starts, append=len(corpus.tokens))
    seen = dict[str, str]()
    for size in np.unique(sizes).tolist():
        first = starts[sizes == size]
        keys = corpus.tokens[first].astype(np.int64)
        for offset in range(1, size):  # np.unique of rows is slower
            keys = np.unique(keys, return_inverse=True)[1] * len(symbols) + corpus.tokens[first + offset]
        for start in first[np.unique(keys, return_index=True)[1]].tolist():
            character = "".join(symbols[code] for code in corpus.tokens[start : start + size])
            form = unicodedata.normalize("NFD", character)
            if seen.setdefault(form, character) != character:
                return unicodedata.normalize("NFC", character)
    return ""


def _mixed_word(symbols: Sequence[object]) -> str:
    """A word that the vocabulary has in two forms; empty if there is none."""
    seen = set[str]()
    for symbol in symbols:
        form = unicodedata.normalize("NFC", str(symbol))
        if form in seen:
            return form.strip()
        seen.add(form)
    return ""
