"""Damaged checkpoints: either the stored checkpoint or one CheckpointError; never a crash."""

from __future__ import annotations

import inspect
import json
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import CheckpointError
from zoo.storage import Checkpoint, pack, unpack

CHECKPOINT = Checkpoint(
    {
        "l0.Wxh": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "l0.empty": np.zeros((0, 2)),
        "l0.h": np.array(2.5),
        "tokens": np.arange(5, dtype=np.uint8),
    },
    {"step": 1200, "lr": 1e22, "cell": "vanilla", "vocabulary": ["\n", '"', "é"], "done": False},
)
WHOLE = pack(CHECKPOINT)
FUZZ = settings(deadline=None, max_examples=250)


def outcome(data: bytes) -> str:
    """The error message, or "same" for the stored checkpoint; everything else fails the test."""
    try:
        checkpoint = unpack(data, source="fuzz.safetensors")
    except CheckpointError as error:
        message = str(error)
        assert message.startswith("cannot load fuzz.safetensors: ")
        assert message.isprintable()
        assert len(message) < 500
        return message
    assert json.dumps(checkpoint.meta, sort_keys=True) == json.dumps(CHECKPOINT.meta, sort_keys=True)
    assert pack(checkpoint) == WHOLE
    return "same"


def with_header(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def envelope(**changes: object) -> dict[str, Any]:
    inner = {"format": 1, "meta": {}, "sha256": "0" * 64, **changes}
    return {
        "__metadata__": {"zoo": json.dumps({key: value for key, value in inner.items() if value is not None})}
    }


def tensor(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def tensors(body: int, **tensors: object) -> bytes:
    return with_header({**envelope(), **tensors}, bytes(body))


def test_undamaged_file_loads() -> None:
    assert outcome(WHOLE) == "same"


def test_cut_anywhere_or_lengthened() -> None:
    for length in range(len(WHOLE)):
        assert outcome(WHOLE[:length]) != "same", length
    assert "described" in outcome(WHOLE + b"\0")
    assert "described" in outcome(WHOLE + WHOLE)


def test_every_single_bit_flip() -> None:
    """All of them: one in an array is always caught; one in the spelling (1e22, 1E22) may be none."""
    body = len(WHOLE) - sum(array.nbytes for array in CHECKPOINT.arrays.values())
    same = 0
    for position in range(len(WHOLE)):
        for bit in range(8):
            damaged = bytearray(WHOLE)
            damaged[position] ^= 1 << bit
            loaded = outcome(bytes(damaged)) == "same"
            assert not (loaded and position >= body), position
            same += loaded
    assert same < 10


@FUZZ
@given(st.data())
def test_bytes_replaced_inserted_or_removed(data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(damaged)))
        end = begin + data.draw(st.integers(0, 6))
        damaged[begin:end] = data.draw(st.binary(max_size=6))
    outcome(bytes(damaged))


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    assert outcome(data) != "same"


@FUZZ
@given(st.binary(max_size=200), st.binary(max_size=20))
def test_random_headers(header: bytes, body: bytes) -> None:
    assert outcome(with_header(header, body)) != "same"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["F32", "F64", "U8", "BOOL", "zoo"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "zoo", "a"]), inner),
    max_leaves=12,
)  # fmt: skip
NUMBERS = st.lists(st.integers(0, 8) | st.integers(), max_size=3)
TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "F16", "F4"]) | JSON,
        "shape": NUMBERS | JSON,
        "data_offsets": NUMBERS | JSON,
    }
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(max_size=5), TENSOR | JSON, max_size=3), st.binary(max_size=16))
def test_almost_valid_headers(tensors: dict[str, object], body: bytes) -> None:
    assert outcome(with_header({**envelope(), **tensors}, body)) != "same"


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "too few"),
    "header of 2**64 - 1 bytes": (b"\xff" * 8 + b"{}", "claim a header of 18,446,744,073,709,551,615 bytes"),
    "header above the cap": (
        (16 * 2**20 + 1).to_bytes(8, "little") + b"{}",
        "it is not a checkpoint (.safetensors)",
    ),
    "text": (b"time,load\n2024-01-01,3\n", "it is a text and not a checkpoint (.safetensors); give the dir"),
    "text with a character that is cut": ("Où est Zoë".encode()[:-1], "it is a text and not a checkpoint"),
    "text in Chinese": ("春眠不覺曉".encode(), "it is a text and not a checkpoint"),
    "bytes with a control character": (b"abc\x01defghi", "claim a header of"),
    "header longer than the file": ((3).to_bytes(8, "little") + b"{}", "cut short"),
    "header of no bytes": (bytes(8), "Expecting value"),
    "header is a list": (with_header([]), "expected an object"),
    "header is not UTF-8": (with_header(b'{"\xff": 1}'), "utf-8"),
    "header in UTF-16": (with_header("{}".encode("utf-16")), "utf-8"),
    "header with a BOM": (with_header(b"\xef\xbb\xbf{}"), "BOM"),
    "NaN": (with_header(b'{"a": NaN}'), "NaN is not a JSON number"),
    "number beyond float": (with_header(b'{"a": 1e999}'), "too large"),
    "deep lists": (with_header(b"[" * 10**6), "nested more than"),
    "deep objects": (with_header(b'{"a":' * 10**6), "nested more than"),
    "65 levels": (with_header(b"[" * 66 + b"]" * 66), "nested more than"),
    "deep meta": (with_header({"__metadata__": {"zoo": "[" * 10**6}}), "nested more than"),
    "no metadata": (with_header({}), "not a zoo checkpoint"),
    "other metadata": (with_header({"__metadata__": {"format": "pt"}}), "not a zoo checkpoint"),
    "metadata is a string": (with_header({"__metadata__": "zoo"}), "not a zoo checkpoint"),
    "metadata is a number": (with_header({"__metadata__": {"zoo": 1}}), "not exactly one string"),
    "more metadata": (with_header({"__metadata__": {"zoo": "{}", "a": ""}}), "not exactly one string"),
    "zoo is no JSON": (with_header({"__metadata__": {"zoo": "{"}}), "Expecting property name"),
    "zoo is a list": (with_header({"__metadata__": {"zoo": "[]"}}), "expected an object"),
    "zoo is a surrogate": (with_header({"__metadata__": {"zoo": "\ud800"}}), "utf-8"),
    "zoo has a key twice": (with_header({"__metadata__": {"zoo": '{"a":1,"a":2}'}}), "'a' is there twice"),
    "control characters": (with_header(b'{"\\u001b[31m":1,"\\u001b[31m":2}'), r"'\x1b[31m' is there twice"),
    "newer format": (with_header(envelope(format=2)), "newer zoo (checkpoint format 2, here 1); update zoo"),
    "newer format, other keys": (with_header(envelope(format=9, meta=None, x=1)), "made by a newer zoo"),
    "format 0": (with_header(envelope(format=0)), "format is not a number"),
    "format true": (with_header(envelope(format=True)), "format is not a number"),
    "format 1.0": (with_header(envelope(format=1.0)), "format is not a number"),
    "no format": (with_header(envelope(format=None)), "format is not a number"),
    "no meta": (with_header(envelope(meta=None)), "not exactly format, meta and sha256"),
    "meta is a list": (with_header(envelope(meta=[])), "not exactly format, meta and sha256"),
    "no sha256": (with_header(envelope(sha256=None)), "not exactly format, meta and sha256"),
    "sha256 is a number": (with_header(envelope(sha256=0)), "sha256 does not match"),
    "more keys": (with_header(envelope(more=1)), "not exactly format, meta and sha256"),
    "another sha256": (with_header(envelope()), "sha256 does not match"),
    "array name": (with_header({**envelope(), "../a b": tensor()}, bytes(4)), "name '../a b' is not allowed"),
    "array is a list": (tensors(0, a=[]), "exactly dtype, shape and data_offsets"),
    "array has more keys": (tensors(4, a={**tensor(), "x": 1}), "exactly dtype"),
    "dtype unknown": (tensors(4, a=tensor("F4")), "unknown dtype"),
    "dtype allowed elsewhere": (tensors(4, a=tensor("BOOL", [4])), "unknown dtype"),
    "dtype is a list": (tensors(4, a=tensor(["F32"])), "unknown dtype"),
    "shape is negative": (tensors(4, a=tensor(shape=[-1])), "natural numbers"),
    "shape is true": (tensors(4, a=tensor(shape=[True])), "natural numbers"),
    "shape is a float": (tensors(4, a=tensor(shape=[1.0])), "natural numbers"),
    "shape is a number": (tensors(4, a=tensor(shape=1)), "natural numbers"),
    "shape is huge": (tensors(4, a=tensor(shape=[2**40])), "needs 4,398,046,511,104 bytes"),
    "shape overflows": (tensors(4, a=tensor(shape=[2**62, 4, 1])), "too large"),
    "shape overflows in empty": (tensors(0, a=tensor(shape=[0, 2**62, 2**62], offsets=[0, 0])), "too large"),
    "shape beyond 64 bits": (tensors(4, a=tensor(shape=[2**64])), "natural numbers"),
    "rank is huge": (tensors(4, a=tensor(shape=[1] * 65)), "too large"),
    "one offset": (tensors(4, a=tensor(offsets=[4])), "needs 4 bytes"),
    "offsets turned": (tensors(4, a=tensor(offsets=[4, 0])), "needs 4 bytes"),
    "offsets beyond the file": (tensors(4, a=tensor(offsets=[4, 8])), "hole"),
    "fewer bytes than described": (tensors(3, a=tensor()), "4 bytes of arrays are described and 3"),
    "overlap": (tensors(6, a=tensor(), b=tensor(offsets=[2, 6])), "'b' overlaps another"),
    "the same bytes twice": (tensors(4, a=tensor(), b=tensor()), "'b' overlaps another"),
    "hole": (tensors(10, a=tensor(), b=tensor(offsets=[6, 10])), "'b' leaves a hole"),
    "hole at the start": (tensors(5, a=tensor(offsets=[1, 5])), "'a' leaves a hole"),
    "array twice": (with_header(b'{"a":0,"b":1,"a":2}'), "'a' is there twice"),
    "too many arrays": (
        tensors(0, **{f"a{i}": 0 for i in range(65_537)}),
        "65,537 arrays; expected at most 65,536",
    ),
    "pickle": (b"\x80\x04\x95\x1d" + bytes(7) + b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.", "header"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str) -> None:
    data, words = HOSTILE[name]
    assert words in outcome(data)


def test_duplicate_key_among_many_is_detected_fast() -> None:
    """A search quadratic in the keys would take hours here."""
    keys = ",".join(f'"k{i}":0' for i in range(300_000))
    assert "is there twice" in outcome(with_header(f'{{{keys},"k7":0}}'.encode()))


def test_small_file_allocates_little() -> None:
    shapes = [[2**28], [2**40], [2**60], [0, 2**60], [1] * 1000]
    tracemalloc.start()
    try:
        for shape in shapes:
            outcome(with_header({**envelope(), "a": tensor(shape=shape, offsets=[0, 2**30])}, bytes(4)))
        outcome((16 * 2**20).to_bytes(8, "little") + b"{}")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_deep_stack_does_not_crash() -> None:
    """Nesting that is allowed, read where the recursion limit is nearly used up."""
    allowed = with_header(b"[" * 60 + b"]" * 60)

    def descend(depth: int) -> str:
        return outcome(allowed) if depth == 0 else descend(depth - 1)

    assert "expected an object" in outcome(allowed)
    assert "nested more than" in descend(sys.getrecursionlimit() - len(inspect.stack(0)) - 50)
