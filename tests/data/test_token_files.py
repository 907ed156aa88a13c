"""Files of token numbers: types, ranges, memory maps, and what can be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data import TokenVocabulary, read_text
from zoo.errors import DataError, UsageError

TOKENS = np.array([3, 1, 4, 1, 5, 9, 2, 6])


def read(path, **options):
    return read_text(path, level="token", **options)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "int64", ">u2"])
def test_npy(tmp_path, dtype):
    np.save(tmp_path / "a.npy", TOKENS.astype(dtype))
    corpus = read(tmp_path / "a.npy")
    assert (corpus.name, corpus.level, len(corpus.vocabulary)) == ("a", "token", 10)
    assert corpus.tokens.tolist() == TOKENS.tolist()
    assert isinstance(corpus.tokens, np.memmap)
    assert corpus.byte_sizes() is None


def test_bin_has_a_dtype_and_a_vocabulary_size(tmp_path):
    TOKENS.astype("<u2").tofile(tmp_path / "a.bin")
    corpus = read(tmp_path / "a.bin", vocab_size=50_257)
    assert (corpus.tokens.tolist(), len(corpus.vocabulary)) == (TOKENS.tolist(), 50_257)
    TOKENS.astype("<u4").tofile(tmp_path / "b.bin")
    assert read(tmp_path / "b.bin", token_dtype="uint32").tokens.tolist() == TOKENS.tolist()


def test_files_are_joined(tmp_path):
    np.save(tmp_path / "a.npy", TOKENS)
    np.save(tmp_path / "b.npy", TOKENS + 1)
    corpus = read([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert corpus.tokens.tolist() == [*TOKENS, *(TOKENS + 1)]
    assert read(tmp_path, glob="*.npy").tokens.tolist() == corpus.tokens.tolist()


def test_text_of_tokens():
    vocabulary = TokenVocabulary(100)
    assert vocabulary.encode("7 42").tolist() == vocabulary.encode([7, 42]).tolist() == [7, 42]
    assert vocabulary.decode([7, 42]) == "7 42 "
    assert vocabulary.encode("7 100", on_unknown="skip").tolist() == [7]
    with pytest.raises(DataError, match="the tokens of this vocabulary are 0 to 99; found 100"):
        vocabulary.encode("7 100")
    with pytest.raises(DataError, match="'the' is not a token; the vocabulary has no text, so write numbers"):
        vocabulary.encode("the cat")


def save(name, array):
    return lambda path: np.save(path / name, array)


@pytest.mark.parametrize(
    ("name", "write", "options", "words"),
    [
        ("a.npy", save("a.npy", TOKENS), {"vocab_size": 9}, "holds the token 9, and `vocab_size` is 9"),
        ("a.npy", save("a.npy", -TOKENS), {}, "a holds the token -9; expected tokens from 0 on"),
        (
            "a.npy",
            save("a.npy", TOKENS * 1.0),
            {},
            r"holds float64\(8,\); expected tokens, one vector of uint8",
        ),
        (
            "a.npy",
            save("a.npy", TOKENS.reshape(2, 4)),
            {},
            r"holds int64\(2, 4\); expected tokens, one vector",
        ),
        ("a.npy", save("a.npy", TOKENS[:1]), {}, "holds 1 token; expected at least two"),
        ("a.npy", save("a.npy", np.array(["a"], object)), {}, "is not a .npy file of numbers"),
        ("a.npy", lambda path: (path / "a.npy").write_bytes(b"text"), {}, "is not a .npy file of numbers"),
        (
            "a.npy",
            lambda path: (path / "a.npy").write_bytes(b""),
            {},
            "is empty; expected at least two tokens",
        ),
        (
            "a.bin",
            lambda path: (path / "a.bin").write_bytes(b"123"),
            {},
            "has 3 bytes, which are no whole number",
        ),
        ("a.npy", save("a.npy", TOKENS * 10**9), {}, "holds the token 9,000,000,000, .* `token_dtype`"),
        ("a.txt", lambda path: (path / "a.txt").write_bytes(b"123"), {}, "is not a file of tokens"),
        ("b.npy", save("a.npy", TOKENS), {}, "b.npy: no such file or directory"),
    ],
)
def test_invalid_files(tmp_path, name, write, options, words):
    write(tmp_path)
    with pytest.raises(DataError, match=words):
        read(tmp_path / name, **options)


def test_invalid_arguments(tmp_path):
    np.save(tmp_path / "a.npy", TOKENS)
    with pytest.raises(UsageError, match="token_dtype is 'float32'; expected one of uint8"):
        read(tmp_path / "a.npy", token_dtype="float32")
    with pytest.raises(DataError, match="'builtin:hello' is a text, and level 'token' reads"):
        read("builtin:hello")
    with pytest.raises(DataError, match="read token numbers with `level='token'`"):
        read_text(tmp_path / "a.npy")
