"""Tokenizers: a byte-level BPE is reversible, its decoder works token by token, and bad files are errors."""

from __future__ import annotations

import json
import pickle
import sys
from unittest import mock

import pytest

from zoo.data import load_tokenizer, read_text, train_bpe, vocabulary_from_json
from zoo.errors import DataError, UsageError

tokenizers = pytest.importorskip("tokenizers")

TEXT = "the cat sat on the mat, the naïve 😀 cat\n" * 20


@pytest.fixture(scope="module")
def bpe():
    return train_bpe([TEXT], 270)


@pytest.fixture
def file(tmp_path, bpe):
    path = tmp_path / "tokenizer.json"
    path.write_text(bpe.text, encoding="utf-8")
    return path


def test_splitting_is_reversible(bpe):
    other = "A new text — ünïcode 😀\t\n"
    assert bpe.decode(bpe.encode(other)) == other
    assert (len(bpe), bpe.level, repr(bpe)) == (270, "tokenizer", "TokenizerVocabulary(270 tokens)")


def test_decoder_holds_back_parts_of_characters(bpe):
    tokens = bpe.encode("ünï 😀 x").tolist()
    for stop in range(len(tokens) + 1):
        decoder = bpe.decoder()
        pieces = [decoder.push(token) for token in tokens[:stop]]
        assert "�" not in "".join(pieces)
        assert "".join(pieces) + decoder.flush() == bpe.decode(tokens[:stop])


def test_bytes_of_tokens(bpe):
    tokens, sizes = bpe.encode_with_bytes(TEXT)
    assert sizes.sum() == len(TEXT.encode())
    assert b"".join(map(bpe.symbol_bytes, tokens.tolist())) == TEXT.encode()


def test_tokenizer_that_is_not_byte_level():
    package = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2}, "[UNK]"))
    package.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    vocabulary = vocabulary_from_json({"level": "tokenizer", "tokenizer": json.loads(package.to_str())})
    tokens, sizes = vocabulary.encode_with_bytes("the cat é the")
    assert (tokens.tolist(), sizes.tolist()) == ([1, 2, 0, 1], [3, 4, 3, 4])
    decoder = vocabulary.decoder()
    assert "".join(map(decoder.push, tokens.tolist())) + decoder.flush() == vocabulary.decode(tokens)
    assert vocabulary.symbol_bytes(2) == b"cat"


def test_stored_and_pickled(bpe):
    for copy in (vocabulary_from_json(bpe.to_json()), pickle.loads(pickle.dumps(bpe))):
        assert copy == bpe
        assert copy.encode("the cat").tolist() == bpe.encode("the cat").tolist()


def test_corpus(tmp_path, file):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8", newline="")
    corpus = read_text(tmp_path / "a.txt", tokenizer=file)
    assert corpus.level == corpus.vocabulary.level == "tokenizer"
    assert corpus.vocabulary.decode(corpus.tokens) == TEXT
    assert corpus.byte_sizes().sum() == corpus.size


@pytest.mark.parametrize("content", [b"", b"text", b"{}", b'{"model": {}}', b"\xff\xfe"])
def test_file_that_is_not_a_tokenizer(tmp_path, content):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.json is not a tokenizer"):
        load_tokenizer(tmp_path / "t.json")


def test_other_errors(tmp_path, file, bpe):
    with pytest.raises(DataError, match="no such tokenizer file; make one with `zoo tokenize`"):
        load_tokenizer(tmp_path / "missing.json")
    with pytest.raises(UsageError, match="level is 'word' and a `tokenizer` is given; leave out one of them"):
        read_text("builtin:hello", level="word", tokenizer=file)
    with pytest.raises(UsageError, match="there is no tokenizer; give its file"):
        read_text("builtin:hello", level="tokenizer")
    with pytest.raises(UsageError, match="vocab_size is 256; expected an integer of at least 257"):
        train_bpe(["a"], 256)
    with pytest.raises(DataError, match="splits strings, found bytes"):
        bpe.encode(b"a")
    with pytest.raises(UsageError, match="text holds 3; expected strings"):
        bpe.encode([3])
    with pytest.raises(DataError, match="the tokens of this vocabulary are 0 to 269; found 300"):
        bpe.decode([300])
    with pytest.raises(DataError, match="the tokens of this vocabulary are 0 to 269; found 300"):
        bpe.decoder().push(300)
    with (
        mock.patch("zoo.data.tokenizer.MAX_TOKENIZER_BYTES", 10),
        pytest.raises(DataError, match="at most 10"),
    ):
        load_tokenizer(file)


def test_package_is_missing(file):
    with (
        mock.patch.dict(sys.modules, {"tokenizers": None}),
        pytest.raises(
            DataError, match=r"needs the package tokenizers.*pip install 'recurrent-zoo\[tokenizers\]'"
        ),
    ):
        load_tokenizer(file)
