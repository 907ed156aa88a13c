"""Words: the splitting is reversible, unknown words have one token, and limits of a vocabulary hold."""

from __future__ import annotations

import pickle
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data import WordVocabulary, read_text, split_words, vocabulary_from_json
from zoo.errors import DataError, UsageError

TEXT = "the cat sat on the mat. the dog sat.\n"


def corpus_of(tmp_path, text=TEXT, **options):
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return read_text(path, level="word", **options)


@given(st.text())
def test_words_joined_give_the_text(text):
    words = split_words(text)
    assert "".join(words) == text
    assert all(words)
    assert "<unk>" not in words


def test_words_have_the_space_before_them():
    assert split_words("The cat,  the hat.") == ["The", " cat", ",", " ", " the", " hat", "."]


LETTERS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
MARKS = st.text(st.characters(categories=["M"]) | st.sampled_from("\u200c\u200d"), max_size=3)


@given(st.lists(st.lists(st.tuples(LETTERS, MARKS), min_size=1, max_size=4), min_size=1, max_size=5))
def test_combining_marks_belong_to_their_word(words):
    """Such as vowel signs of Devanagari, and the diaeresis of a decomposed umlaut."""
    texts = ["".join(letters + marks for letters, marks in word) for word in words]
    spaced = [texts[0], *(f" {text}" for text in texts[1:])]
    assert split_words("".join(spaced) + ".") == [*spaced, "."]


@given(st.text(st.characters(categories=["L", "M", "N", "P", "Zs"])))
def test_words_do_not_depend_on_the_normal_form_of_marks(text):
    """A composed text has as many words as the decomposed one, if both forms have the same letters."""
    composed = unicodedata.normalize("NFC", text)
    decomposed = unicodedata.normalize("NFD", composed)
    joined = [unicodedata.normalize("NFC", word) for word in split_words(decomposed)]
    assert joined == split_words(composed)


def test_corpus_of_words(tmp_path):
    corpus = corpus_of(tmp_path)
    assert corpus.level == corpus.vocabulary.level == "word"
    assert corpus.symbols[0] == "<unk>"
    assert corpus.symbols[1:4] == (" sat", " the", ".")  # the most frequent first
    assert corpus.vocabulary.decode(corpus.tokens) == TEXT
    assert corpus.byte_sizes().sum() == corpus.size == len(TEXT)


def test_rare_words_become_unknown(tmp_path):
    corpus = corpus_of(tmp_path, min_count=2)
    assert set(corpus.symbols) == {"<unk>", " the", " sat", "."}
    unknown = corpus.tokens == 0
    assert unknown.sum() == 6
    assert corpus.byte_sizes().sum() == len(TEXT)  # an unknown word keeps its bytes


def test_vocabulary_has_a_largest_size(tmp_path):
    assert corpus_of(tmp_path, max_vocab=3).symbols == ("<unk>", " sat", " the")


def test_unknown_words_of_another_text():
    vocabulary = WordVocabulary(["<unk>", "the", " cat"])
    assert vocabulary.encode("the dog cat").tolist() == [1, 0, 2]
    assert vocabulary.encode("the dog cat", on_unknown="skip").tolist() == [1, 2]
    assert vocabulary.encode(["the", " cat"]).tolist() == [1, 2]
    assert vocabulary.decode([1, 0, 2]) == "the<unk> cat"


def test_text_in_the_vocabulary_of_a_model(tmp_path):
    vocabulary = corpus_of(tmp_path).vocabulary
    (tmp_path / "other.txt").write_text("the cow sat.")
    other = read_text(tmp_path / "other.txt", vocabulary=vocabulary)
    assert vocabulary.decode(other.tokens) == "the<unk> sat."
    skipped = read_text(tmp_path / "other.txt", vocabulary=vocabulary, on_unknown="skip")
    assert (vocabulary.decode(skipped.tokens), skipped.skipped) == ("the sat.", 1)
    assert skipped.byte_sizes().sum() == len("the sat.")


def test_stored_and_pickled():
    vocabulary = WordVocabulary(["<unk>", "a", " b"])
    for copy in (vocabulary_from_json(vocabulary.to_json()), pickle.loads(pickle.dumps(vocabulary))):
        assert copy == vocabulary
        assert hash(copy) == hash(vocabulary)
    assert repr(vocabulary) == "WordVocabulary(3 words)"


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"level": "word", "symbols": "ab"}, "a stored vocabulary of level 'word' has a list 'symbols'."),
        ({"level": "word", "symbols": ["a", "b"]}, "a vocabulary of words begins with '<unk>'; found 'a'."),
        ({"level": "token", "size": 2.5}, "a stored vocabulary of level 'token' has a int 'size'."),
        ({"level": "token", "size": -1}, "a vocabulary needs from 2 to 1114112 symbols; found -1."),
        ({"level": "tokenizer", "tokenizer": "{}"}, "level 'tokenizer' has a dict 'tokenizer'"),
        ({"level": "tokenizer", "tokenizer": {}, "x": 1}, "level 'tokenizer' has a dict 'tokenizer'"),
    ],
)
def test_invalid_stored_vocabulary(stored, words):
    pytest.importorskip("tokenizers")
    with pytest.raises(DataError, match=words):
        vocabulary_from_json(stored)


def test_errors(tmp_path):
    with pytest.raises(DataError, match=r"no word of 9 occurs 9 times; lower `min_count`"):
        corpus_of(tmp_path, min_count=9)
    with pytest.raises(UsageError, match="min_count is 0; expected an integer of at least 1"):
        corpus_of(tmp_path, min_count=0)
    with pytest.raises(UsageError, match="max_vocab is 1; expected an integer of at least 2"):
        corpus_of(tmp_path, max_vocab=1)
    with pytest.raises(DataError, match=r"text\.txt' is empty"):
        corpus_of(tmp_path, "")
    with pytest.raises(DataError, match="holds words, found bytes"):
        WordVocabulary(["<unk>", "a"]).encode(b"a")
    with pytest.raises(UsageError, match="expected words, or one string"):
        WordVocabulary(["<unk>", "a"]).encode(np.array([3]))
