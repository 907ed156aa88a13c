"""Vocabularies: what may be a symbol, encoding and decoding, storing, streaming."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data import Vocabulary
from zoo.errors import DataError, UsageError

CHARACTERS = st.characters(exclude_categories=["Cs"])
ALL_BYTES = Vocabulary(range(256))


@st.composite
def texts_with_vocabularies(draw):
    """A text, and a vocabulary that holds its characters (and maybe more) in any order."""
    text = draw(st.text(CHARACTERS))
    more = draw(st.sets(CHARACTERS, min_size=2, max_size=5))
    return text, Vocabulary(draw(st.permutations(sorted(set(text) | more))))


# -- what it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbols", "level"),
    [
        ("helo", "char"),
        (["a", "b"], "char"),
        (["a", "b", "<end>"], "symbol"),
        (["the", "cat"], "symbol"),
        (range(256), "byte"),
        (b"helo", "byte"),
        (np.array([3, 1], np.uint8), "byte"),
        (np.array(["a", "b"]), "char"),
    ],
)
def test_levels(symbols, level):
    vocabulary = Vocabulary(symbols)
    assert vocabulary.level == level
    assert list(vocabulary) == list(symbols)
    assert len(vocabulary) == len(list(symbols))
    assert vocabulary[1] == list(symbols)[1]
    assert {type(symbol) for symbol in vocabulary} <= {str, int}


def test_immutable_and_hashable():
    vocabulary = Vocabulary("ab")
    assert vocabulary == Vocabulary(["a", "b"])
    assert hash(vocabulary) == hash(Vocabulary(["a", "b"]))
    assert vocabulary != Vocabulary("ba")
    assert vocabulary != Vocabulary(b"ab")
    with pytest.raises(AttributeError):
        vocabulary.symbols = ("x", "y")


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        ([], "from 2 to 1114112 symbols; found 0"),
        ("a", "found 1"),
        (["a", "b", "a", "b", "c"], "found twice: 'a', 'b'"),
        ([1, 2, 1], "found twice: 0x01"),
        (["a", 1], "all strings or all byte values; found int, str"),
        ([True, False], "found bool"),
        ([1.0, 2.0], "found float"),
        ([[], []], "found list"),
        (["a", ""], "empty string"),
        ([0, 256], "0 to 255; found 256"),
        ([0, -1], "found -1"),
        (["a", "\ud800"], r"'\\ud800' cannot be a symbol: a lone surrogate"),
        (["a", "x\udc80y"], "lone surrogate"),
        (range(1_114_113), "found 1114113"),
    ],
)
def test_invalid_symbols_raise(symbols, words):
    with pytest.raises(DataError, match=words):
        Vocabulary(symbols)


# -- encode and decode ---------------------------------------------------------------------------------------


@given(texts_with_vocabularies())
def test_round_trip(text_and_vocabulary):
    text, vocabulary = text_and_vocabulary
    tokens = vocabulary.encode(text)
    assert tokens.dtype == np.int32
    assert tokens.shape == (len(text),)
    assert [vocabulary[token] for token in tokens] == list(text)
    assert vocabulary.decode(tokens) == text
    assert vocabulary.encode(list(text)).tolist() == tokens.tolist()


@given(st.text(CHARACTERS))
def test_round_trip_over_bytes(text):
    tokens = ALL_BYTES.encode(text)
    assert tokens.tolist() == list(text.encode()) == ALL_BYTES.encode(text.encode()).tolist()
    assert ALL_BYTES.decode(tokens) == text


@given(st.binary())
def test_undecodable_command_line_bytes_round_trip(data):
    argument = data.decode("utf-8", "surrogateescape")  # what sys.argv holds (PEP 383)
    assert ALL_BYTES.encode(argument).tolist() == list(data)


def test_lone_surrogate_over_bytes():
    with pytest.raises(DataError, match=r"'\\ud800' is a lone surrogate, not text"):
        ALL_BYTES.encode("ab\ud800")


@given(st.lists(st.sampled_from(["the ", "cat ", "a", "<end>", "😀"])))
def test_round_trip_over_longer_symbols(symbols):
    vocabulary = Vocabulary(["<end>", "cat ", "a", "the ", "😀"])
    tokens = vocabulary.encode(symbols)
    assert [vocabulary[token] for token in tokens] == symbols
    assert vocabulary.decode(tokens) == "".join(symbols)


def test_string_equals_sequence_of_characters():
    assert Vocabulary(["<end>", "h", "i"]).encode("hi").tolist() == [1, 2]


def test_byte_sequences():
    assert ALL_BYTES.encode([104, 105]).tolist() == [104, 105]
    assert ALL_BYTES.encode(bytearray(b"hi")).tolist() == [104, 105]
    assert Vocabulary(b"ih").encode("hi").tolist() == [1, 0]
    assert ALL_BYTES.decode([0xC3]) == "\ufffd"


def test_bytes_for_char_vocabulary_raise():
    with pytest.raises(DataError, match="holds characters, found bytes"):
        Vocabulary("hi").encode(b"hi")


def test_unknown_symbols_are_listed():
    vocabulary = Vocabulary("ab")
    with pytest.raises(DataError) as exc:
        vocabulary.encode("a\nxbx\x1b\ud800")
    message = str(exc.value)
    assert r"the 2 symbols of the vocabulary: '\n', 'x', '\x1b', '\ud800';" in message
    assert "or skip them with `on_unknown='skip'`" in message
    with pytest.raises(DataError, match=r"'l' and 2 more;"):
        vocabulary.encode("abcdefghijklmn")
    with pytest.raises(DataError, match=r"vocabulary: 0x63, 0xff;"):
        Vocabulary(b"ab").encode(b"cab\xff")
    with pytest.raises(DataError, match=r"vocabulary: 'dog', 'c';"):
        Vocabulary(["cat", "a"]).encode(["dog", "cat", "c"])


def test_skipping_unknown_symbols():
    assert Vocabulary("ab").encode("xaxbx", on_unknown="skip").tolist() == [0, 1]
    assert Vocabulary("ab").encode("xyz", on_unknown="skip").shape == (0,)
    assert Vocabulary("ab").find("xa", on_unknown="skip").tolist() == [-1, 0]
    assert Vocabulary(b"ab").encode("aéb", on_unknown="skip").tolist() == [0, 1]
    assert Vocabulary(["cat", "a"]).encode(["dog", "a"], on_unknown="skip").tolist() == [1]
    with pytest.raises(UsageError, match="on_unknown is 'drop'; expected one of 'error', 'skip'"):
        Vocabulary("ab").encode("ab", on_unknown="drop")


@pytest.mark.parametrize("vocabulary", [Vocabulary("ab"), Vocabulary(b"ab"), Vocabulary(["a", "bc"])])
def test_decode_checks_tokens(vocabulary):
    assert vocabulary.decode([]) == ""
    assert vocabulary.decode(np.array([0, 0], np.uint8)) == "aa"
    for wrong in ([0, 2], [-1]):
        with pytest.raises(DataError, match=f"tokens of this vocabulary are 0 to 1; found {wrong[-1]}"):
            vocabulary.decode(wrong)
    for wrong in ([0.5], [[0, 1]], 0, [True]):
        with pytest.raises(UsageError, match="one-dimensional sequence of integers"):
            vocabulary.decode(wrong)


# -- stored --------------------------------------------------------------------------------------------------


@given(
    st.one_of(
        st.sets(CHARACTERS, min_size=2).map(sorted),
        st.sets(st.integers(0, 255), min_size=2).map(sorted),
        st.sets(st.text(CHARACTERS, min_size=1), min_size=2).map(sorted),
    )
)
def test_json_round_trip(symbols):
    vocabulary = Vocabulary(symbols)
    stored = json.dumps(vocabulary.to_json(), allow_nan=False)
    assert Vocabulary.from_json(json.loads(stored)) == vocabulary
    stored = json.dumps(vocabulary.to_json(), ensure_ascii=False).encode("utf-8")
    assert Vocabulary.from_json(json.loads(stored)) == vocabulary


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (None, "found NoneType"),
        (["a", "b"], "found list"),
        ({}, r"found keys \[\]"),
        ({"level": "char"}, r"found keys \['level'\]"),
        ({"level": "char", "symbols": ["a", "b"], "more": 1}, "'more'"),
        ({"level": "char", "symbols": "ab"}, "symbols are a list; found str"),
        ({"level": "char", "symbols": {"a": 1, "b": 2}}, "symbols are a list"),
        ({"level": "byte", "symbols": ["a", "b"]}, "says level 'byte'; its symbols say 'char'"),
        ({"level": "symbol", "symbols": ["a", "b"]}, "says level 'symbol'"),
        ({"level": ["char"], "symbols": ["a", "b"]}, "says level"),
        ({"level": "byte", "symbols": [True, False]}, "found bool"),
        ({"level": "byte", "symbols": [1.0, 2]}, "found float, int"),
        ({"level": "char", "symbols": ["a", None]}, "found NoneType, str"),
        ({"level": "char", "symbols": [["a"], ["b"]]}, "found list"),
        ({"level": "char", "symbols": ["a", "a"]}, "twice"),
        ({"level": "char", "symbols": ["a"]}, "found 1"),
    ],
)
def test_from_json_is_strict(obj, words):
    with pytest.raises(DataError, match=words):
        Vocabulary.from_json(obj)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["level", "symbols", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_from_json_fuzz(obj):
    with contextlib.suppress(DataError):
        assert Vocabulary.from_json(obj).to_json() == obj


# -- streamed ------------------------------------------------------------------------------------------------


def test_decoder_holds_incomplete_bytes():
    decoder = ALL_BYTES.decoder()
    assert [decoder.push(byte) for byte in "aé😀".encode()] == ["a", "", "é", "", "", "", "😀"]
    assert decoder.flush() == ""


def test_flush_replaces_incomplete_character():
    decoder = ALL_BYTES.decoder()
    assert [decoder.push(byte) for byte in b"\xe2\x82a"] == ["", "", "\ufffda"]
    assert decoder.push(0xF0) == ""
    assert decoder.flush() == "\ufffd"
    assert decoder.push(ord("b")) == "b"  # usable again


@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_decoder_equals_decode(data):
    decoder = ALL_BYTES.decoder()
    assert "".join(decoder.push(byte) for byte in data) + decoder.flush() == ALL_BYTES.decode(list(data))


@given(texts_with_vocabularies())
def test_decoder_of_characters(text_and_vocabulary):
    text, vocabulary = text_and_vocabulary
    decoder = vocabulary.decoder()
    assert [decoder.push(token) for token in vocabulary.encode(text)] == list(text)
    assert decoder.flush() == ""


def test_decoder_checks_tokens():
    for wrong in (-1, 2):
        with pytest.raises(DataError, match=f"0 to 1; found {wrong}"):
            Vocabulary("ab").decoder().push(wrong)
